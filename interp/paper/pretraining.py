"""What finetuning reaches, and which heads two tasks share, over the steps of pretraining."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.pretraining import over_pretraining
from interp.figures.style import RUNS
from interp.paper.names import fitting
from interp.paper.style import Width, inches, note, paper_style, plain_axes

_MARKERS = ("o", "s", "D", "^", "*", "P")

_BESIDE = 0.07
"""How far apart the two lines of a group stand, in checkpoints, so that their bars do not cover one another."""

_BELOW: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.34)}
"""Where a legend covers no line."""

_CONDITIONS = {"auxiliary": "-", "alone": ":", "control": "--"}

_LABELS = {
    "cosine": "cosine of ablation maps",
    "spearman": "Spearman of ablation maps",
    "weighted_jaccard": "weighted Jaccard",
}


def pretraining_figure(
    transfer: pd.DataFrame, reuse: pd.DataFrame, *, quantity: str = "cosine", width: Width = "page"
) -> Figure:
    """Two panels over pretraining steps, one colour and marker for each group; means over seeds, 95 % t intervals.

    Exact match of the main task beyond its own lengths after finetuning, with the auxiliary (solid) and without
    (dotted); and how alike the ablation maps of main task and auxiliaries are, in the checkpoint itself (hollow,
    dashed) and after finetuning with the auxiliary (filled, solid), mean over auxiliaries.

    Args:
        transfer: As `analyses.pretraining.pretraining_transfer` gives it.
        reuse: The tables of `analyses.pretraining.PretrainingReuse`.
        quantity: Which similarity.
        width: One column or both.
    """
    beyond = transfer[transfer["quantity"] == "beyond"]
    chosen = reuse[(reuse["quantity"] == quantity) & (reuse["condition"] == "auxiliary")]
    alike = chosen.groupby(["group", "when", "pretraining_step", "seed"], as_index=False)["value"].mean()
    groups, steps = list(dict.fromkeys(beyond["group"])), sorted(beyond["pretraining_step"].unique().tolist())
    with paper_style():
        down, across, height = (1, 2, 3.0) if width == "page" else (2, 1, 5.6)
        figure = Figure(figsize=(inches(width), height), layout="constrained")
        first, second = figure.subplots(down, across).flat
        for place, group in enumerate(groups):
            name, beside = fitting(str(group), 20), 0.16 * (place - (len(groups) - 1) / 2)
            for condition, dashes in _CONDITIONS.items():
                part = beyond[(beyond["group"] == group) & (beyond["condition"] == condition)]
                look = _Look(place, dashes, condition == "auxiliary", beside + _BESIDE * (condition == "alone"))
                label = name if condition == "auxiliary" else f"{name}, {condition}"
                _line(first, part, steps, label, look, least=0.0)
            for when, dashes in (("before", "--"), ("after", "-")):
                part = alike[(alike["group"] == group) & (alike["when"] == when)]
                look = _Look(place, dashes, when == "after", beside + _BESIDE * (when == "before"))
                _line(second, part, steps, f"{name}, {when}", look, least=-1.0)
        first.set(ylabel="exact match of main task\nbeyond its lengths", ylim=(-0.02, 1.02))
        second.set(ylabel=f"{_LABELS[quantity]}\nof main and auxiliary")
        second.set_ylim(top=1.02)
        for axes, letter in ((first, "a"), (second, "b")):
            _over_steps(axes, steps)
            axes.set_title(letter, loc="left", fontweight="bold")
            axes.legend(frameon=False, fontsize=6, ncols=1 if len(groups) == 1 else 2, **_BELOW)
            plain_axes(axes)
        seeds = int(beyond["seed"].nunique())
        bars = "; bars: 95 % t intervals" if seeds > 1 else ""
        note(figure, f"Means over {seeds} seed{'s' * (seeds != 1)} of finetuning from one pretraining{bars}.")
    return figure


@dataclass(frozen=True)
class _Look:
    """How a line looks: colour and marker by group, filled or hollow; and how far its points stand beside the tick."""

    place: int
    dashes: str
    filled: bool
    beside: float


def _line(axes: Axes, part: pd.DataFrame, steps: Sequence[int], label: str, look: _Look, *, least: float) -> None:
    if part.empty:
        return
    means, color = over_pretraining(part, by=()), RUNS[look.place % len(RUNS)].color
    at = [steps.index(step) + look.beside for step in means["pretraining_step"]]
    axes.vlines(at, means["low"].clip(least, 1), means["high"].clip(least, 1), color=color, lw=0.6, alpha=0.8)
    axes.plot(
        at, means["mean"], look.dashes, marker=_MARKERS[look.place % len(_MARKERS)], ms=3, mec=color, mew=0.7,
        color=color, mfc=color if look.filled else "white", lw=1.1, label=label,
    )  # fmt: skip


def _over_steps(axes: Axes, steps: Sequence[int]) -> None:
    """Checkpoints side by side, since their steps grow by equal factors as often as by equal differences."""
    crowded = len(steps) > 5
    axes.set_xticks(range(len(steps)), [_short(step) for step in steps], rotation=45 if crowded else 0)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_xlabel("pretraining step of the checkpoint")


def _short(step: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if step >= 10 * size or (step >= size and step % (size // 100) == 0):
            return f"{step / size:g}{letter}"
    return str(step)
