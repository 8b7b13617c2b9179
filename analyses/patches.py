"""What patching did to each example, normalised by what there was to win."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from analyses.examples import Examples, Running
from analyses.interventions import Intervention, OtherRun, intervene
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.statistics.errors import ratio_of_means, standard_errors
from tasks.errors import unknown_name
from training import HookedTransformer

Direction = Literal["denoise", "noise"]
"""`denoise`: clean activations into the counterfactual's run (enough?); `noise`: the reverse (needed?)."""


@dataclass(frozen=True)
class PatchEffects:
    """What each patch did to each example.

    Attributes:
        direction: Which run was patched into which.
        metric: What was measured, always against the clean answers.
        labels: What was patched: column names and values of the table.
        clean: The metric of every example in the clean run.
        corrupted: The same in the counterfactual's run.
        patched: The same with each patch.
    """

    direction: Direction
    metric: Metric
    labels: Sequence[Mapping[str, object]]
    clean: Float[Tensor, " batch"]
    corrupted: Float[Tensor, " batch"]
    patched: Float[Tensor, "patch batch"]

    @property
    def effects(self) -> Float[Tensor, "patch batch"]:
        """How far each patch moved each example, positive where what was patched helps the clean answer.

        denoise: better * (patched - corrupted); noise: better * (clean - patched).
        """
        change = self.patched - self.corrupted if self.direction == "denoise" else self.clean - self.patched
        return self.metric.better * change

    def table(self) -> pd.DataFrame:
        """One row per patch, means over examples.

        Columns: direction, metric, the labels, clean, corrupted, patched, effect, stderr (of the paired difference),
        normalised (mean effect / mean of better * (clean - corrupted): 0 = unpatched, 1 = the other run),
        normalised_stderr (delta method), n. Where clean and corrupted do not differ, normalised is missing.
        """
        effects = self.effects
        ratio, ratio_error = ratio_of_means(effects, self.metric.better * (self.clean - self.corrupted))
        labels = pd.DataFrame(self.labels)
        places = [name for name in ("layer", "head", "position", "window") if name in labels]
        return pd.DataFrame(
            {
                "direction": self.direction,
                "metric": self.metric.name,
                **labels.astype(dict.fromkeys(places, "Int64")).to_dict("series"),
                "clean": self.clean.mean().item(),
                "corrupted": self.corrupted.mean().item(),
                "patched": self.patched.mean(dim=1).numpy(),
                "effect": effects.mean(dim=1).numpy(),
                "stderr": standard_errors(effects).numpy(),
                "normalised": ratio.numpy(),
                "normalised_stderr": ratio_error.numpy(),
                "n": len(self.clean),
            }
        )

    def examples(self) -> pd.DataFrame:
        """One row per patch and example: the labels, example, clean, corrupted, patched, effect."""
        patches, n = self.effects.shape
        labels = pd.DataFrame(self.labels).loc[[patch for patch in range(patches) for _ in range(n)]]
        return labels.reset_index(drop=True).assign(
            direction=self.direction,
            metric=self.metric.name,
            example=list(range(n)) * patches,
            clean=self.clean.repeat(patches).numpy(),
            corrupted=self.corrupted.repeat(patches).numpy(),
            patched=self.patched.flatten().numpy(),
            effect=self.effects.flatten().numpy(),
        )


def check_direction(direction: str) -> None:
    """Raises UnknownNameError unless it is one."""
    if direction not in get_args(Direction):
        listing = "the directions are denoise and noise"
        raise unknown_name("direction", direction, get_args(Direction), listing=listing)


def about(table: pd.DataFrame, *, task: str, length: int) -> pd.DataFrame:
    """The table with task and length in front."""
    table.insert(0, "task", task)
    table.insert(1, "length", length)
    return table


def patch(
    model: HookedTransformer,
    examples: Examples,
    interventions: Sequence[Intervention],
    direction: Direction,
    metric: str | Metric | UserMetric,
    labels: Sequence[dict[str, Any]],
    running: Running,
) -> PatchEffects:
    """Runs patches between the clean and the counterfactual run of some examples."""
    assert examples.counterfactual is not None
    measured, denoise = get_metric(metric), direction == "denoise"
    source = OtherRun((examples.clean if denoise else examples.counterfactual).inputs)
    outcome = intervene(
        model, examples, interventions, source, metrics=[measured], running=running,
        base="counterfactual" if denoise else "clean",
    )  # fmt: skip
    unedited, other = outcome.unedited[measured.name], outcome.other[measured.name]
    clean, corrupted = (other, unedited) if denoise else (unedited, other)
    return PatchEffects(direction, measured, labels, clean, corrupted, outcome.edited[measured.name])
