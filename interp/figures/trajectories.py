"""Figure: one quantity of reuse or transfer over the course of training, one thin line per seed and their mean."""

import plotly.graph_objects as go
from pandas import DataFrame

from interp.figures.lines import Line
from interp.figures.style import CONDITIONS, OTHER_TASKS, SeriesStyle, axis, new_figure, plain

_ZERO_TO_ONE = ("gap", "accuracy", "jaccard", "overlap_coefficient", "rank_biased_overlap", "weighted_jaccard")


def trajectories(table: DataFrame, *, quantity: str, metric: str, title: str) -> go.Figure:
    """A quantity at each checkpoint: means over seeds, with markers, and the seeds themselves, thin.

    Args:
        table: `ReuseOverTraining`'s, with or without `condition`.
        quantity: Which rows.
        metric: Of the maps; empty for quantities that are not of maps.
        title: What the vertical axis says.
    """
    figure = new_figure(height=360)
    rows = table[(table["quantity"] == quantity) & (table["metric"] == metric)]
    keys = ["condition", "auxiliary"] if "condition" in rows else ["auxiliary"]
    for place, (_, part) in enumerate(rows.groupby(keys, sort=False)):
        auxiliary = str(part["auxiliary"].iloc[0])
        condition = str(part["condition"].iloc[0]) if "condition" in part else "auxiliary"
        name = f"with {plain(auxiliary)}" + (" (control)" if condition == "control" else "")
        _add(figure, part, name, _style(condition, place))
    range_ = {"range": [-0.03, 1.03]} if quantity in _ZERO_TO_ONE else {"rangemode": "tozero"}
    figure.update_layout(
        xaxis=axis("training step (updates)", {"showgrid": False, "ticks": "outside", "rangemode": "tozero"}),
        yaxis=axis(title, {**range_, "automargin": "left"}),
        hovermode="closest",
    )
    return figure


def _style(condition: str, place: int) -> SeriesStyle:
    if place == 0 or condition == "control":
        return CONDITIONS[condition if condition in CONDITIONS else "auxiliary"]
    return OTHER_TASKS[(place - 1) % len(OTHER_TASKS)]


def _add(figure: go.Figure, rows: DataFrame, name: str, style: SeriesStyle) -> None:
    wide = rows.pivot_table(index="step", columns="seed", values="value", dropna=False)
    steps = [int(step) for step in wide.index]
    figure.add_trace(Line(name, style, steps, wide.mean(axis=1).tolist()).trace(".3f"))
    if wide.shape[1] > 1:
        for seed in wide.columns:
            figure.add_trace(Line(name, style, steps, wide[seed].tolist(), label=f"seed {seed}").faint(".3f"))
