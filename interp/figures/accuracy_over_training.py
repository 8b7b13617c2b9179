"""Figure: exact match at one length over the course of training, for the three models."""

import plotly.graph_objects as go
from pandas import DataFrame

from interp.figures.series import accuracy_series
from interp.figures.style import axis, new_figure


def accuracy_over_training(table: DataFrame, *, main: str, length: int) -> go.Figure:
    """Exact match (fraction of strings, with 95 % Wilson intervals) at one length, at each checkpoint.

    Args:
        table: `StudyResults.training`.
        main: Name of the main task.
        length: The length to show; a length without rows gives an empty plot.
    """
    figure = new_figure(height=390)
    for series in accuracy_series(table[table["length"] == length], main=main):
        figure.add_trace(series.trace("step"))
    figure.update_layout(
        xaxis=axis("training step (updates)", {"showgrid": False, "ticks": "outside", "rangemode": "tozero"}),
        yaxis=axis(f"exact match, length {length} (%)", {"range": [-0.03, 1.03], "tickformat": ".0%"}),
        hovermode="x unified",
        meta={"narrow": {"hovermode": "closest"}},
    )
    return figure
