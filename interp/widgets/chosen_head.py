"""The chosen head, marked in the maps and in the scatter."""

from typing import Any

import plotly.graph_objects as go

from analyses.heads import Head
from interp.figures.heads import HeadMap
from interp.figures.style import OCHRE

_LINE = {"color": OCHRE, "width": 3}


def frames(head: Head, *, maps: int = 2) -> list[dict[str, Any]]:
    """A frame around the head's cell in every map, as plotly's shapes."""
    return [_frame(head, place) for place in range(1, maps + 1)]


def _frame(head: Head, place: int) -> dict[str, Any]:
    number = str(place) if place > 1 else ""
    ends = {"x0": head.head - 0.5, "x1": head.head + 0.5, "y0": head.layer - 0.5, "y1": head.layer + 0.5}
    return {"type": "rect", "xref": f"x{number}", "yref": f"y{number}", "line": _LINE} | ends


def mark_in_scatter(figure: go.Figure, head: Head, main: HeadMap, auxiliary: HeadMap) -> None:
    """Draws a ring around the head's point; it is the last trace."""
    figure.add_trace(
        go.Scatter(
            x=[float(main.effect[head.layer, head.head])],
            y=[float(auxiliary.effect[head.layer, head.head])],
            mode="markers",
            marker={"symbol": "circle-open", "size": 18, "color": OCHRE, "line": {"width": 3}},
            name="chosen head",
            hoverinfo="skip",
        )
    )


def strongest(main: HeadMap, auxiliary: HeadMap) -> Head:
    """The head that both tasks need most: the greatest of the lesser of its two effects."""
    least = [
        (min(main.effect[layer, head], auxiliary.effect[layer, head]), -layer, -head)
        for layer in range(main.effect.shape[0])
        for head in range(main.effect.shape[1])
    ]
    _, layer, head = max(least)
    return Head(-int(layer), -int(head))
