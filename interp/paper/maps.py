"""Ablation maps of several tasks side by side, on one scale around zero."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from interp.figures.ablation_maps import effect_title
from interp.figures.heads import HeadMap
from interp.paper.names import panel_title
from interp.paper.style import EFFECTS, HATCH, TALLEST, Width, bare_axes, inches, note, paper_style, vector_bar

_SMALLEST = 0.1
"""The colours never span less than this either way, or noise around zero would look like large effects."""

_NUMBERS_FROM = 0.27
"""Width in inches of a cell that has room for its number."""

_HATCHED = 0.05
"""Effects below zero are hatched from this share of the scale on."""


def ablation_maps_figure(maps: Sequence[HeadMap], *, metric: str, width: Width) -> Figure:
    """What removing each head costs each task: heat maps [layer, head] on one scale, symmetric around zero.

    Heads that matter (`HeadMap.matters`) have a frame, those that help every task shown a dot. Effects below zero are
    hatched; small maps show their numbers.

    Args:
        maps: One map per task, all of one shape.
        metric: Name of the metric, which gives the unit.
        width: One column (maps stand below each other, if they are more than two or have numbers) or both.
    """
    layers, heads = maps[0].effect.shape
    across = min(len(maps), _across(heads, width))
    down = -(-len(maps) // across)
    cell = (inches(width) - 0.75) / across - 0.45
    height = min(max(0.9, max(0.17, min(0.24, cell / heads)) * layers), (TALLEST - 1) / down - 0.7)
    largest = max(_SMALLEST, *(float(np.nanmax(np.abs(one.effect), initial=0.0)) for one in maps))
    with paper_style():
        figure = Figure(figsize=(inches(width), down * (height + 0.65) + 0.45), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False)
        shared = np.all([one.helps() for one in maps], axis=0) if len(maps) > 1 else np.zeros((layers, heads), bool)
        for axes, one in zip(panels.flat, maps, strict=False):
            _panel(axes, one, largest=largest, shared=shared, cell=cell / heads)
        for axes in panels.flat[len(maps) :]:
            axes.set_visible(False)
        bar = figure.colorbar(ScalarMappable(Normalize(-largest, largest), EFFECTS), ax=panels, fraction=0.05, pad=0.02)
        bar.set_label(_broken(effect_title(metric), height * down), fontsize=7)
        bar.ax.tick_params(labelsize=6)
        vector_bar(bar)
        note(figure, _note(maps, shared))
    return figure


def _across(heads: int, width: Width) -> int:
    """How many maps stand side by side."""
    return 2 if width == "page" or heads <= 6 else 1


def _broken(title: str, height: float) -> str:
    """The title of the colour bar in two lines where one would be longer than the bar."""
    return title if height > 0.062 * len(title) else title.replace(" (", "\n(")


def _note(maps: Sequence[HeadMap], shared: np.ndarray) -> str:
    parts = ["hatched: below zero"]
    if any(one.matters().any() for one in maps):
        parts.insert(0, "framed: clearly not zero (3 standard errors) and at least a tenth of the task's largest")
    else:
        parts.insert(0, "no head's effect is clearly different from zero (3 standard errors)")
    if shared.any():
        parts.append("dot: helps all tasks shown")
    return "; ".join(parts)


def _panel(axes: Axes, one: HeadMap, *, largest: float, shared: np.ndarray, cell: float) -> None:
    (layers, heads), numbers = one.effect.shape, cell > _NUMBERS_FROM
    axes.pcolormesh(
        np.arange(heads + 1) - 0.5, np.arange(layers + 1) - 0.5, np.ma.masked_invalid(one.effect), cmap=EFFECTS,
        vmin=-largest, vmax=largest, edgecolors="white", linewidth=0.3,
    )  # fmt: skip
    matters = one.matters()
    for (layer, head), effect in np.ndenumerate(one.effect):
        if np.isnan(effect):
            axes.text(head, layer, "·", ha="center", va="center", fontsize=5)
            continue
        if effect < -_HATCHED * largest:
            _frame(axes, layer, head, hatch=HATCH, edgecolor="#00000066", linewidth=0.0)
        if matters[layer, head]:
            _frame(axes, layer, head, edgecolor="black", linewidth=0.8)
        ink = "white" if abs(effect) > 0.6 * largest else "black"
        if numbers:
            text = axes.text(head, layer, effect_number(float(effect)), ha="center", va="center", fontsize=5, color=ink)
            if effect < -_HATCHED * largest:
                text.set_bbox({"boxstyle": "square,pad=0.1", "fc": EFFECTS(0.5 + effect / largest / 2), "ec": "none"})
        if shared[layer, head]:
            x, y = (head, layer) if not numbers else (head + 0.36, layer - 0.3)
            axes.plot([x], [y], "o", ms=1.6, color=ink, mew=0)
    axes.set(xlim=(-0.5, heads - 0.5), ylim=(layers - 0.5, -0.5), xlabel="head", ylabel="layer")
    axes.set_xticks(_ticks(heads))
    axes.set_yticks(_ticks(layers))
    axes.set_title(panel_title(one.task, f"length {one.length}", across=heads * cell), loc="left")
    bare_axes(axes)


def effect_number(effect: float) -> str:
    """An effect as its cell shows it: ".42", "−.07", "1.3", "0" when it rounds to nothing."""
    if abs(effect) < 0.005:
        return "0"
    text = f"{abs(effect):.2f}".removeprefix("0") if abs(effect) < 0.995 else f"{abs(effect):.1f}"
    return f"−{text}" if effect < 0 else text


def _ticks(count: int) -> list[int]:
    """At most about ten, at whole numbers."""
    return list(range(0, count, max(1, -(-count // 10))))


def _frame(axes: Axes, layer: int, head: int, *, edgecolor: str, linewidth: float, hatch: str | None = None) -> None:
    """A rectangle on a cell."""
    inset = 0.06
    axes.add_patch(
        Rectangle(
            (head - 0.5 + inset, layer - 0.5 + inset), 1 - 2 * inset, 1 - 2 * inset, fill=False, hatch=hatch,
            edgecolor=edgecolor, linewidth=linewidth,
        )
    )  # fmt: skip
