"""Figure: how faithful circuits of each size are."""

import plotly.graph_objects as go
from pandas import DataFrame

from interp.figures.lines import Line
from interp.figures.style import GREY, RUNS, axis, new_figure, plain


def faithfulness(table: DataFrame) -> go.Figure:
    """Faithfulness (1: the whole model, 0: no edge) over the share of edges that are kept, on a logarithmic axis.

    Args:
        table: `CircuitSearch`'s curve, of one task or more.
    """
    figure = new_figure(height=380)
    for place, (task, rows) in enumerate(table.groupby("task", sort=False)):
        rows = rows[rows["size"] > 0].sort_values("size")
        ends = {"low": rows["low"].tolist(), "high": rows["high"].tolist()}
        line = Line(plain(str(task)), RUNS[place % len(RUNS)], rows["size"].tolist(), rows["faithfulness"].tolist())
        figure.add_trace(Line(line.series, line.style, line.x, line.y, ends["low"], ends["high"]).trace(".2f"))
    ticks = {"type": "log", "tickformat": ".1~%", "showgrid": False, "ticks": "outside", "dtick": 1}
    whole = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 1, "y1": 1, "layer": "below"}
    figure.update_layout(
        xaxis=axis("edges kept (% of all, logarithmic)", ticks),
        yaxis=axis("faithfulness (1: the whole model)", {"zeroline": True, "zerolinecolor": GREY}),
        shapes=[whole | {"line": {"color": GREY, "width": 1, "dash": "dash"}}],
    )
    return figure
