"""What the explorer shows of two tasks, as a figure for a paper: both maps, and every head as a point."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analyses.heads import Head
from interp.figures.ablation_maps import effect_text, effect_title
from interp.figures.heads import HeadMap
from interp.figures.style import BLUE, GREEN, GREY, OCHRE, VERMILLION
from interp.paper.labels import label_points
from interp.paper.names import fitting
from interp.paper.style import EFFECTS, HATCH, PAGE, paper_style, vector_bar

_NUMBERS_UP_TO = 8
_SMALLEST_SCALE = 0.1
_MOST_LABELS = 12
_HATCHED = 0.05


def selection_figure(main: HeadMap, auxiliary: HeadMap, *, metric: str, chosen: Head | None = None) -> Figure:
    """Both tasks' maps on one colour scale around zero, and every head's effect on one against that on the other.

    Effects below zero are hatched, since grey does not tell them from those above.

    Args:
        main: The map on the left, and the horizontal axis.
        auxiliary: The map in the middle, and the vertical axis.
        metric: Name of the metric, which gives the unit.
        chosen: A head to mark.
    """
    layers, heads = main.effect.shape
    with paper_style():
        figure = Figure(figsize=(PAGE, 2.75), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
        size = max(_SMALLEST_SCALE, *(float(np.nanmax(np.abs(one.effect), initial=0.0)) for one in (main, auxiliary)))
        cells = [
            _map(ax, one, size, numbers=max(layers, heads) <= _NUMBERS_UP_TO)
            for ax, one in zip(axes[:2], (main, auxiliary), strict=True)
        ]
        axes[0].set_ylabel("layer")
        bar = figure.colorbar(cells[0], ax=list(axes[:2]), orientation="horizontal", shrink=0.7, aspect=40, pad=0.03)
        vector_bar(bar)
        bar.outline.set_visible(False)
        bar.set_label(effect_title(metric))
        _points(axes[2], main, auxiliary)
        if chosen is not None:
            _mark(axes[0], axes[1], axes[2], chosen, main, auxiliary)
        _name_heads(axes[2], main, auxiliary)
    return figure


def _map(axes: Axes, one: HeadMap, size: float, *, numbers: bool) -> QuadMesh:
    layers, heads = one.effect.shape
    cells = axes.pcolormesh(
        np.arange(heads + 1) - 0.5, np.arange(layers + 1) - 0.5, np.ma.masked_invalid(one.effect), cmap=EFFECTS,
        vmin=-size, vmax=size, edgecolors="face", linewidth=0.3,
    )  # fmt: skip
    for layer, head in np.argwhere(one.effect < -_HATCHED * size):
        corner = (head - 0.45, layer - 0.45)
        axes.add_patch(Rectangle(corner, 0.9, 0.9, fill=False, hatch=HATCH, edgecolor="#00000066", linewidth=0))
    axes.set(xlim=(-0.5, heads - 0.5), ylim=(layers - 0.5, -0.5))
    axes.set_xticks(range(0, heads, max(1, heads // 8)))
    axes.set_yticks(range(0, layers, max(1, layers // 8)))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("head")
    axes.set_title(f"{fitting(one.task, 14)}, length {one.length}", loc="left", fontweight="bold").set_parse_math(False)
    if numbers:
        for (layer, head), effect in np.ndenumerate(one.effect):
            ink = "white" if abs(effect) > 0.6 * size else "#1f2328"
            text = axes.text(head, layer, effect_text(effect), ha="center", va="center", fontsize=5, color=ink)
            if effect < -_HATCHED * size:
                text.set_bbox({"boxstyle": "square,pad=0.1", "fc": EFFECTS(0.5 + effect / size / 2), "ec": "none"})
    return cells


def _points(axes: Axes, main: HeadMap, auxiliary: HeadMap) -> None:
    one, other = main.matters(), auxiliary.matters()
    classes = (
        ("neither", ~one & ~other, GREY, "o", "none"),
        (f"{fitting(auxiliary.task, 20)} only", ~one & other, GREEN, "D", GREEN),
        (f"{fitting(main.task, 20)} only", one & ~other, VERMILLION, "s", VERMILLION),
        ("both", one & other, BLUE, "o", BLUE),
    )
    for name, where, color, marker, face in classes:
        if where.any():
            axes.errorbar(
                main.effect[where], auxiliary.effect[where], xerr=np.nan_to_num(main.stderr[where]),
                yerr=np.nan_to_num(auxiliary.stderr[where]), fmt=marker, ms=4, mec=color, mfc=face, ecolor=color,
                elinewidth=0.6, label=name,
            )  # fmt: skip
    axes.axhline(0, color=GREY, lw=0.5, zorder=0)
    axes.axvline(0, color=GREY, lw=0.5, zorder=0)
    axes.axline((0, 0), slope=1, color=GREY, lw=0.6, ls="--", zorder=0)
    axes.set_xlabel(f"effect on {fitting(main.task, 20)}").set_parse_math(False)
    axes.set_ylabel(f"effect on\n{fitting(auxiliary.task, 20)}").set_parse_math(False)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(
        loc="upper center", bbox_to_anchor=(0.45, -0.3), ncols=2, frameon=False, fontsize=6, title="matters to",
        title_fontsize=6, handletextpad=0.2, columnspacing=0.8,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _name_heads(axes: Axes, main: HeadMap, auxiliary: HeadMap) -> None:
    """Names the heads that matter; last, since it lays the figure out."""
    size = np.fmax(np.abs(main.effect), np.abs(auxiliary.effect))
    where = main.matters() | auxiliary.matters()
    heads = sorted(map(tuple, np.argwhere(where).tolist()), key=lambda head: -size[head])[:_MOST_LABELS]
    at = np.array([(main.effect[head], auxiliary.effect[head]) for head in heads]).reshape(-1, 2)
    every = np.stack([main.effect.ravel(), auxiliary.effect.ravel()], axis=1)
    label_points(axes, [f"{layer}.{head}" for layer, head in heads], at, others=every[np.isfinite(every).all(axis=1)])


def _mark(first: Axes, second: Axes, points: Axes, chosen: Head, main: HeadMap, auxiliary: HeadMap) -> None:
    for axes in (first, second):
        frame = Rectangle((chosen.head - 0.5, chosen.layer - 0.5), 1, 1, fill=False, ec=OCHRE, lw=1.6, clip_on=False)
        axes.add_patch(frame)
    at = (main.effect[chosen.layer, chosen.head], auxiliary.effect[chosen.layer, chosen.head])
    points.plot(*at, "o", ms=9, mfc="none", mec=OCHRE, mew=1.4)
