"""Figure: the tasks' head-ablation maps side by side, on one colour scale around zero."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from interp.figures.heads import HeadMap
from interp.figures.style import DARK_DIVERGING, DIVERGING, axis, new_figure, plain, readable_on

EFFECT_TITLES = {
    "accuracy": "exact match lost (fraction of examples)",
    "token_accuracy": "token accuracy lost (fraction of tokens)",
    "nll": "loss gained (nats per scored token)",
    "logit_difference": "logit difference lost (logits)",
}
"""What a task loses or gains without a head, with its unit, for each metric."""

_NUMBERS_UP_TO = 8

_SMALLEST_SCALE = 0.1
"""The colours never span less than this either way, or noise around zero would look like large effects."""

_CELL, _GAP, _TITLE, _BELOW = 46, 88, 26, 132
"""Pixels: a cell's height, from one row of maps to the next, above the maps, below them."""

_BETWEEN = 0.2
"""Space between two columns of maps, as a share of a map's width."""

_TICKS = {"tickmode": "linear", "tick0": 0, "showgrid": False, "ticks": "", "showline": False}

_MOST_TICKS = 12


def effect_title(metric: str) -> str:
    """What an effect of a metric is, with its unit."""
    return EFFECT_TITLES.get(metric, f"effect on {metric.replace('_', ' ')}")


def effect_text(effect: float) -> str:
    """An effect as its cell shows it: "+0.42", "−0.07", "0" when it rounds to nothing, "" when not measured."""
    if np.isnan(effect):
        return ""
    return "0" if abs(effect) < 0.005 else f"{effect:+.2f}".replace("-", "−")


def ablation_maps(maps: Sequence[HeadMap], *, metric: str) -> go.Figure:
    """Heat maps [layer, head] of what removing each head costs each task, on one scale symmetric around zero.

    Two maps stand side by side, on a narrow page one; more go below. Cells of maps up to 8 by 8 show their number.

    Args:
        maps: One map per task, all of one shape; the main task first.
        metric: Name of the metric, which gives the unit.
    """
    layers, heads = (max(one.effect.shape[axis] for one in maps) for axis in (0, 1))
    row_height = max(layers * min(_CELL, 340 // layers + 8), 90)
    wide = _layout(maps, across=min(len(maps), 2), row_height=row_height, metric=metric)
    figure = new_figure(height=wide["height"])
    largest = max(_SMALLEST_SCALE, *(float(np.nanmax(np.abs(one.effect), initial=0.0)) for one in maps))
    for place, head_map in enumerate(maps, start=1):
        figure.add_trace(_heat_map(head_map, place))
    for place, head_map in enumerate(maps, start=1):
        if max(layers, heads) <= _NUMBERS_UP_TO:
            figure.add_trace(_numbers(head_map, place, largest=largest))
    figure.update_layout(wide)
    figure.update_layout(
        coloraxis=_color_axis(largest),
        margin={"l": 52, "r": 10, "t": _TITLE, "b": _BELOW},
        meta={"narrow": _layout(maps, across=1, row_height=row_height, metric=metric)},
    )
    return figure


def _heat_map(head_map: HeadMap, place: int) -> go.Heatmap:
    layers, heads = head_map.effect.shape
    return go.Heatmap(
        z=_with_none(head_map.effect),
        x=list(range(heads)),
        y=list(range(layers)),
        name=plain(head_map.task),
        coloraxis="coloraxis",
        xaxis=f"x{place}" if place > 1 else "x",
        yaxis=f"y{place}" if place > 1 else "y",
        xgap=2,
        ygap=2,
        text=[[effect_text(value) for value in row] for row in head_map.effect],
        customdata=_with_none(head_map.stderr),
        hovertemplate="head %{y}.%{x}: %{z:+.3f} ± %{customdata:.3f} (one standard error)",
        hoverongaps=False,
    )


def _numbers(head_map: HeadMap, place: int, *, largest: float) -> go.Scatter:
    """Each cell's number, black or white, whichever can be read on its colour (plotly itself would write grey)."""
    layers, heads = head_map.effect.shape
    cells = [(layer, head) for layer in range(layers) for head in range(heads)]
    shares = [0.5 + float(np.nan_to_num(head_map.effect[cell])) / (2 * largest) for cell in cells]
    return go.Scatter(
        x=[head for _, head in cells],
        y=[layer for layer, _ in cells],
        text=[effect_text(head_map.effect[cell]) for cell in cells],
        mode="text",
        textfont={"size": 12 if heads <= 6 else 10, "color": [readable_on(DIVERGING, share) for share in shares]},
        xaxis=f"x{place}" if place > 1 else "x",
        yaxis=f"y{place}" if place > 1 else "y",
        hoverinfo="skip",
        showlegend=False,
        meta={"darkText": [readable_on(DARK_DIVERGING, share) for share in shares]},
    )


def _with_none(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in values]


def _layout(maps: Sequence[HeadMap], *, across: int, row_height: int, metric: str) -> dict[str, Any]:
    """Height, axes and titles of the maps, `across` of them in a row, and the title of the colour bar."""
    down = -(-len(maps) // across)
    total = down * row_height + (down - 1) * _GAP
    layout: dict[str, Any] = {"annotations": [_bar_title(metric)], "height": total + _TITLE + _BELOW}
    for place, head_map in enumerate(maps):
        row, column = divmod(place, across)
        top = (total - row * (row_height + _GAP)) / total
        across_page = _part(column * (1 + _BETWEEN), across + (across - 1.0) * _BETWEEN)
        down_page = [round(abs(top - row_height / total), 4), round(top, 4)]
        number = str(place + 1) if place else ""
        layers, heads = head_map.effect.shape
        flat = _ticks(heads) | {"domain": across_page, "anchor": f"y{number}", "range": [-0.5, heads - 0.5]}
        upright = _ticks(layers) | {"domain": down_page, "anchor": f"x{number}", "range": [layers - 0.5, -0.5]}
        layout[f"xaxis{number}"] = axis("head", flat)
        layout[f"yaxis{number}"] = axis("layer", upright)
        layout["annotations"].append(_title(head_map, across_page[0], down_page[1]))
    return layout


def _ticks(count: int) -> dict[str, Any]:
    """A tick for every head or layer, or for every second, fifth, ... where all have no room."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if count <= _MOST_TICKS * step)
    return _TICKS | {"dtick": step}


def _part(start: float, total: float) -> list[float]:
    """The part of the page, in fractions, that a map of width 1 takes from `start` on."""
    return [round(start / total, 4), round((start + 1) / total, 4)]


def _title(head_map: HeadMap, x: float, y: float) -> dict[str, Any]:
    run = f"{plain(head_map.run, 12)}: " if head_map.run else ""
    text = f"{run}<b>{plain(head_map.task, 20)}</b>, length {head_map.length}"
    place = {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 4}
    return place | {"text": text, "showarrow": False, "font": {"size": 14}}


def _bar_title(metric: str) -> dict[str, Any]:
    """The colour bar's title, a fixed distance below the maps: plotly's own title would cover a lying bar."""
    place = {"x": 0.5, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "top", "yshift": -62}
    return place | {"text": effect_title(metric), "showarrow": False, "font": {"size": 12}}


def _color_axis(largest: float) -> dict[str, Any]:
    bar = {
        "orientation": "h",
        "thickness": 10,
        "len": 1,
        "x": 0.5,
        "xanchor": "center",
        "yref": "container",
        "y": 0,
        "yanchor": "bottom",
        "outlinewidth": 0,
    }
    return {"cmin": -largest, "cmax": largest, "colorscale": DIVERGING, "colorbar": bar}
