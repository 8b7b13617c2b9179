"""Plotly figures of one head: its effect by length, where it looks, and what it argues for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analyses.transfer.study_results import AttentionExample
from interp.figures.ablation_maps import effect_title
from interp.figures.style import BLUE, DIVERGING, GREY, PAPER, VERMILLION, axis, new_figure, plain
from interp.widgets.bands import WORDS, Band
from interp.widgets.head_views import ReadOutMap
from interp.widgets.length_effect import LengthEffect

SEQUENTIAL = [(0.0, PAPER), (0.5, "#6fb0d8"), (1.0, "#00436b")]
"""Attention, from none to all."""

_COLORS, _SYMBOLS = (BLUE, VERMILLION), ("circle", "square")

_MOST_TICKS = 30
"""More tokens than that get smaller names."""


def effect_by_length(
    names: tuple[str, str], known: tuple[Sequence[LengthEffect], Sequence[LengthEffect]], bands: Sequence[Band], *,
    metric: str, at: int,
) -> go.Figure:  # fmt: skip
    """A head's effect on both tasks by length, with one standard error; bands named above, the maps' length marked.

    Args:
        names: The tasks.
        known: What is known of each, in any order of lengths; there may be nothing.
        bands: The bands of length.
        metric: Name of the metric, which gives the unit.
        at: The length of the maps.
    """
    figure = new_figure(height=290)
    for place, (name, effects) in enumerate(zip(names, known, strict=True)):
        rows = sorted(effects, key=lambda one: one.length)
        figure.add_trace(_line(name, rows, color=_COLORS[place], symbol=_SYMBOLS[place], shift=(place - 0.5) * 0.16))
    low, high = min(band.low for band in bands) - 0.6, max(band.high for band in bands) + 0.6
    ends = [end for effects in known for one in effects for end in (one.effect - one.stderr, one.effect + one.stderr)]
    reach = max([0.05, *(abs(end) for end in ends if np.isfinite(end))])
    bottom = min([0.0, *(end for end in ends if np.isfinite(end))])
    figure.update_layout(
        xaxis=axis("length", {"range": [low, high], "showgrid": False, "ticks": "outside"}),
        yaxis=axis(
            _broken(effect_title(metric)),
            {"range": [min(bottom, -0.08 * reach) * 1.1, reach * 1.1], "zeroline": True, "zerolinecolor": GREY},
        ),
        shapes=[*_edges(bands), _mark(at)],
        annotations=[_band_name(band) for band in bands],
        legend={"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top"},
        margin={"l": 70, "r": 10, "t": 26, "b": 70},
    )
    return figure


def _line(name: str, rows: Sequence[LengthEffect], *, color: str, symbol: str, shift: float) -> go.Scatter:
    return go.Scatter(
        x=[one.length + shift for one in rows],
        y=[one.effect for one in rows],
        error_y={"type": "data", "array": [_finite(one.stderr) for one in rows], "thickness": 1.2, "width": 0},
        customdata=[[one.length, one.n, one.clean] for one in rows],
        name=plain(name),
        mode="lines+markers",
        line={"color": color, "width": 2},
        marker={"symbol": symbol, "size": 8},
        hovertemplate="length %{customdata[0]}: %{y:+.3f}, of %{customdata[2]:.3f} unchanged (n = %{customdata[1]})",
    )


def _finite(value: float) -> float:
    return value if np.isfinite(value) else 0.0


def _broken(title: str) -> str:
    """A title in two lines, before its unit: the axis is short."""
    return title.replace(" (", "<br>(", 1)


def _edges(bands: Sequence[Band]) -> list[dict[str, Any]]:
    line = {"color": GREY, "width": 1, "dash": "dot"}
    ends = [band.high + 0.5 for band in bands[:-1]]
    return [{"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1.08, "line": line} for x in ends]


def _mark(at: int) -> dict[str, Any]:
    """A pale stripe at the length of the maps."""
    ends = {"x0": at - 0.4, "x1": at + 0.4, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", "layer": "below", "fillcolor": GREY, "opacity": 0.18, "line": {"width": 0}} | ends


def _band_name(band: Band) -> dict[str, Any]:
    place = {"x": (band.low + band.high) / 2, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "center"}
    return place | {"text": WORDS[band.zone], "showarrow": False, "font": {"size": 12}}


def pattern_figure(examples: tuple[AttentionExample, AttentionExample]) -> go.Figure:
    """Where a head looks on both tasks' prompts: rows are queries, columns keys, colour the weight from 0 to 1."""
    figure = new_figure(height=430)
    for place, example in enumerate(examples):
        figure.add_trace(_pattern(example, place))
    figure.update_layout(
        xaxis=_tokens(examples[0], "key", {"domain": [0, 0.46], "anchor": "y", "side": "bottom"}),
        yaxis=_tokens(examples[0], "query", {"autorange": "reversed", "anchor": "x"}),
        xaxis2=_tokens(examples[1], "key", {"domain": [0.54, 1], "anchor": "y2", "side": "bottom"}),
        yaxis2=_tokens(examples[1], "", {"autorange": "reversed", "anchor": "x2"}),
        coloraxis={
            "cmin": 0, "cmax": 1, "colorscale": SEQUENTIAL,
            "colorbar": {"title": {"text": "attention", "side": "right"}, "thickness": 10, "outlinewidth": 0,
            "len": 0.9},
        },
        annotations=[_above(example.task, place * 0.54) for place, example in enumerate(examples)],
        margin={"l": 62, "r": 10, "t": 26, "b": 62},
    )  # fmt: skip
    return figure


def _pattern(example: AttentionExample, place: int) -> go.Heatmap:
    weights = np.round(np.tril(example.pattern).astype(float), 3)
    return go.Heatmap(
        z=[row[: place + 1] + [None] * (len(weights) - place - 1) for place, row in enumerate(weights.tolist())],
        customdata=[[f"{plain(query)} looks at {plain(key)}" for key in example.tokens] for query in example.tokens],
        coloraxis="coloraxis",
        xaxis="x2" if place else "x",
        yaxis="y2" if place else "y",
        hoverongaps=False,
        name=plain(example.task),
        hovertemplate="%{customdata}: %{z:.3f}<br>position %{y} to %{x}",
    )  # fmt: skip


def _tokens(example: AttentionExample, title: str, extra: dict[str, Any]) -> dict[str, Any]:
    count = len(example.tokens)
    ticks = {
        "tickmode": "array", "tickvals": list(range(count)),
        "ticktext": [_tick(token, short=title == "key") for token in example.tokens],
        "tickfont": {"size": 11 if count <= _MOST_TICKS else 9}, "showgrid": False, "ticks": "", "showline": False,
        "tickangle": 0, "range": [-0.5, count - 0.5],
    }  # fmt: skip
    return axis(title, ticks | extra)


def _tick(token: str, *, short: bool) -> str:
    """A token as an axis names it; across there is room for two signs."""
    return "·" if short and len(token) > 2 else plain(token, 9)


def _above(task: str, x: float) -> dict[str, Any]:
    place = {"x": x, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 3}
    return place | {"text": f"<b>{plain(task, 20)}</b>", "showarrow": False, "font": {"size": 13}}


def read_out_figure(found: ReadOutMap) -> go.Figure:
    """What a head argues for [column] when it reads a token [row], on a scale symmetric around zero."""
    figure = new_figure(height=430)
    largest = max(1e-9, float(np.abs(found.logits).max(initial=0.0)))
    names = [plain(token, 9) for token in found.tokens]
    figure.add_trace(
        go.Heatmap(
            z=found.logits.astype(float).round(4).tolist(), coloraxis="coloraxis", xgap=1, ygap=1,
            customdata=[[f"reads {read}, for {written}" for written in names] for read in names],
            hovertemplate="%{customdata}: %{z:+.3f}<extra></extra>",
        )
    )  # fmt: skip
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "showgrid": False,
        "ticks": "",
    }
    ticks |= {"tickfont": {"size": 11 if len(names) <= _MOST_TICKS else 8}, "showline": False}
    figure.update_layout(
        xaxis=axis("token argued for", ticks | {"tickangle": 0 if max(map(len, names), default=0) < 3 else None}),
        yaxis=axis("token read", ticks | {"autorange": "reversed"}),
        coloraxis={
            "cmin": -largest, "cmax": largest, "colorscale": DIVERGING,
            "colorbar": {"title": {"text": "logit, unscaled", "side": "right"}, "thickness": 10, "outlinewidth": 0,
            "len": 0.9},
        },
        margin={"l": 52, "r": 10, "t": 26, "b": 62},
    )  # fmt: skip
    return figure
