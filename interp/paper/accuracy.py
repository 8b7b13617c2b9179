"""Exact match by length, with intervals, and the lengths that training reached."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from interp.figures.style import BLUE, GREEN, GREY, INK, OCHRE, PURPLE, VERMILLION
from interp.paper.names import fitting
from interp.paper.style import Width, inches, paper_style, plain_axes

_LOOKS = ((BLUE, "-", "o"), (VERMILLION, ":", "s"), (GREEN, "--", "D"), (PURPLE, "-.", "^"), (OCHRE, (0, (5, 1)), "v"),
          (INK, (0, (1, 1)), "x"))  # fmt: skip
"""Colour, dash and marker of the series in turn: any one of the three tells them apart."""

_LETTERS = 40


@dataclass(frozen=True)
class Reached:
    """A length that is marked, and why.

    Attributes:
        length: The length.
        what: A few words, such as "main trained to".
    """

    length: int
    what: str


def accuracy_figure(table: pd.DataFrame, *, marks: Sequence[Reached], width: Width) -> Figure:
    """Lines of exact match by length with their 95 % intervals, on a scale from 0 to 1.

    Args:
        table: Columns series, length, accuracy, low, high (the interval; NaN if there is none).
        marks: The lengths to mark with a line, numbered where they stand and explained below the axis.
        width: One column, or both.
    """
    with paper_style():
        names = list(dict.fromkeys(table["series"]))
        rows = -(-len(names) // _across(width)) + -(-len(marks) // _across(width)) / 2
        figure = Figure(figsize=(inches(width), 1.9 + 0.17 * rows), layout="constrained")
        axes = figure.subplots()
        for place, name in enumerate(names):
            part = table[table["series"] == name].sort_values("length")
            color, dash, marker = _LOOKS[place % len(_LOOKS)]
            axes.fill_between(part["length"], part["low"], part["high"], color=color, alpha=0.15, lw=0)
            axes.plot(
                part["length"],
                part["accuracy"],
                linestyle=dash,
                marker=marker,
                markevery=max(1, len(part) // 14),
                color=color,
                lw=1.1,
                ms=3,
                mfc="white" if place % 2 else color,
                mew=0.8,
                label=fitting(name, _LETTERS),
            )
        for mark in marks:
            axes.axvline(mark.length, color=GREY, lw=0.7, ls=(0, (4, 2)), zorder=0)
        axes.set(ylabel="exact match", ylim=(-0.03, 1.03), xlabel=_label(marks))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain_axes(axes)
        figure.legend(loc="outside upper left", ncols=_across(width), frameon=False, handlelength=2.6)
    return figure


def _across(width: Width) -> int:
    return 1 if width == "column" else 2


def _label(marks: Sequence[Reached]) -> str:
    """What the axis and its lines are, a line of text for each."""
    return "\n".join(["length", *(f"line at {mark.length}: {mark.what}" for mark in marks)])
