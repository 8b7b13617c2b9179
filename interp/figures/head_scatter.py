"""Figure: every head as a point, its effect on the main task against its effect on an auxiliary task."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go

from interp.figures.ablation_maps import effect_title
from interp.figures.heads import HeadMap
from interp.figures.labels import Label, place_labels
from interp.figures.style import BLUE, GREEN, GREY, VERMILLION, axis, new_figure, plain

_MOST_LABELS = 24


def head_scatter(main: HeadMap, auxiliary: HeadMap, *, metric: str) -> go.Figure:
    """Heads as points with error bars of one standard error, the line of equal effects, and labels where they matter.

    Colour and marker say whether a head matters to both tasks, to one, or to neither (`HeadMap.matters`). Labels are
    "layer.head"; close heads have one together. The largest effects come first, and a label without room is left out.

    Args:
        main: The main task's map: the horizontal axis.
        auxiliary: The auxiliary task's map: the vertical axis.
        metric: Name of the metric, which gives the unit.
    """
    figure = new_figure(height=470)
    for name, color, symbol, where in _classes(main, auxiliary):
        figure.add_trace(_points(main, auxiliary, where, name=name, color=color, symbol=symbol))
    low, high = _range(main, auxiliary)
    shared = {"range": [low, high], "constrain": "domain", "zeroline": True, "zerolinecolor": GREY, "nticks": 7}
    unit = effect_title(metric)
    figure.update_layout(
        xaxis=axis(f"effect on {plain(main.task, 20)}", shared | {"ticklabelstandoff": 6}),
        yaxis=axis(f"effect on {plain(auxiliary.task, 20)}", shared | {"scaleanchor": "x", "automargin": "left"}),
        shapes=[_diagonal(low, high)],
        annotations=_annotations(main, auxiliary, low, high),
        margin={"l": 64, "r": 12, "t": 12, "b": 58},
        meta={"unit": unit, "narrow": {"height": 360, "xaxis.nticks": 4, "yaxis.nticks": 4}},
    )
    return figure


def _classes(main: HeadMap, auxiliary: HeadMap) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Name, colour, marker and heads of each class; heads that were not measured on both tasks are in none."""
    measured = np.isfinite(main.effect) & np.isfinite(auxiliary.effect)
    one, other = main.matters(), auxiliary.matters()
    yield "matters to neither", GREY, "circle-open", measured & ~one & ~other
    yield f"matters to {plain(auxiliary.task)} only", GREEN, "diamond", measured & ~one & other
    yield f"matters to {plain(main.task)} only", VERMILLION, "square", measured & one & ~other
    yield "matters to both", BLUE, "circle", measured & one & other


def _points(main: HeadMap, auxiliary: HeadMap, where: np.ndarray, *, name: str, color: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=main.effect[where].tolist(),
        y=auxiliary.effect[where].tolist(),
        error_x=_error(main.stderr[where], color),
        error_y=_error(auxiliary.stderr[where], color),
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 9},
        name=name,
        text=[f"{layer}.{head}" for layer, head in np.argwhere(where)],
        hovertemplate="head %{text}: %{x:+.3f} and %{y:+.3f}<extra></extra>",
        meta={"weights": "averaged", "series": name},
    )


def _error(stderr: np.ndarray, color: str) -> dict[str, Any]:
    array = np.nan_to_num(stderr).tolist()
    return {"type": "data", "array": array, "thickness": 1, "width": 0, "color": color}


def _range(main: HeadMap, auxiliary: HeadMap) -> tuple[float, float]:
    """One range for both axes: every point with its error bar, zero, and a margin for the labels."""
    ends = [end for one in (main, auxiliary) for end in (one.effect - one.stderr, one.effect + one.stderr, one.effect)]
    finite = np.concatenate([end[np.isfinite(end)] for end in ends] + [np.zeros(1)])
    low, high = float(finite.min()), float(finite.max())
    pad = 0.12 * (high - low) or 0.1
    return low - pad, high + pad


def _diagonal(low: float, high: float) -> dict[str, Any]:
    """The line of equal effects."""
    ends = {"x0": low, "y0": low, "x1": high, "y1": high}
    return {"type": "line", "layer": "below", "line": {"color": GREY, "width": 1, "dash": "dash"}} | ends


def _annotations(main: HeadMap, auxiliary: HeadMap, low: float, high: float) -> list[dict[str, Any]]:
    """Labels of the heads that matter, each with a fine line to its point."""
    measured = np.isfinite(main.effect) & np.isfinite(auxiliary.effect)
    size = np.where(measured, np.maximum(np.abs(main.effect), np.abs(auxiliary.effect)), 0.0)
    where = measured & (main.matters() | auxiliary.matters())
    heads = sorted(map(tuple, np.argwhere(where).tolist()), key=lambda head: -size[head])[:_MOST_LABELS]
    points = [(main.effect[head], auxiliary.effect[head]) for head in heads]
    every = list(zip(main.effect[measured], auxiliary.effect[measured], strict=True))
    labels = place_labels(
        [f"{layer}.{head}" for layer, head in heads], _fractions(points, low, high), _fractions(every, low, high)
    )
    return [_annotation(label, low, high) for label in labels]


def _fractions(points: list[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    return [(float((x - low) / (high - low)), float((y - low) / (high - low))) for x, y in points]


def _annotation(label: Label, low: float, high: float) -> dict[str, Any]:
    x, y = (low + part * (high - low) for part in label.at)
    line = {"showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "arrowcolor": GREY, "standoff": 5}
    place = {"x": x, "y": y, "ax": label.right, "ay": label.below, "xanchor": "center", "yanchor": "middle"}
    return {"text": "<br>".join(label.lines), "font": {"size": 12}, "borderpad": 0} | line | place
