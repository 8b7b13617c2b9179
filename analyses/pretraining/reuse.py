"""Whether two tasks need the same heads of a pretrained model: in the checkpoint itself, and after finetuning."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd

from analyses.ablation import HeadAblation
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Running
from analyses.pretraining.finetuned import Finetuned
from analyses.reuse.over_training import halfway
from analyses.reuse.similarity import similarities
from analyses.store import stored_table
from tasks import InvalidValueError
from training import HookedTransformer, named_generator
from training.runs import Weights
from training.start import start_model

WHEN = ("before", "after")

QUANTITIES = ("cosine", "spearman", "weighted_jaccard")


@dataclass(frozen=True)
class PretrainingReuse:
    """Similarity of the ablation maps of the main task and each auxiliary, before and after finetuning.

    `before` is the checkpoint as finetuning finds it: its weights, with rows for the task markers that it lacks, which
    are drawn with the run's seed. It solves neither task then, so its maps are of nll, and say which heads it predicts
    the tasks' text with. `after` is the end of finetuning. Cosine, Spearman's rank correlation and weighted Jaccard
    of the maps (`analyses.reuse.similarity`), measured halfway between the tasks' longest lengths.

    Attributes:
        n: Examples per map.
        ablation: How heads are ablated, and what is measured.
        weights: Which weights `after` has.
    """

    n: int = 128
    ablation: HeadAblation = HeadAblation(kind="mean", metric="nll")
    weights: Weights = "averaged"

    def __call__(self, one: Finetuned, *, running: Running = AT_ONCE) -> pd.DataFrame:
        """A row for before and after, each auxiliary and quantity.

        Columns: group, condition, pretraining_step, seed, run, when, main, auxiliary, length, kind, metric, quantity,
        value, n. Kept in the run's `results`.

        Args:
            one: A run with auxiliaries; for `before` the checkpoint that it started from must be there.
            running: How the work is divided and followed.

        Raises:
            InvalidValueError: A run of one task; as `HeadAblation`; or the checkpoint is gone or has changed.
        """
        run = one.run
        if len(run.mixture) < 2:
            raise InvalidValueError(
                f"run {run.name!r} has no auxiliary task, so nothing can be shared; choose runs that have one"
            )
        key = {
            "ablation": repr(self.ablation),
            "n": self.n,
            "tasks": [member.task.key for member in run.mixture],
            "lengths": [member.max_length for member in run.mixture],
            "weights": run.digest(weights=self.weights),
            "version": version("interp-toolkit"),
        }
        models: dict[str, Callable[[], HookedTransformer]] = {
            "before": lambda: start_model(run.config).eval(),
            "after": lambda: run.model(weights=self.weights),
        }
        tables = [
            stored_table(
                run.path / "results", f"reuse-{when}", key, lambda model=model: self._rows(one, model(), running)
            ).assign(when=when)
            for when, model in models.items()
        ]
        table = pd.concat(tables, ignore_index=True).assign(**one.about)
        front = [*one.about, "when"]
        return table[[*front, *(column for column in table if column not in front)]]

    def _rows(self, one: Finetuned, model: HookedTransformer, running: Running) -> pd.DataFrame:
        main, *others = one.run.mixture
        rows = []
        for other in others:
            length = halfway(main, other)
            maps = [self._map(one, model, member.task.name, length, running) for member in (main, other)]
            first, second = (effects.effects.mean(dim=1).numpy() for effects in maps)
            rows += [
                {
                    "main": main.task.name, "auxiliary": other.task.name, "length": length,
                    "kind": maps[0].kind, "metric": maps[0].metric.name, "quantity": measure.name,
                    "value": float(measure.between(first, second)), "n": self.n,
                }
                for measure in similarities(1, persistence=0.9)
                if measure.name in QUANTITIES
            ]  # fmt: skip
        return pd.DataFrame(rows)

    def _map(self, one: Finetuned, model: HookedTransformer, name: str, length: int, running: Running) -> HeadEffects:
        generator = named_generator(one.run.config.seed, "ablation")
        found = self.ablation.effects(
            model, one.run.task(name), length=length, n=self.n, generator=generator, task_head=one.run.task_head(name),
            running=running,
        )  # fmt: skip
        return found[0]
