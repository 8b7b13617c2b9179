"""The gap grid: generalization gap by training lengths, as Extrapolation by Association shows it (Figure 10)."""

from collections.abc import Sequence
from importlib.resources import files
from io import StringIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from interp.paper.names import fitting
from interp.paper.style import TALLEST, Width, bare_axes, inches, note, paper_style, vector_bar

UNLEARNED = 0.9
"""Where the longer-trained task's own accuracy lies below this, on the mean over the grid, the gap is marked."""

_COLORS = "cividis_r"
"""Even steps of brightness for every reader, and in grey: the larger the gap, the darker."""


def paper_gaps() -> pd.DataFrame:
    """The paper's own table: addition with its carry parts at full scale, mean of 3 seeds, normaliser unknown.

    Returns:
        Columns main_length, auxiliary_length, gap.
    """
    text = files("interp.paper").joinpath("p1_gap_by_length.csv").read_text(encoding="utf-8")
    wide = pd.read_csv(StringIO(text)).set_index("main_length")
    wide.columns = [int(name.removeprefix("aux_")) for name in wide.columns]
    return wide.reset_index().melt("main_length", var_name="auxiliary_length", value_name="gap")


def gap_grid_figure(grids: Sequence[tuple[str, pd.DataFrame]], *, width: Width) -> Figure:
    """One or several gap grids side by side, on one scale from 0 (the curves agree) to 1.

    Args:
        grids: Titles and tables with the columns main_length, auxiliary_length, gap; low and high if there are
            intervals, which stand below each number; and longer_accuracy if it is known, for the mark.
        width: One column (several grids stand below each other) or both.

    Returns:
        The figure. A star marks a gap that says little, because
        the task with the longer training is below 0.9 itself.
    """
    with paper_style():
        shapes = [_wide(table, "gap").shape for _, table in grids]
        beside = width == "page"
        rows = [count for count, _ in shapes]
        height = 0.9 + 0.42 * max(rows) if beside else sum(0.6 + 0.42 * count for count in rows) + 0.3
        figure = Figure(figsize=(inches(width), min(height, TALLEST)), layout="constrained")
        if beside:
            panels = figure.subplots(1, len(grids), squeeze=False, width_ratios=[columns for _, columns in shapes])[0]
        else:
            panels = figure.subplots(len(grids), 1, squeeze=False, height_ratios=rows)[:, 0]
        for axes, (title, table) in zip(panels, grids, strict=True):
            _panel(axes, title, table)
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), _COLORS), ax=list(panels), fraction=0.04, pad=0.02, ticks=[0, 0.5, 1]
        )
        bar.set_label("generalization gap")
        vector_bar(bar)
        if any((table.get("longer_accuracy", pd.Series(dtype=float)) < UNLEARNED).any() for _, table in grids):
            note(figure, f"* the longer-trained task is itself below {UNLEARNED}")
    return figure


def _panel(axes: Axes, title: str, table: pd.DataFrame) -> None:
    gaps = _wide(table, "gap")
    edges = [np.arange(count + 1) - 0.5 for count in gaps.shape[::-1]]
    axes.pcolormesh(*edges, np.ma.masked_invalid(gaps.to_numpy()), cmap=_COLORS, vmin=0, vmax=1, edgecolors="face")
    axes.invert_yaxis()
    axes.set_xticks(range(gaps.shape[1]), [str(length) for length in gaps.columns])
    axes.set_yticks(range(gaps.shape[0]), [str(length) for length in gaps.index])
    axes.set_xlabel("auxiliary's longest training length")
    axes.set_ylabel("main task's longest")
    axes.set_title(fitting(title, 32), loc="left")
    bare_axes(axes)
    intervals = {"low", "high"} <= set(table.columns)
    low, high = (_wide(table, end).to_numpy() if intervals else np.full(gaps.shape, np.nan) for end in ("low", "high"))
    starred = "longer_accuracy" in table
    learned = _wide(table, "longer_accuracy").to_numpy() if starred else np.ones(gaps.shape)
    for (row, column), gap in np.ndenumerate(gaps.to_numpy()):
        if np.isnan(gap):
            continue
        ink = "white" if gap > 0.55 else "black"
        star = "*" if learned[row, column] < UNLEARNED else ""
        known = not np.isnan(low[row, column])
        axes.text(column, row - (0.13 if known else 0), f"{gap:.2f}{star}", ha="center", va="center", color=ink)
        if known:
            span = f"{low[row, column]:.2f}–{high[row, column]:.2f}"
            axes.text(column, row + 0.22, span, ha="center", va="center", color=ink, fontsize=5)


def _wide(table: pd.DataFrame, values: str) -> pd.DataFrame:
    """A grid with main lengths down and auxiliary lengths across, ascending."""
    return table.pivot(index="main_length", columns="auxiliary_length", values=values).sort_index().sort_index(axis=1)
