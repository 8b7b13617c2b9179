"""How much each attention head helps a task: ablate it, and see what the task loses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.engine import AblationKind, AblationScores, ablate_heads
from analyses.heads import Head, all_heads
from analyses.metrics import Metric, get_metric
from tasks import InvalidValueError, Task
from training import HookedTransformer

COLUMNS = ["task", "length", "kind", "metric", "layer", "head", "heads", "clean", "ablated", "effect", "stderr", "n"]


@dataclass(frozen=True)
class HeadEffects:
    """What ablating each set of heads did to each example.

    Attributes:
        task: The task's name.
        length: The length of the examples.
        kind: What took the place of the heads' outputs.
        metric: What was measured.
        sets: The sets of heads; sets of one head each make an ablation map.
        clean: The metric of every example with the unchanged model.
        ablated: The same with each set ablated.
    """

    task: str
    length: int
    kind: AblationKind
    metric: Metric
    sets: tuple[tuple[Head, ...], ...]
    clean: Float[Tensor, " batch"]
    ablated: Float[Tensor, "set batch"]

    @property
    def effects(self) -> Float[Tensor, "set batch"]:
        """The effect on every example, positive where the set had helped: clean minus ablated, reversed for nll."""
        return self.metric.better * (self.clean - self.ablated)

    def table(self) -> pd.DataFrame:
        """One row per set: mean over examples, and the standard error of the paired difference.

        Columns: task, length, kind, metric, layer and head (missing for a set of several heads), heads (all of them, as
        `0.3 2.1`), clean, ablated, effect, stderr, n.
        """
        effects, n = self.effects, self.effects.shape[1]
        stderr = effects.std(dim=1, correction=1) / n**0.5 if n > 1 else torch.full((len(effects),), torch.nan)
        rows = [
            {
                "task": self.task,
                "length": self.length,
                "kind": self.kind,
                "metric": self.metric.name,
                "layer": heads[0].layer if len(heads) == 1 else pd.NA,
                "head": heads[0].head if len(heads) == 1 else pd.NA,
                "heads": " ".join(map(str, heads)),
                "clean": self.clean.mean().item(),
                "ablated": self.ablated[place].mean().item(),
                "effect": effects[place].mean().item(),
                "stderr": stderr[place].item(),
                "n": n,
            }
            for place, heads in enumerate(self.sets)
        ]
        return pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64", "head": "Int64"})

    def examples(self) -> pd.DataFrame:
        """One row per set and example: heads, example, clean, ablated, effect; to recompute any statistic later."""
        sets, n = self.effects.shape
        return pd.DataFrame(
            {
                "task": self.task,
                "length": self.length,
                "kind": self.kind,
                "metric": self.metric.name,
                "heads": np.repeat([" ".join(map(str, heads)) for heads in self.sets], n),
                "example": np.tile(np.arange(n), sets),
                "clean": self.clean.repeat(sets).numpy(),
                "ablated": self.ablated.flatten().numpy(),
                "effect": self.effects.flatten().numpy(),
            }
        )

    @classmethod
    def from_examples(cls, table: pd.DataFrame) -> "HeadEffects":
        """The effects that `examples` wrote down, for one task, length, kind and metric.

        Raises:
            InvalidValueError: The table holds several tasks, lengths, kinds or metrics, or not every example of a set
                once.
        """
        about = table[["task", "length", "kind", "metric"]].drop_duplicates()
        names = list(dict.fromkeys(table["heads"]))
        whole = (
            len(table) == len(names) * table["example"].nunique() and not table.duplicated(["heads", "example"]).any()
        )
        if len(about) != 1 or not whole:
            raise InvalidValueError(
                "the table must hold every example of every set once, for one task, length, kind and metric; "
                f"it has {len(about)} of those and {len(table)} rows for {len(names)} sets; select one first"
            )
        task, length, kind, metric = about.iloc[0]
        sets = tuple(tuple(Head.parse(head) for head in heads.split()) for heads in names)
        ordered = table.sort_values("example", kind="stable").set_index("heads").loc[names]
        clean, ablated = (
            torch.from_numpy(ordered[column].to_numpy().reshape(len(names), -1).copy())
            for column in ("clean", "ablated")
        )
        return cls(task, int(length), kind, get_metric(metric), sets, clean[0], ablated)


@dataclass(frozen=True)
class HeadAblation:
    """The ablation map of a task: the effect of ablating each head, or each of some heads, or some heads jointly.

    effect = better * (metric(clean) - metric(ablated)), averaged over examples; better is -1 for nll, else +1, so that
    a positive effect always means that the head helped. The standard error is that of the paired difference of each
    example.
    Source: Extrapolation by Association, appendix (kind `mean`, metric `accuracy`).

    Attributes:
        kind: `zero`; `mean`: mean over the batch at each position; `mean_all`: mean over batch and positions.
        metric: `accuracy` (exact match), `token_accuracy`, or `nll` (nats per scored token).
        heads: The heads; none named means all of them.
        together: `singly`: one row per head; `jointly`: one row for all the heads ablated at once.
    """

    kind: AblationKind = "mean"
    metric: str = "accuracy"
    heads: tuple[Head, ...] = ()
    together: Literal["singly", "jointly"] = "singly"

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
    ) -> pd.DataFrame:
        """The table of effects (columns: `HeadEffects.table`).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples.
            task_head: Which unembedding to use, if the model has one for each task.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: No such head or length, n too small, a vocabulary without the task's tokens.
        """
        return self.effects(model, task, length=length, n=n, generator=generator, task_head=task_head)[0].table()

    def effects(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        also: Sequence[str] = (),
        on_done: Callable[[int, int], object] = lambda *_: None,
    ) -> list[HeadEffects]:
        """The effect on every example, in this metric and, from the same passes, in `also`'s metrics."""
        metrics = [get_metric(name) for name in (self.metric, *also)]
        if n < 1:
            raise InvalidValueError(f"n = {n} examples cannot be ablated; allowed is 1 or more")
        heads = self.heads or tuple(all_heads(model.config))
        sets = (heads,) if self.together == "jointly" else tuple((head,) for head in heads)
        bound = task.bind(model.vocabulary)
        batch = bound.sample(n, length=length, generator=generator, stream="test")
        scores = ablate_heads(model, batch, sets, kind=self.kind, task_head=task_head, on_done=on_done)
        return [self._effects(scores, metric, sets, task.name, length) for metric in metrics]

    def _effects(
        self, scores: AblationScores, metric: Metric, sets: tuple[tuple[Head, ...], ...], task: str, length: int
    ) -> HeadEffects:
        clean = metric.values(scores.clean).cpu()
        ablated = torch.stack([metric.values(part).cpu() for part in scores.ablated])
        return HeadEffects(task, length, self.kind, metric, sets, clean, ablated)
