"""The series of the accuracy figures: one per model, task and kind of weights, with its name and its look."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go
from pandas import DataFrame

from interp.figures.style import CONDITIONS, OTHER_TASKS, SeriesStyle, plain
from interp.words.intervals import wilson

Weights = Literal["averaged", "raw"]

_OWN_SHOWN = {"auxiliary": True, "control": False}
"""Whether the tasks trained beside the main one are drawn before the reader asks."""


@dataclass(frozen=True)
class Series:
    """One line of an accuracy figure.

    Attributes:
        name: What the legend says; lines of the same model and task, with other weights, share it.
        weights: `averaged` lines are solid, with intervals; `raw` ones are dotted, lighter and without.
        style: Colour and marker.
        rows: The rows of the table that the line shows.
        shown: Whether the line is drawn before the reader asks for it.
    """

    name: str
    weights: Weights
    style: SeriesStyle
    rows: DataFrame
    shown: bool

    def trace(self, x: str) -> go.Scatter:
        """The plotly line of accuracy over the column `x`, with 95 % Wilson intervals."""
        rows = self.rows.sort_values(x)
        accuracy = [float(value) for value in rows["accuracy"]]
        intervals = [wilson(value, float(n)) for value, n in zip(accuracy, rows["n"], strict=True)]
        averaged = self.weights == "averaged"
        return go.Scatter(
            x=rows[x].tolist(),
            y=accuracy,
            name=self.name if averaged else f"{self.name}, raw weights",
            mode="lines+markers" if averaged else "lines",
            line={"color": self.style.color, "width": 2.2 if averaged else 1.6, "dash": "solid" if averaged else "dot"},
            marker={"symbol": self.style.symbol, "size": 7},
            opacity=1 if averaged else 0.6,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [interval.high - interval.value for interval in intervals],
                "arrayminus": [interval.value - interval.low for interval in intervals],
                "thickness": 1.2,
                "width": 0,
                "visible": averaged,
            },
            customdata=[[interval.low, interval.high] for interval in intervals],
            hovertemplate="%{y:.1%} (95% interval %{customdata[0]:.1%} to %{customdata[1]:.1%})",
            legendgroup=self.name,
            visible=True if self.shown else "legendonly",
            meta={"weights": self.weights, "series": self.name},
        )


def accuracy_series(table: DataFrame, *, main: str) -> list[Series]:
    """The series of an accuracy table, main task first: with its auxiliary, alone, with the control.

    The other tasks' own accuracy follows; a control's own is drawn only when the reader asks.

    Args:
        table: Columns `condition weights task n accuracy`, and those that the lines run along.
        main: Name of the main task.
    """
    return [*_of_main(table, main), *_of_others(table, main)]


def series_name(table: DataFrame, *, main: str, condition: str) -> str:
    """What a model is called, for example "shift, trained with copy" or "shift, trained with reverse (control)"."""
    if condition == "alone":
        return f"{plain(main)}, trained alone"
    others = ", ".join(plain(task) for task in _other_tasks(table, main, condition))
    suffix = " (control)" if condition == "control" else ""
    return f"{plain(main)}, trained with {others or 'its ' + condition}{suffix}"


def _other_tasks(table: DataFrame, main: str, condition: str) -> list[str]:
    tasks = table.loc[table["condition"] == condition, "task"]
    return [str(task) for task in dict.fromkeys(tasks) if task != main]


def _of_main(table: DataFrame, main: str) -> Iterator[Series]:
    for condition, style in CONDITIONS.items():
        name = series_name(table, main=main, condition=condition)
        yield from _by_weights(table, condition, main, name, style, shown=True)


def _of_others(table: DataFrame, main: str) -> Iterator[Series]:
    others = [(condition, task) for condition in _OWN_SHOWN for task in _other_tasks(table, main, condition)]
    for place, (condition, task) in enumerate(others):
        name, style = f"{plain(task)}, the {condition} task itself", OTHER_TASKS[place % len(OTHER_TASKS)]
        yield from _by_weights(table, condition, task, name, style, shown=_OWN_SHOWN[condition])


def _by_weights(
    table: DataFrame, condition: str, task: str, name: str, style: SeriesStyle, *, shown: bool
) -> Iterator[Series]:
    mine = table[(table["condition"] == condition) & (table["task"] == task)]
    for weights in ("averaged", "raw"):
        rows = mine[mine["weights"] == weights]
        if len(rows):
            yield Series(name, weights, style, rows, shown)
