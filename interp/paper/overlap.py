"""Two tasks' ablation effects head by head, and how alike the two maps are, against heads shuffled within layers."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator

from analyses.statistics.resampling import head_permutations
from interp.figures.ablation_maps import effect_title
from interp.figures.heads import HeadMap
from interp.figures.style import BLUE, GREEN, GREY, VERMILLION
from interp.paper.labels import label_points
from interp.paper.names import fitting
from interp.paper.style import NOTE, Width, inches, paper_style, plain_axes

_MEASURES = {
    "cosine": "cosine",
    "spearman": "Spearman",
    "weighted_jaccard": "weighted Jaccard",
    "rank_biased_overlap": "rank-biased overlap",
    "jaccard": "Jaccard of top {k}",
}
"""The measures that lie between -1 and 1, from the tolerant to the strict."""

_MOST_LABELS = 24


def null_band(
    main: HeadMap, auxiliary: HeadMap, at: Float[np.ndarray, " place"], *, draws: int, generator: Generator
) -> tuple[Float[np.ndarray, " place"], Float[np.ndarray, " place"]]:
    """Where the least-squares line of auxiliary on main effects lies if heads are shuffled within their layers.

    Args:
        main: The effects on the horizontal axis.
        auxiliary: The effects on the vertical axis, which are shuffled.
        at: Places on the horizontal axis.
        draws: Shuffles.
        generator: Their source.

    Returns:
        The ends of the central 95 % of the lines at each place; NaN if all main effects are equal.
    """
    measured = np.isfinite(main.effect) & np.isfinite(auxiliary.effect)
    x, y, layers = main.effect[measured], auxiliary.effect[measured], np.argwhere(measured)[:, 0]
    spread = float(((x - x.mean()) ** 2).sum())
    if not spread:
        return np.full(len(at), np.nan), np.full(len(at), np.nan)
    orders = head_permutations(layers, draws=draws, null="within_layer", generator=generator)
    slopes = (y[orders] - y.mean()) @ (x - x.mean()) / spread
    lines = y.mean() + slopes[:, None] * (at - x.mean())
    low, high = np.quantile(lines, [0.025, 0.975], axis=0)
    return low, high


def overlap_figure(
    maps: tuple[HeadMap, HeadMap], overlap: pd.DataFrame, *, metric: str, generator: Generator, width: Width
) -> Figure:
    """Left, every head's effect on both tasks with one standard error; right, how alike the maps are.

    Left: the line is the least-squares line, the hatched band holds the central 95 % of such lines with heads shuffled
    within layers. Right, for each measure: a filled point for the estimate without the noise of finite examples and its
    95 % interval, an open one for the estimate as it is, and a hatched bar for the central 95 % with heads shuffled
    within layers.

    Args:
        maps: The main task's map (horizontal) and the other's.
        overlap: `HeadOverlap`'s table of the two.
        metric: Name of the metric, which gives the unit.
        generator: The source of the band's shuffles.
        width: One column (the parts stand below each other) or both.
    """
    with paper_style():
        page = width == "page"
        figure = Figure(figsize=(inches(width), 3.0 if page else 4.9), layout="constrained")
        if page:
            scatter, measures = figure.subplots(1, 2, width_ratios=[1.15, 1])
        else:
            scatter, measures = figure.subplots(2, 1, height_ratios=[2.1, 1])
        _measures(measures, overlap)
        for axes, letter in zip((scatter, measures), "ab", strict=True):
            axes.set_title(letter, loc="left", fontweight="bold")
            plain_axes(axes)
        _scatter(scatter, maps, metric=metric, generator=generator, measures=measures, across=width)
    return figure


def _scatter(
    axes: Axes, maps: tuple[HeadMap, HeadMap], *, metric: str, generator: Generator, measures: Axes, across: Width
) -> None:
    main, auxiliary = maps
    measured = np.isfinite(main.effect) & np.isfinite(auxiliary.effect)
    low, high = _range(main), _range(auxiliary)
    at = np.linspace(*low, 50)
    band = null_band(main, auxiliary, at, draws=2000, generator=generator)
    axes.fill_between(
        at, *band, facecolor="#eeeeee", edgecolor="#999999", hatch="....", lw=0,
        label="95 % with heads shuffled",
    )  # fmt: skip
    x, y = main.effect[measured], auxiliary.effect[measured]
    if len(x) > 1 and np.ptp(x):
        slope, intercept = np.polyfit(x, y, 1)
        axes.plot(at, intercept + slope * at, color="black", lw=0.9, label="least-squares line")
    one, other = main.matters(), auxiliary.matters()
    classes = [
        ("matters to neither", GREY, "o", True, ~one & ~other),
        (f"to {fitting(auxiliary.task, 14)} only", GREEN, "D", True, ~one & other),
        (f"to {fitting(main.task, 14)} only", VERMILLION, "s", True, one & ~other),
        ("to both", BLUE, "o", False, one & other),
    ]
    for name, color, marker, hollow, where in classes:
        where = where & measured
        if where.any():
            axes.errorbar(
                main.effect[where], auxiliary.effect[where], xerr=main.stderr[where], yerr=auxiliary.stderr[where],
                fmt=marker, ms=3.4, mec=color, mfc="white" if hollow else color, mew=0.8, ecolor=color, elinewidth=0.5,
                label=f"{name} ({where.sum()})",
            )  # fmt: skip
    axes.axhline(0, color=GREY, lw=0.4, zorder=0)
    axes.axvline(0, color=GREY, lw=0.4, zorder=0)
    axes.set(xlim=low, ylim=high)
    axes.set_xlabel(f"{fitting(main.task, 28)}\n{effect_title(metric)}", fontsize=7)
    axes.set_ylabel(f"{fitting(auxiliary.task, 28)}\n{effect_title(metric)}", fontsize=7)
    handles, labels = axes.get_legend_handles_labels()
    more_handles, more_labels = measures.get_legend_handles_labels()
    axes.figure.legend(
        [*handles, *more_handles],
        [*labels, *more_labels],
        loc="outside lower left",
        frameon=False,
        fontsize=NOTE,
        ncols=3 if across == "page" else 2,
        columnspacing=1.0,
    )
    _name_heads(axes, main, auxiliary, measured & (one | other), measured)


def _name_heads(axes: Axes, main: HeadMap, auxiliary: HeadMap, named: np.ndarray, measured: np.ndarray) -> None:
    size = np.where(named, np.fmax(np.abs(main.effect), np.abs(auxiliary.effect)), 0)
    heads = sorted(map(tuple, np.argwhere(named).tolist()), key=lambda head: -size[head])[:_MOST_LABELS]
    at = np.array([(main.effect[head], auxiliary.effect[head]) for head in heads]).reshape(-1, 2)
    every = np.stack([main.effect[measured], auxiliary.effect[measured]], axis=1)
    label_points(axes, [f"{layer}.{head}" for layer, head in heads], at, others=every)


def _range(one: HeadMap) -> tuple[float, float]:
    """Every effect with its error, zero, and a margin."""
    errors = np.nan_to_num(one.stderr)
    low, high = np.nanmin(one.effect - errors, initial=0), np.nanmax(one.effect + errors, initial=0)
    pad = 0.08 * (high - low) or 0.1
    return float(low - pad), float(high + pad)


def _measures(axes: Axes, overlap: pd.DataFrame) -> None:
    rows = overlap[(overlap["null"] == "within_layer") & overlap["measure"].isin(list(_MEASURES))]
    rows = rows.set_index("measure").loc[[name for name in _MEASURES if name in set(rows["measure"])]].reset_index()
    for place, row in enumerate(rows.to_dict("records")):
        axes.barh(
            place, row["null_high"] - row["null_low"], 0.5, row["null_low"], facecolor="#eeeeee", edgecolor="#999999",
            hatch="....", lw=0,
        )  # fmt: skip
        names = ("likeness without noise, 95 %", "likeness as it is") if place == 0 else ("", "")
        ends = [[row["corrected"] - row["low"]], [row["high"] - row["corrected"]]]
        axes.errorbar([row["corrected"]], [place], xerr=np.clip(ends, 0, None), fmt="d", ms=3.8, color=BLUE, lw=1.2,
                      label=names[0])  # fmt: skip
        axes.plot([row["estimate"]], [place], "d", ms=3.8, mec=BLUE, mfc="white", mew=0.8, label=names[1])
    labels = [_MEASURES[str(row["measure"])].format(k=row["k"]) + ", " + _p(float(row["p"])) for row in
              rows.to_dict("records")]  # fmt: skip
    axes.set_yticks(range(len(rows)), labels, fontsize=6)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(min(-0.05, float(rows[["null_low", "low"]].min().min()) - 0.05), 1.05))
    axes.axvline(0, color=GREY, lw=0.4, zorder=0)
    axes.set_xlabel("likeness of the maps (1: the same)", fontsize=7)


def _p(p: float) -> str:
    if np.isnan(p):
        return "p not defined"
    return f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"
