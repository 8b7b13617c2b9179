"""Whether a circuit is faithful and complete, and whether that is more than a random circuit of its size is."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Generator

from analyses.circuits.circuit import Circuit, Match, check_match
from analyses.circuits.edge_sets import run_edge_sets
from analyses.circuits.recovery import Recovery, share_p
from analyses.examples import AT_ONCE, Examples, Running
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.patches import about
from analyses.statistics.errors import percentile_interval
from tasks import InvalidValueError, Task
from training import HookedTransformer

COLUMNS = [
    "metric", "test", "edges", "value", "low", "high", "null", "null_mean", "null_low", "null_high", "p", "direction",
    "m", "n", "seed",
]  # fmt: skip

_BEST = {"faithfulness": 1.0, "completeness": 0.0}
"""The value that each test would like to see."""


@dataclass(frozen=True)
class CircuitTests:
    r"""A circuit's faithfulness and completeness, against random circuits of its size.

        faithfulness   f(C)         1 if the circuit alone does what the model does
        completeness   f(M \ C)     0 if the model without the circuit does no more than the counterfactual run

    with f(C) = (m(C) - m(empty)) / (m(full) - m(empty)), m the metric's mean over examples, and the counterfactual
    run's values along the edges that are cut. The null of both is m random circuits of the same size, resp. their
    complements: p = (b + 1) / (m + 1), where b of them lie at least as near to the best value (1, resp. 0).
    A small p says that the circuit's edges do this better than as many others would; a p near 1 in completeness says
    that random edges are missed more.
    Sources: f(M \ C): Marks et al. 2024 (arXiv 2403.19647, completeness); against random circuits: Shi et al. 2024
    (arXiv 2410.13032, sufficiency and partial necessity).

    Attributes:
        metric: What is measured: a name, a metric, or a function of the user's own.
        match: What random circuits have in common with the circuit (`Circuit.random`).
        draws: Random circuits, m.
        bootstraps: Bootstrap samples of the examples.
    """

    metric: str | Metric | UserMetric = "logit_difference"
    match: Match = "inputs"
    draws: int = 100
    bootstraps: int = 2_000

    def __post_init__(self) -> None:
        get_metric(self.metric)
        check_match(self.match)
        for name in ("draws", "bootstraps"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name} = {getattr(self, name)} is not possible; allowed is 1 or more")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        circuit: Circuit,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per test.

        Columns: task, length, metric, test, edges, value, low, high (95 % interval over examples), null (what random
        circuits match), null_mean, null_low, null_high (central 95 % of the null), p, direction, m (random circuits),
        n, seed.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            circuit: The circuit.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples, their counterfactuals, the bootstrap samples and random circuits.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: Fewer than 2 examples, or clean and counterfactual runs that score alike, so that
                faithfulness is undefined; and as `run_edge_sets`.
        """
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        table = self.of_examples(model, examples, circuit=circuit, generator=generator, running=running)
        return about(table, task=task.name, length=length)

    def of_examples(
        self,
        model: HookedTransformer,
        examples: Examples,
        *,
        circuit: Circuit,
        generator: Generator,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """The tests on given examples; columns from `metric` on."""
        metric = get_metric(self.metric)
        recovery = Recovery.of(
            model, examples, metric=metric, bootstraps=self.bootstraps, generator=generator,
            token_budget=running.tokens(model.device),
        )  # fmt: skip
        null = [Circuit.random(circuit, generator=generator, match=self.match) for _ in range(self.draws)]
        alone = [circuit, *null]
        chosen = [*alone, *(one.complement() for one in alone)]
        run = run_edge_sets(model, examples, chosen, metrics=[metric], running=running)
        values = run.circuits[metric.name].numpy()
        common = {"metric": metric.name, "edges": len(circuit), "null": self.match, "n": values.shape[1]}
        rows = [
            {**common, "test": test, **_row(recovery, part, best), "seed": recovery.seed}
            for (test, best), part in zip(_BEST.items(), np.split(values, 2), strict=True)
        ]
        return pd.DataFrame(rows, columns=COLUMNS)


def _row(recovery: Recovery, values: Float[np.ndarray, "circuit batch"], best: float) -> dict[str, object]:
    """One test: the first circuit is the one tested, the others are the null."""
    shares = recovery.share(values)
    value, null = float(shares[0]), shares[1:]
    (low,), (high,) = percentile_interval(recovery.draws(values[:1]))
    null_low, null_high = np.quantile(null, (0.025, 0.975))
    return {
        "value": value,
        "low": low,
        "high": high,
        "null_mean": null.mean(),
        "null_low": null_low,
        "null_high": null_high,
        "p": share_p(abs(value - best), np.abs(null - best), alike=-1),
        "direction": f"nearer to {best:g}",
        "m": len(null),
    }
