"""How alike two tasks' heads are, and how far one has come to the other's lengths, at every checkpoint of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product

import numpy as np
import pandas as pd

from analyses.ablation import AblationKind, HeadAblation
from analyses.reuse.attention import AttentionDifference
from analyses.reuse.similarity import similarities
from analyses.store import stored_table
from tasks import InvalidValueError, Member
from training import HookedTransformer, Run, named_generator
from training.runs import Weights

COLUMNS = [
    "run", "main", "auxiliary", "seed", "weights", "step", "role", "quantity", "metric", "alike", "value", "length",
    "lengths", "n",
]  # fmt: skip

METRICS = ("accuracy", "nll")
"""In which metrics ablation maps are measured."""

_ATTENTION = {"attention_difference": -1, "jensen_shannon": -1, "offset_cosine": 1}


@dataclass(frozen=True)
class ReuseOverTraining:
    """At every checkpoint: how alike main and auxiliary use heads, and how far the main task has come.

    Reuse: the similarities of the two tasks' ablation maps (`analyses.reuse.similarity`; the first paper's map
    difference is `mean_absolute_difference` in accuracy), and the totals of `AttentionDifference`, on the same test
    examples at every checkpoint, at the length halfway from the main task's longest to the auxiliary's. Transfer, from
    what training measured: `accuracy` and `nll` of the main task at that length, and the generalization `gap`, the mean
    over the measured lengths, up to the longer of both tasks' training lengths, of |auxiliary's accuracy - main's|.
    Source: Extrapolation by Association, appendix, which shows two of these for one seed.

    Attributes:
        kind: Kind of ablation.
        n: Examples per map; attention is compared on at most 64 of them.
        k: Size of the top-k sets.
        persistence: Of rank-biased overlap.
        weights: Which weights.
    """

    kind: AblationKind = "mean"
    n: int = 128
    k: int = 3
    persistence: float = 0.9
    weights: Weights = "averaged"

    def __call__(self, run: Run, *, on_step: Callable[[int, int], object] = lambda *_: None) -> pd.DataFrame:
        """A row per checkpoint, auxiliary and quantity; the maps are kept in the run's `results`, checkpoint by one.

        Columns: run, main, auxiliary, seed, weights, step, role (reuse or transfer), quantity, metric (of the maps;
        empty for others), alike (+1: more is more sharing, or more transfer; -1: less is), value, length (of the
        examples; of the accuracy), lengths (of the gap's grid), n (examples).

        Args:
            run: The run, trained on a main task and at least one more.
            on_step: Called with how many checkpoints are measured, and how many there are.

        Raises:
            InvalidValueError: The run was trained on one task only, k below 1 or above the number of heads, n below 2,
                or training did not measure the lengths needed.
            UnknownNameError: The run keeps no weights of that name.
        """
        if len(run.mixture) < 2:
            raise InvalidValueError(
                f"run {run.name!r} has no auxiliary task, so nothing can be shared; choose runs trained with one"
            )
        run.digest(weights=self.weights)  # refuses weights that the run does not keep
        heads = run.config.model.n_layers * run.config.model.n_heads
        if not 1 <= self.k <= heads:
            raise InvalidValueError(f"k = {self.k} top heads of {heads}; allowed are 1 to {heads}")
        outcomes = self._outcomes(run)
        found = []
        for place, step in enumerate(run.steps):
            found.append(self._reuse(run, step))
            on_step(place + 1, len(run.steps))
        table = pd.concat([*found, outcomes], ignore_index=True).assign(
            run=run.name, main=run.mixture[0].task.name, seed=run.config.seed, weights=self.weights
        )
        return table[COLUMNS].sort_values(["auxiliary", "step"], kind="stable", ignore_index=True)

    def maps(self, run: Run, step: int) -> pd.DataFrame:
        """The mean effect of every head at a checkpoint: a row per auxiliary, task, metric and head.

        Columns: auxiliary, task, metric, effect (heads layer by layer), length, n.
        """
        return self._kept(run, step, "maps", lambda: self._map_tables(run, step))

    def _reuse(self, run: Run, step: int) -> pd.DataFrame:
        maps = self.maps(run, step)
        rows = []
        main = run.mixture[0].task.name
        for member, metric in product(run.mixture[1:], METRICS):
            chosen = maps[(maps["auxiliary"] == member.task.name) & (maps["metric"] == metric)]
            first, second = (
                chosen[chosen["task"] == name]["effect"].to_numpy(dtype=float) for name in (main, member.task.name)
            )
            rows += [
                self._row(run, member, measure.name, metric, measure.alike, float(measure.between(first, second)))
                for measure in similarities(self.k, persistence=self.persistence)
            ]
        attention = self._kept(run, step, "attention", lambda: self._attention(run, step))
        by_task = {member.task.name: member for member in run.mixture}
        for name, quantity, value in attention[["auxiliary", "quantity", "value"]].itertuples(index=False):
            rows.append(self._row(run, by_task[name], quantity, "", _ATTENTION[quantity], value))
        return pd.DataFrame(rows).assign(step=step, role="reuse")

    def _row(self, run: Run, member: Member, quantity: str, metric: str, alike: int, value: float) -> dict[str, object]:
        return {
            "auxiliary": member.task.name,
            "quantity": quantity,
            "metric": metric,
            "alike": alike,
            "value": value,
            "length": halfway(run.mixture[0], member),
            "lengths": "",
            "n": self.n if metric else min(self.n, 64),
        }

    def _map_tables(self, run: Run, step: int) -> pd.DataFrame:
        model, tables = run.model(step, weights=self.weights), []
        ablation = HeadAblation(kind=self.kind, metric=METRICS[0])
        for member in run.mixture[1:]:
            length = halfway(run.mixture[0], member)
            for task in (run.mixture[0].task, member.task):
                found = ablation.effects(
                    model, task, length=length, n=self.n, generator=named_generator(run.config.seed, "ablation"),
                    task_head=run.task_head(task.name), also=METRICS[1:],
                )  # fmt: skip
                tables += [
                    pd.DataFrame({"metric": one.metric.name, "effect": one.effects.mean(dim=1).numpy()}).assign(
                        auxiliary=member.task.name, task=task.name, length=length, n=self.n
                    )
                    for one in found
                ]
        return pd.concat(tables, ignore_index=True)

    def _attention(self, run: Run, step: int) -> pd.DataFrame:
        model: HookedTransformer = run.model(step, weights=self.weights)
        main, rows = run.mixture[0], []
        for member in run.mixture[1:]:
            totals = AttentionDifference().totals(
                model, main.task, member.task, length=halfway(main, member), n=min(self.n, 64),
                generator=named_generator(run.config.seed, "attention"),
            )  # fmt: skip
            rows += [
                {"auxiliary": member.task.name, "quantity": name, "value": value} for name, value in totals.items()
            ]
        return pd.DataFrame(rows)

    def _kept(self, run: Run, step: int, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        key = {
            "kind": self.kind,
            "n": self.n,
            "tasks": [member.task.key for member in run.mixture],
            "lengths": [halfway(run.mixture[0], member) for member in run.mixture[1:]],
            "weights": run.digest(step, weights=self.weights),
            "seed": run.config.seed,
            "version": version("interp-toolkit"),
        }
        return stored_table(run.path / "results" / "over-training", f"{name}-{step:07d}", key, compute)

    def _outcomes(self, run: Run) -> pd.DataFrame:
        """Gap, accuracy and nll at every checkpoint, from what training measured."""
        measured = run.metrics[run.metrics["weights"] == self.weights]
        main = run.mixture[0]
        return pd.concat([self._outcome(measured, main, member) for member in run.mixture[1:]], ignore_index=True)

    def _outcome(self, measured: pd.DataFrame, main: Member, member: Member) -> pd.DataFrame:
        length, longest = halfway(main, member), max(main.max_length, member.max_length)
        own, other = (
            measured[measured["task"] == one.task.name].pivot(index="step", columns="length", values="accuracy")
            for one in (main, member)
        )
        if length not in own.columns:
            raise InvalidValueError(
                f"training measured {main.task.name!r} at {', '.join(map(str, own.columns))}, and not at {length}, "
                "where transfer is judged; train with that length among measure.lengths"
            )
        grid = [at for at in map(int, own.columns) if at in other.columns and at <= longest]
        nll = measured[(measured["task"] == main.task.name) & (measured["length"] == length)].set_index("step")["nll"]
        quantities: Sequence[tuple[str, int, pd.Series]] = (
            ("gap", -1, (own[grid] - other[grid]).abs().mean(axis=1)),
            ("accuracy", 1, own[length]),
            ("nll", -1, nll),
        )
        tables = [
            pd.DataFrame({"step": series.index, "value": series.to_numpy(dtype=float)}).assign(
                quantity=name, alike=alike
            )
            for name, alike, series in quantities
        ]
        return pd.concat(tables, ignore_index=True).assign(
            auxiliary=member.task.name, role="transfer", metric="", length=length,
            lengths=" ".join(map(str, grid)), n=int(measured["n"].iloc[0]),
        )  # fmt: skip


def halfway(main: Member, auxiliary: Member) -> int:
    """The length where a pair's reuse and transfer are measured: halfway between their longest training lengths."""
    return int(np.floor((main.max_length + auxiliary.max_length) / 2))
