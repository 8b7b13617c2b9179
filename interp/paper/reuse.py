"""Transfer and reuse of heads in one figure: accuracy by length, both over training, and whether they go together."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.statistics.seeds import t_interval
from analyses.transfer.seed_study import SeedStudyResults
from interp.figures.style import CONDITIONS, GREY
from interp.paper.style import Width, inches, paper_style, plain_axes

_DASHES = {"auxiliary": "-", "alone": ":", "control": "--"}

_MARKERS = {"auxiliary": "o", "control": "D"}

_MEASURES = [
    ("mean_absolute_difference", "accuracy", "map difference", -1),
    ("cosine", "nll", "map cosine (nll)", 1),
    ("spearman", "nll", "map Spearman (nll)", 1),
    ("weighted_jaccard", "nll", "weighted Jaccard (nll)", 1),
    ("attention_difference", "", "attention difference", -1),
    ("jensen_shannon", "", "Jensen-Shannon div.", -1),
    ("offset_cosine", "", "offset cosine", 1),
]  # fmt: skip


def reuse_figure(results: SeedStudyResults, *, width: Width = "page") -> Figure:
    """Four panels, two by two over both columns, or below each other in one.

    Accuracy of the main task by length, mean over seeds with 95 % t intervals; the generalization gap over training,
    one thin line per seed and their mean, with the auxiliary and with the control; the map difference likewise; and
    Spearman's correlation over checkpoints of measures of reuse with the gap, both without their straight line from
    start to end, signed so that positive means "more sharing, smaller gap", mean over seeds with 95 % t intervals,
    filled where both q < .05 and a seed's reuse goes with its own gap more than with other seeds' (seeds_p < .05).
    """
    with paper_style():
        down, across, height = (2, 2, 3.9) if width == "page" else (4, 1, 7.8)
        figure = Figure(figsize=(inches(width), height), layout="constrained")
        panels = list(figure.subplots(down, across).flat)
        _by_length(panels[0], results.accuracy)
        _over_training(panels[1], results.trajectories, "gap", "", "generalization gap")
        _over_training(panels[2], results.trajectories, *_MEASURES[0][:2], "map difference (accuracy)")
        _associations(panels[3], results.association)
        for axes, letter in zip(panels, "abcd", strict=True):
            axes.set_title(letter, loc="left", fontweight="bold")
            plain_axes(axes)
    return figure


def _by_length(axes: Axes, accuracy: pd.DataFrame) -> None:
    weights = "averaged" if (accuracy["weights"] == "averaged").any() else accuracy["weights"].iloc[0]
    chosen = accuracy[accuracy["weights"] == weights]
    for condition, part in chosen.groupby("condition", sort=False):
        wide = part.pivot(index="length", columns="seed", values="accuracy")
        ends = np.clip([t_interval(row) for row in wide.to_numpy(dtype=float).tolist()], 0, 1)
        style = CONDITIONS[str(condition)]
        lengths, mean = wide.index.to_numpy(), wide.mean(axis=1).to_numpy()
        axes.plot(lengths, mean, _DASHES[str(condition)], color=style.color, lw=1.2, label=str(condition))
        axes.fill_between(lengths, ends[:, 0], ends[:, 1], color=style.color, alpha=0.15, lw=0)
    axes.axvline(float(chosen["main_length"].iloc[0]), color=GREY, lw=0.6)
    axes.set(
        xlabel="length\n(line: main task's longest in training)", ylabel="exact match of main task", ylim=(-0.02, 1.02)
    )
    axes.legend(frameon=False, fontsize=7)


def _over_training(axes: Axes, trajectories: pd.DataFrame, quantity: str, metric: str, label: str) -> None:
    chosen = trajectories[(trajectories["quantity"] == quantity) & (trajectories["metric"] == metric)]
    for condition, part in chosen.groupby("condition", sort=False):
        style = CONDITIONS[str(condition)]
        wide = part.groupby(["step", "seed"])["value"].mean().unstack("seed")
        axes.plot(wide.index, wide.to_numpy(), _DASHES[str(condition)], color=style.color, lw=0.4, alpha=0.6)
        axes.plot(
            wide.index, wide.mean(axis=1), _DASHES[str(condition)], color=style.color, lw=1.6, label=str(condition)
        )
    axes.set(xlabel="training step", ylabel=label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=7)


def _associations(axes: Axes, table: pd.DataFrame) -> None:
    pooled = table[(table["level"] == "pooled") & (table["outcome"] == "gap")]
    conditions = list(dict.fromkeys(pooled["condition"]))
    for place, (quantity, metric, _, _) in enumerate(_MEASURES):
        for shift, condition in enumerate(conditions):
            rows = pooled[
                (pooled["quantity"] == quantity) & (pooled["metric"] == metric) & (pooled["condition"] == condition)
            ]
            for offset, row in enumerate(rows.itertuples()):
                _point(axes, row, place + 0.22 * shift + 0.1 * offset - 0.11, str(condition))
    axes.axvline(0, color=GREY, lw=0.6)
    axes.set_yticks(range(len(_MEASURES)), [label for *_, label, _ in _MEASURES])
    axes.invert_yaxis()
    axes.set(xlabel="goes with a smaller gap\n(detrended Spearman)", xlim=(-1.02, 1.02))


def _point(axes: Axes, row: object, height: float, condition: str) -> None:
    """One mean and its interval, turned so that positive means more sharing with a smaller gap."""
    sign = getattr(row, "expected")  # noqa: B009  (a named tuple of pandas, whose fields no type knows)
    mean, low, high = (float(getattr(row, name)) for name in ("detrended", "detrended_low", "detrended_high"))
    claimed = float(getattr(row, "q")) < 0.05 and float(getattr(row, "seeds_p")) < 0.05  # noqa: B009
    color, marker = CONDITIONS[condition].color, _MARKERS.get(condition, "s")
    axes.plot([sign * low, sign * high], [height, height], _DASHES[condition], color=color, lw=0.9)
    axes.plot([sign * mean], [height], marker, ms=3.5, mec=color, mfc=color if claimed else "white", mew=0.8)
