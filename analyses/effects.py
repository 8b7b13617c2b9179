"""What ablating sets of heads did to each example, and the tables made of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analyses.components import Component, parse_component
from analyses.heads import Group, Head
from analyses.metrics import Metric, get_metric
from analyses.statistics.errors import standard_errors
from tasks import InvalidValueError

COLUMNS = [
    "task", "length", "kind", "positions", "metric", "layer", "head", "heads", "clean", "ablated", "effect", "stderr",
    "n",
]  # fmt: skip

ABOUT = ["task", "length", "kind", "positions", "metric"]

ORIGIN = ["model", "task_key"]
"""Columns of per-example tables that say which weights and which version of the task the effects are of."""


@dataclass(frozen=True)
class HeadEffects:
    """What ablating each set of heads (or MLPs, attention layers, whole layers) did to each example.

    Attributes:
        task: The task's name.
        length: The length of the examples.
        kind: What took the place of the heads' outputs.
        metric: What was measured.
        sets: The sets of heads; sets of one head each make an ablation map.
        clean: The metric of every example with the unchanged model.
        ablated: The same with each set ablated.
        positions: At which positions they were ablated.
        model: A digest of the model's weights (`analyses.store.weights_digest`); empty if it is not known.
        task_key: The task's parameters and version (`Task.key`); empty if they are not known.
    """

    task: str
    length: int
    kind: str
    metric: Metric
    sets: tuple[tuple[Component, ...], ...]
    clean: Float[Tensor, " batch"]
    ablated: Float[Tensor, "set batch"]
    positions: str = "all"
    model: str = ""
    task_key: str = ""

    @property
    def effects(self) -> Float[Tensor, "set batch"]:
        """The effect on every example, positive where the set had helped: clean minus ablated, reversed for nll."""
        return self.metric.better * (self.clean - self.ablated)

    def table(self) -> pd.DataFrame:
        """One row per set: mean over examples, and the standard error of the paired difference.

        Columns: task, length, kind, positions, metric, layer and head (missing for a set of several; head is the
        key-value head for a group, and missing for a part of a layer), heads (all of the set, as `0.3 2.1 1.mlp`, a
        group as `0.kv1`), clean, ablated, effect, stderr, n.
        """
        stderr = standard_errors(self.effects)
        rows = [
            {
                **self.about,
                "layer": components[0].layer if len(components) == 1 else pd.NA,
                "head": _number(components[0]) if len(components) == 1 else pd.NA,
                "heads": set_text(components),
                "clean": self.clean.mean().item(),
                "ablated": self.ablated[place].mean().item(),
                "effect": self.effects[place].mean().item(),
                "stderr": stderr[place].item(),
                "n": len(self.clean),
            }
            for place, components in enumerate(self.sets)
        ]
        return pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64", "head": "Int64"})

    def examples(self) -> pd.DataFrame:
        """One row per set and example, to recompute any statistic later.

        Columns: task, length, kind, positions, metric, model, task_key, heads, example, clean, ablated, effect.
        """
        sets, n = self.effects.shape
        return pd.DataFrame(
            {
                **self.about,
                "model": self.model,
                "task_key": self.task_key,
                "heads": np.repeat([set_text(components) for components in self.sets], n),
                "example": np.tile(np.arange(n), sets),
                "clean": self.clean.repeat(sets).numpy(),
                "ablated": self.ablated.flatten().numpy(),
                "effect": self.effects.flatten().numpy(),
            }
        )

    @property
    def about(self) -> dict[str, object]:
        """What the effects are of: task, length, kind, positions and metric."""
        return {
            "task": self.task,
            "length": self.length,
            "kind": self.kind,
            "positions": self.positions,
            "metric": self.metric.name,
        }

    @classmethod
    def from_examples(cls, table: pd.DataFrame) -> "HeadEffects":
        """The effects that `examples` wrote down, for one task, length, kind, scope of positions and metric.

        Raises:
            InvalidValueError: The table holds several tasks, lengths, kinds, scopes or metrics, or not every example of
                a set once.
            UnknownNameError: The metric is the user's own, so its name does not say which way is better.
        """
        table = table.assign(**{name: "" for name in ORIGIN if name not in table})
        about = table[[*ABOUT, *ORIGIN]].drop_duplicates()
        names = list(dict.fromkeys(table["heads"]))
        whole = (
            len(table) == len(names) * table["example"].nunique() and not table.duplicated(["heads", "example"]).any()
        )
        if len(about) != 1 or not whole:
            raise InvalidValueError(
                "the table must hold every example of every set once, for one model, task, length, kind, scope and "
                f"metric; it has {len(about)} of those and {len(table)} rows for {len(names)} sets; select one first"
            )
        task, length, kind, positions, metric, model, task_key = about.iloc[0]
        sets = tuple(tuple(parse_component(one) for one in heads.split()) for heads in names)
        ordered = table.sort_values("example", kind="stable").set_index("heads").loc[names]
        clean, ablated = (
            torch.from_numpy(ordered[column].to_numpy().reshape(len(names), -1).copy())
            for column in ("clean", "ablated")
        )
        return cls(
            task, int(length), kind, get_metric(metric), sets, clean[0], ablated, positions, model, task_key
        )  # fmt: skip


def _number(component: Component) -> object:
    """Which head of its layer it is, or which key-value head; missing for a part of a layer."""
    if isinstance(component, Head):
        return component.head
    return component.group if isinstance(component, Group) else pd.NA


def set_text(components: tuple[Component, ...]) -> str:
    """A set in words: `0.3 2.1 1.mlp`."""
    return " ".join(map(str, components))
