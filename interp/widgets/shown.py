"""A plotly figure that is shown: given a new one, it changes what differs, in the colours of the page around it."""

from typing import Any, cast

import plotly.graph_objects as go

from interp.figures.style import DARK_DIVERGING, DARK_PAPER, DIVERGING, FONT, GREY, INK, ON_DARK, PAPER, dark_patch

_DARK_SEQUENTIAL = [(0.0, DARK_PAPER), (0.5, "#2f6f98"), (1.0, "#a5d8f7")]

_CONFIG = {"displayModeBar": False, "displaylogo": False, "responsive": True}

_LABEL = {"bgcolor": PAPER, "bordercolor": GREY, "font": {"family": FONT, "size": 13, "color": INK}}
"""What pops up under the mouse: on a light ground everywhere."""

Parts = dict[str, Any]


class Shown:
    """A figure widget, as wide as its place, without tools that would cover it.

    Args:
        figure: What it shows first; later ones must have as many traces of the same types.
    """

    def __init__(self, figure: go.Figure) -> None:
        self._data, self._layout = _parts(figure, dark=False)
        self.widget = go.FigureWidget(data=[dict(trace) for trace in self._data], layout=self._layout)
        self.widget._config = dict(_CONFIG)  # noqa: SLF001  (plotly has no public way to configure a FigureWidget)

    @property
    def traces(self) -> tuple[Any, ...]:
        """The widget's traces, in their order."""
        return cast("tuple[Any, ...]", self.widget.data)

    def show(self, figure: go.Figure, *, dark: bool) -> None:
        """Shows another figure; only what differs is sent to the page.

        Args:
            figure: What is to be shown.
            dark: Whether the page is dark.

        Raises:
            ValueError: Another number of traces.
        """
        data, layout = _parts(figure, dark=dark)
        with self.widget.batch_update():
            for trace, old, new in zip(self.traces, self._data, data, strict=True):
                changed = _changed(old, new)
                if changed:
                    trace.update(changed, overwrite=True)
            changed = _changed(self._layout, layout)
            if changed:
                self.widget.layout.update(changed, overwrite=True)
        self._data, self._layout = data, layout

    def mark(self, *, shapes: list[Parts] | None = None, point: tuple[float, float] | None = None) -> None:
        """Moves only the marks of the chosen head: the layout's shapes, or the last trace's one point."""
        with self.widget.batch_update():
            if shapes is not None:
                self.widget.layout.shapes = self._layout["shapes"] = shapes
            if point is not None:
                chosen = {"x": [point[0]], "y": [point[1]]}
                self.traces[-1].update(chosen, overwrite=True)
                self._data[-1] |= chosen


def themed(figure: go.Figure, *, dark: bool) -> go.Figure:
    """The figure in the colours of a light page, as it is, or in those of a dark one."""
    if not dark:
        return figure
    scale = figure.layout["coloraxis"]["colorscale"]
    figure.update_layout({name.replace(".", "_"): value for name, value in dark_patch(figure).items()})
    if scale is not None:
        diverging = [str(color) for _, color in scale] == [color for _, color in DIVERGING]
        figure.update_layout(coloraxis_colorscale=DARK_DIVERGING if diverging else _DARK_SEQUENTIAL)
    for trace in figure.data:
        if isinstance(trace, go.Scatter):
            trace.update(_on_dark(trace.to_plotly_json()))
            text = (trace.meta or {}).get("darkText") if isinstance(trace.meta, dict) else None
            if text:
                trace.update(textfont_color=text)
    return figure


def _on_dark(value: Any) -> Any:
    """A part of a trace, every colour of ours exchanged for its lighter one."""
    if isinstance(value, dict):
        return {key: _on_dark(inner) for key, inner in value.items()}
    return ON_DARK.get(value, value) if isinstance(value, str) else value


def _parts(figure: go.Figure, *, dark: bool) -> tuple[list[Parts], Parts]:
    """Traces and layout as plain values, without the notes that only the report page reads."""
    plain = cast("Parts", themed(figure, dark=dark).to_plotly_json())
    layout = {"shapes": [], "annotations": []} | plain["layout"]
    layout["hoverlabel"] = layout.get("hoverlabel", {}) | _LABEL
    for note in ("meta", "template"):
        layout.pop(note, None)
    return [{name: value for name, value in trace.items() if name != "meta"} for trace in plain["data"]], layout


def _changed(old: Parts, new: Parts) -> Parts:
    """What is new or other than it was; what is gone becomes None."""
    changed = {name: value for name, value in new.items() if name not in old or not _same(old[name], value)}
    return changed | dict.fromkeys(old.keys() - new.keys())


def _same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)
