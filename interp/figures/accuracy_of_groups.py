"""Figure: exact match by length of several models or groups of seeds, with the lengths of training marked."""

from collections.abc import Sequence

import plotly.graph_objects as go

from interp.figures.accuracy_by_length import length_marks
from interp.figures.lines import Line
from interp.figures.style import axis, new_figure


def accuracy_of_groups(
    lines: Sequence[Line], faint: Sequence[Line], *, marks: Sequence[tuple[int, str]], title: str
) -> go.Figure:
    """Exact match (fraction of examples) by length; thin lines are single seeds.

    Args:
        lines: The lines with markers, each with its intervals.
        faint: The thin lines.
        marks: Lengths to mark, with what they are.
        title: What the vertical axis says.
    """
    figure = new_figure(height=430)
    for line in lines:
        figure.add_trace(line.trace(".1%"))
        for seed in faint:
            if seed.series == line.series:
                figure.add_trace(seed.faint(".1%"))
    places = [*(x for line in (*lines, *faint) for x in line.x), *(place for place, _ in marks)] or [0, 1]
    low, high = min(places) - 0.6, max(places) + 0.6
    shapes, annotations, above = length_marks(marks, low=low, high=high)
    figure.update_layout(
        xaxis=axis("length", {"range": [low, high], "showgrid": False, "ticks": "outside"}),
        yaxis=axis(title, {"range": [-0.03, 1.03], "tickformat": ".0%"}),
        shapes=shapes,
        annotations=annotations,
        margin={"l": 58, "r": 16, "t": above, "b": 52},
        hovermode="closest",
    )
    return figure
