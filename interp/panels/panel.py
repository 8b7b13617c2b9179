"""A figure as the report page holds it: plotly data for its script, a legend and a description in HTML, its numbers."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import plotly.graph_objects as go

from interp.figures.style import dark_patch
from interp.panels.sources import Source

NOTHING = Source()
"""The source of a figure of which only the page knows."""


@dataclass(frozen=True)
class LegendItem:
    """One entry of a figure's legend, drawn as a box to tick; `key` is the `series` in its lines' meta."""

    key: str
    name: str
    color: str
    symbol: str
    shown: bool


@dataclass(frozen=True)
class Panel:
    """One figure of a set from which the reader chooses.

    Attributes:
        id: Its id in the page.
        label: Its name in the choice.
        alt: What it shows, for those who do not see it.
        plot: `data`, `layout`, and the layout attributes that a `narrow` or `dark` page changes.
        legend: Its series.
        has_raw: Whether there are lines of raw weights to tick.
        unit: What its numbers are, where its axes do not say it.
        source: Its numbers as a file, and the commands that make it again.
    """

    id: str
    label: str
    alt: str
    plot: dict[str, Any]
    legend: tuple[LegendItem, ...]
    has_raw: bool
    unit: str
    source: Source


def panel(name: str, label: str, *, alt: str, figure: go.Figure, source: Source = NOTHING) -> Panel:
    """A figure made ready for the page.

    Args:
        name: Its id, without the beginning that all figures share.
        label: Its name in the choice.
        alt: What it shows.
        figure: The plotly figure; lines with `series` in their meta are in the legend.
        source: Its numbers and commands.
    """
    plot = cast("dict[str, Any]", figure.to_plotly_json())
    layout = plot["layout"] | {"showlegend": False}
    meta = layout.pop("meta", {})
    layout.pop("template", None)
    spec = {"data": plot["data"], "layout": layout, "narrow": meta.get("narrow", {}), "dark": dark_patch(figure)}
    lines = [trace for trace in plot["data"] if "series" in trace.get("meta", {})]
    has_raw = any(line["meta"].get("weights") == "raw" for line in lines)
    return Panel(f"figure-{name}", label, alt, spec, tuple(_legend(lines)), has_raw, str(meta.get("unit", "")), source)


def _legend(lines: list[dict[str, Any]]) -> Iterator[LegendItem]:
    """One item per series: its first line gives its look."""
    seen: set[str] = set()
    for line in lines:
        key = line["meta"]["series"]
        if key not in seen:
            seen.add(key)
            color = line.get("line", line["marker"])["color"]
            shown = line.get("visible") != "legendonly"
            yield LegendItem(key, html.unescape(key), color, line["marker"]["symbol"], shown)
