"""Lines with intervals, as all line charts of the page draw them."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from interp.figures.style import SeriesStyle


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        series: What the legend says; lines that are shown and hidden together share it.
        style: Colour and marker.
        x: Where its points are.
        y: Their values; NaN leaves a gap.
        low: Lower ends of their intervals; empty for none.
        high: Upper ends.
        dash: plotly's name of a dash.
        label: What the hover text adds in front of the value, for example "seed 3: ".
    """

    series: str
    style: SeriesStyle
    x: Sequence[float | int]
    y: Sequence[float | int]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dash: str = "solid"
    label: str = ""

    def trace(self, form: str) -> go.Scatter:
        """The plotly line, with markers and bars.

        Args:
            form: How values read when pointed at, in d3's form, for example ".1%".
        """
        bars = {}
        hover = f"{self.label}%{{y:{form}}}"
        if self.low:
            bars = {
                "error_y": {
                    "type": "data", "symmetric": False, "thickness": 1.2, "width": 0,
                    "array": [high - y for high, y in zip(self.high, self.y, strict=True)],
                    "arrayminus": [y - low for low, y in zip(self.low, self.y, strict=True)],
                },
                "customdata": [[low, high] for low, high in zip(self.low, self.high, strict=True)],
            }  # fmt: skip
            hover += f" (95% interval %{{customdata[0]:{form}}} to %{{customdata[1]:{form}}})"
        return go.Scatter(
            x=list(self.x), y=list(self.y), name=self.series, mode="lines+markers",
            line={"color": self.style.color, "width": 2.2, "dash": self.dash},
            marker={"color": self.style.color, "symbol": self.style.symbol, "size": 7},
            hovertemplate=hover, legendgroup=self.series, meta={"weights": "averaged", "series": self.series}, **bars,
        )  # fmt: skip

    def faint(self, form: str) -> go.Scatter:
        """The line thin and light, without markers or bars: one seed of several."""
        return go.Scatter(
            x=list(self.x), y=list(self.y), name=f"{self.series}, {self.label}", mode="lines", opacity=0.45,
            line={"color": self.style.color, "width": 1, "dash": self.dash},
            marker={"symbol": self.style.symbol}, hovertemplate=f"%{{y:{form}}}", legendgroup=self.series,
            meta={"weights": "averaged", "series": self.series},
        )  # fmt: skip
