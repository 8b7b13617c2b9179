"""How far the theoretical sorter sorts, and how sharply it attends, by length, precision, softmax and noise."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from interp.figures.style import BLUE, GREEN, INK, OCHRE, PURPLE, VERMILLION
from interp.paper.names import fitting
from interp.paper.style import Width, inches, paper_style, plain_axes

_LOOKS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "D"), (PURPLE, "^"), (OCHRE, "v"), (INK, "x"))
"""Colour and marker of the precisions in turn."""

_DASHES = {"none": "-", "log_n": (0, (4, 1.5))}
"""Plain softmax, and tempered by ln n."""

_SOFTMAX = {"none": "plain", "log_n": "tempered (ln n)"}


def theory_figure(table: pd.DataFrame, *, width: Width) -> Figure:
    """Exact match above, attention on the source below, by length on a logarithmic axis; a column of panels per noise.

    Colour and marker say the precision, the dash the softmax. All panels have one scale from 0 to 1.

    Args:
        table: `SorterTheory`'s.
        width: One column, or both.
    """
    noises = list(dict.fromkeys(table["noise"]))
    with paper_style():
        lines = table[["precision", "temperature", "beta"]].drop_duplicates()
        across = 2 if width == "column" else 4
        height = 3.0 + 0.16 * -(-len(lines) // across)
        figure = Figure(figsize=(inches(width), height), layout="constrained")
        panels = figure.subplots(2, len(noises), squeeze=False, sharex=True, sharey=True)
        for column, noise in enumerate(noises):
            part = table[table["noise"] == noise]
            _panel(panels[0, column], part, "accuracy")
            _panel(panels[1, column], part, "mass")
            panels[0, column].set_title(f"noise {noise:g}" if noise else "no noise", loc="left")
            panels[1, column].set_xlabel("elements")
        panels[0, 0].set(ylabel="exact match", ylim=(-0.04, 1.04))
        panels[1, 0].set_ylabel("attention on\nthe source")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower left", ncols=across, frameon=False, fontsize=6, handlelength=3
        )
    return figure


def _panel(axes: Axes, table: pd.DataFrame, column: str) -> None:
    precisions = list(dict.fromkeys(table["precision"]))
    several = table.groupby("temperature")["beta"].nunique().max() > 1
    for (precision, temperature, beta), part in table.groupby(["precision", "temperature", "beta"], sort=False):
        color, marker = _LOOKS[precisions.index(precision) % len(_LOOKS)]
        name = f"{fitting(str(precision), 12)}, {_SOFTMAX[str(temperature)]}" + (f" × {beta:g}" if several else "")
        part = part.sort_values("length")
        axes.plot(
            part["length"], part[column], linestyle=_DASHES[str(temperature)], color=color, marker=marker, ms=3,
            mfc=color if temperature == "none" else "white", mew=0.7, lw=1.0, label=name, clip_on=False,
        )  # fmt: skip
    lengths = sorted(set(table["length"]))
    axes.set_xscale("log")
    axes.set_xticks(_apart(lengths), [f"{length:g}" for length in _apart(lengths)])
    axes.xaxis.set_minor_locator(NullLocator())
    plain_axes(axes)


def _apart(lengths: list[int]) -> list[int]:
    """Lengths whose numbers have room beside each other on a logarithmic axis."""
    span = max(lengths) / min(lengths)
    kept: list[int] = []
    for length in lengths:
        if not kept or length / kept[-1] >= span**0.22:
            kept.append(length)
    return kept
