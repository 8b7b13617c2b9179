"""Figure: exact match by length, for the three models, with the lengths of training marked."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from interp.figures.series import accuracy_series
from interp.figures.style import GREY, axis, new_figure

_ROW = 18
"""Pixels between the rows of the labels above the plot: each label has a row of its own, so none can overlap."""


def accuracy_by_length(
    table: DataFrame, *, main: str, main_length: int, auxiliary_length: int, transfer_length: int
) -> go.Figure:
    """Exact match (fraction of strings, with 95 % Wilson intervals) by string length.

    Averaged weights are solid lines, raw weights dotted and lighter. Labelled vertical lines mark the longest length
    that the main task was trained on, the length at which the models are compared, and the auxiliary's longest length.

    Args:
        table: `StudyResults.accuracy`.
        main: Name of the main task.
        main_length: Longest length of the main task in training.
        auxiliary_length: Longest length of the auxiliary tasks in training.
        transfer_length: Length at which the models are compared.
    """
    figure = new_figure(height=430)
    for series in accuracy_series(table, main=main):
        figure.add_trace(series.trace("length"))
    marks = [
        (main_length, f"main trained to {main_length}"),
        (transfer_length, f"compared at {transfer_length}"),
        (auxiliary_length, f"auxiliary trained to {auxiliary_length}"),
    ]
    lengths = [*table["length"], *(place for place, _ in marks)]
    low, high = min(lengths) - 0.6, max(lengths) + 0.6
    shapes, annotations, above = length_marks(marks, low=low, high=high)
    figure.update_layout(
        xaxis=axis("length", {"range": [low, high], "showgrid": False, "ticks": "outside"}),
        yaxis=axis("exact match (% of examples)", {"range": [-0.03, 1.03], "tickformat": ".0%"}),
        shapes=shapes,
        annotations=annotations,
        margin={"l": 58, "r": 16, "t": above, "b": 52},
        hovermode="x unified",
        meta={"narrow": {"hovermode": "closest"}},
    )
    return figure


def length_marks(
    marks: Sequence[tuple[int, str]], *, low: float, high: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Vertical lines with labels, on the side with more room; a line stops below the labels that reach across it.

    Args:
        marks: The lengths to mark, with what they are.
        low: Where the horizontal axis begins.
        high: Where it ends.

    Returns:
        plotly's shapes and annotations, and the margin above the plot that the labels need, in pixels.
    """
    marks = sorted(marks)
    if not marks:
        return [], [], 16
    leftward = marks[0][0] - low > high - marks[-1][0]
    shapes: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, (length, text) in enumerate(marks):
        row = place if leftward else len(marks) - 1 - place
        line = {"color": GREY, "width": 1.2, "dash": "dash"}
        shapes.append(_line(length, {"yref": "paper", "y0": 0, "y1": 1}, line))
        stem = {"yref": "paper", "ysizemode": "pixel", "yanchor": 1, "y0": 0, "y1": _ROW * (row + 1)}
        shapes.append(_line(length, stem, line | {"dash": "solid"}))
        annotations.append(_label(length, text, row=row, leftward=leftward))
    return shapes, annotations, 14 + _ROW * len(marks)


def _line(length: int, span: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "x0": length, "x1": length, "layer": "below", "line": line} | span


def _label(length: int, text: str, *, row: int, leftward: bool) -> dict[str, Any]:
    return {
        "x": length,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": _ROW * row + 1,
        "xanchor": "right" if leftward else "left",
        "xshift": -3 if leftward else 3,
        "text": text,
        "showarrow": False,
        "font": {"size": 12},
    }
