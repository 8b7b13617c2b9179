"""Attention patterns of heads on the same prompt of several tasks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analyses.transfer.study_results import AttentionExample
from interp.paper.names import fitting, panel_title
from interp.paper.style import ATTENTION, TALLEST, Width, bare_axes, inches, paper_style, vector_bar

_TOKEN = 0.085
"""Inches that a token needs beside the axis to be written whole."""


def attention_figure(examples: Sequence[AttentionExample], *, width: Width) -> Figure:
    """Patterns [query, key] as squares on one scale from 0 to 1: a column per head, or per task in one column of text.

    Args:
        examples: One for each head and task.
        width: One column, or both.
    """
    places = _places(examples, width)
    down, across = (1 + max(place[axis] for place in places) for axis in (0, 1))
    side = min((inches(width) - 0.55) / across, (TALLEST - 0.3) / down)
    with paper_style():
        figure = Figure(figsize=(inches(width), down * side + 0.3), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False)
        for axes in panels.flat:
            axes.set_visible(False)
        for (row, column), one in zip(places, examples, strict=True):
            ends = (column == 0, row == max(place[0] for place in places if place[1] == column))
            _panel(panels[row, column], one, ends=ends, side=side - 0.6)
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), ATTENTION), ax=panels, ticks=[0, 0.5, 1], fraction=0.03, pad=0.02,
            aspect=30, shrink=min(1.0, 1.6 / (down * side)),
        )  # fmt: skip
        bar.set_label("attention", fontsize=7)
        bar.ax.tick_params(labelsize=6)
        vector_bar(bar)
    return figure


def _places(examples: Sequence[AttentionExample], width: Width) -> list[tuple[int, int]]:
    """Row and column of each example's panel."""
    tasks = list(dict.fromkeys(one.task for one in examples))
    heads = list(dict.fromkeys((one.layer, one.head) for one in examples))
    places = []
    for one in examples:
        task, head = tasks.index(one.task), heads.index((one.layer, one.head))
        if width == "column":
            band, column = divmod(task, 2)
            places.append((head * -(-len(tasks) // 2) + band, column))
        else:
            band, column = divmod(head, 4)
            places.append((band * len(tasks) + task, column))
    return places


def _panel(axes: Axes, one: AttentionExample, *, ends: tuple[bool, bool], side: float) -> None:
    """One pattern; its axes have names where the panel is the first of its row, resp. the last of its column."""
    count = len(one.tokens)
    edges = np.arange(count + 1) - 0.5
    hidden = np.triu(np.ones((count, count), bool), 1)
    axes.set_visible(True)
    axes.pcolormesh(
        edges, edges, np.ma.masked_array(one.pattern, hidden | ~np.isfinite(one.pattern)), cmap=ATTENTION, vmin=0,
        vmax=1, edgecolors="#dddddd" if count <= 30 else "face", linewidth=0.2,
    )  # fmt: skip
    axes.plot(np.repeat(edges, 2)[2:], np.repeat(edges, 2)[1:-1], color="#999999", lw=0.4)  # the future is hidden
    every = max(1, -int(-count * _TOKEN // max(side, 0.3)))
    names = [fitting(one.tokens[place], 9) for place in range(0, count, every)]
    places = range(0, count, every)
    axes.set_xticks(places, names, fontsize=5, rotation=90)
    axes.set_yticks(places, names, fontsize=5)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    axes.set_title(panel_title(one.task, f"head {one.layer}.{one.head}", across=side * 1.3), loc="left", fontsize=7)
    if ends[0]:
        axes.set_ylabel("at (query)", fontsize=6)
    if ends[1]:
        axes.set_xlabel("attends to (key)", fontsize=6)
    bare_axes(axes)
