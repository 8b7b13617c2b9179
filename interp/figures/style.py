"""The look that all figures share: colours that colour-blind readers can tell apart, fonts, light and dark."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8F6400", "#8A8F98"
"""Okabe and Ito's colours (their orange darkened, to be seen on white), and a grey."""

ON_DARK = {
    BLUE: "#4ba3d8",
    VERMILLION: "#f08a3c",
    GREEN: "#35c49b",
    PURPLE: "#dfa3c5",
    OCHRE: "#e69f00",
    GREY: "#9aa0a8",
}
"""What a dark page shows instead: the same hues, lighter."""

INK, RULE, PAPER = "#1f2328", "#e3e5e8", "#f7f7f5"
DARK_INK, DARK_RULE, DARK_PAPER = "#e6e6e3", "#34383e", "#1c1f23"

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class SeriesStyle:
    """Colour and marker of one series; the marker tells series apart without colour."""

    color: str
    symbol: str


CONDITIONS = {
    "auxiliary": SeriesStyle(BLUE, "circle"),
    "alone": SeriesStyle(VERMILLION, "square"),
    "control": SeriesStyle(GREEN, "diamond"),
}
"""How each of the three models looks in every figure."""

OTHER_TASKS = (SeriesStyle(PURPLE, "triangle-up"), SeriesStyle(OCHRE, "star"), SeriesStyle(GREY, "cross"))
"""How the auxiliary and control tasks' own accuracies look, in turn."""

RUNS = (
    SeriesStyle(BLUE, "circle"),
    SeriesStyle(VERMILLION, "square"),
    SeriesStyle(GREEN, "diamond"),
    SeriesStyle(PURPLE, "triangle-up"),
    SeriesStyle(OCHRE, "star"),
    SeriesStyle(GREY, "cross"),
)
"""How runs that are compared look, in turn."""


DIVERGING = [(0.0, "#8f3d00"), (0.2, VERMILLION), (0.5, PAPER), (0.8, BLUE), (1.0, "#003f66")]
"""Vermillion for harm, paper for no effect, blue for help; the larger, the darker."""

DARK_DIVERGING = [(0.0, "#ffc39a"), (0.2, VERMILLION), (0.5, DARK_PAPER), (0.8, BLUE), (1.0, "#a5d8f7")]
"""The same for a dark page: the larger, the lighter."""


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, "#rrggbb", as WCAG 2 measures it: 1 (none) to 21 (black on white)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable_on(scale: Sequence[tuple[float, str]], share: float) -> str:
    """Black or white, whichever stands out more on a colour of a scale: at least 4.5 to 1.

    Args:
        scale: Colours at places from 0 to 1, straight lines between them, as plotly reads it.
        share: The place of the colour.
    """
    channels = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for _, color in scale]
    places = [place for place, _ in scale]
    mixed = [round(float(np.interp(share, places, [one[channel] for one in channels]))) for channel in range(3)]
    color = "#" + "".join(f"{value:02x}" for value in mixed)
    return "#000000" if contrast("#000000", color) > contrast("#ffffff", color) else "#ffffff"


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def plain(name: str, limit: int = 24) -> str:
    """A name as plotly may show it: at most `limit` characters, and no markup in it (plotly reads some HTML)."""
    short = name if len(name) <= limit else f"{name[: limit - 6]}…{name[-5:]}"
    return html.escape(short, quote=False)


def new_figure(*, height: int) -> go.Figure:
    """An empty figure: transparent, no drag to zoom (a phone's reader wants to scroll), no template."""
    return go.Figure(
        layout=go.Layout(
            template="none",
            height=height,
            autosize=True,
            dragmode=False,
            font={"family": FONT, "size": 13, "color": INK},
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            hoverlabel={"namelength": -1, "font": {"family": FONT, "size": 13}},
            legend={"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0},
            margin={"l": 58, "r": 16, "t": 16, "b": 52},
        )
    )


def axis(title: str, extra: dict[str, Any]) -> dict[str, Any]:
    """The properties that all axes share, then those of one axis in plotly's names."""
    shared = {"title": {"text": title, "standoff": 10}, "gridcolor": RULE, "zeroline": False, "linecolor": RULE}
    return shared | extra


def dark_patch(figure: go.Figure) -> dict[str, object]:
    """The layout attributes, by dotted path, that a dark page changes in a figure."""
    patch: dict[str, object] = {"font.color": DARK_INK, "hoverlabel.bordercolor": DARK_RULE}
    layout = figure.to_plotly_json()["layout"]
    for name in layout:
        if name.startswith(("xaxis", "yaxis")):
            patch[f"{name}.gridcolor"] = DARK_RULE
            patch[f"{name}.linecolor"] = DARK_RULE
    if "coloraxis" in layout:
        patch["coloraxis.colorscale"] = DARK_DIVERGING
    return patch
