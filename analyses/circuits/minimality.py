"""Whether each edge of a circuit is needed there."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.stats import false_discovery_control
from torch import Generator

from analyses.circuits.circuit import Circuit
from analyses.circuits.edge_sets import run_edge_sets
from analyses.circuits.paths import random_path
from analyses.circuits.recovery import Recovery, share_p
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import Edge
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.patches import about
from analyses.statistics.errors import percentile_interval
from tasks import InvalidValueError, Task
from training import HookedTransformer

COLUMNS = [
    "metric", "edge", "value", "loss", "low", "high", "change", "null_mean", "null_high", "p", "q", "m", "n", "seed",
]  # fmt: skip


@dataclass(frozen=True)
class CircuitMinimality:
    r"""What each edge of a circuit adds to it, against edges that the circuit does not need.

        loss(e)   = (m(C) - m(C \ e)) / (m(full) - m(empty))       m: the metric's mean over examples
        change(e) = |loss(e)|

    Positive loss: the edge brings the circuit nearer to the model's metric. The null asks how much an edge changes that
    is there by chance: an edge e' is drawn from outside of the circuit and joined to the embedding and the logits by a
    random path, for an edge that leads nowhere would change nothing; then

        null change = |m(C + path) - m(C + path \ e')| / |m(full) - m(empty)|

    p(e) = (b + 1) / (m + 1), where b of m null changes are at least change(e): small if the edge matters more than
    edges by chance do. q: p adjusted for the number of edges (Benjamini-Hochberg); of the edges with q <= .05, one in
    twenty is expected to be no better than chance. The circuit is minimal if all of them are among these.
    Source: Shi et al. 2024 (arXiv 2410.13032, minimality), who knock out a random edge of a random path.

    Attributes:
        metric: What is measured: a name, a metric, or a function of the user's own.
        draws: Inflated circuits, m.
        bootstraps: Bootstrap samples of the examples.
    """

    metric: str | Metric | UserMetric = "logit_difference"
    draws: int = 200
    bootstraps: int = 2_000

    def __post_init__(self) -> None:
        get_metric(self.metric)
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
        """One row per edge of the circuit, in the order of the graph.

        Columns: task, length, metric, edge, value (the metric of the circuit without the edge), loss, low, high (95 %
        interval of the loss over examples), change, null_mean, null_high (95th percentile of the null), p, q, m
        (inflated circuits), n, seed.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            circuit: The circuit; `pruned`, since edges on no path change nothing.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples, their counterfactuals, the bootstrap samples and random paths.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: A circuit of no edges or of all, fewer than 2 examples, or clean and counterfactual runs
                that score alike, so that faithfulness is undefined; and as `run_edge_sets`.
        """
        _check(circuit)
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
        """The test on given examples; columns from `metric` on."""
        metric, outside = get_metric(self.metric), _check(circuit)
        recovery = Recovery.of(
            model, examples, metric=metric, bootstraps=self.bootstraps, generator=generator,
            token_budget=running.tokens(model.device),
        )  # fmt: skip
        without = [circuit.minus([edge]) for edge in circuit]
        inflated = [_inflated(circuit, outside, generator) for _ in range(self.draws)]
        circuits = [circuit, *without, *(one for couple in inflated for one in couple)]
        run = run_edge_sets(model, examples, circuits, metrics=[metric], running=running)
        values = run.circuits[metric.name].numpy()
        own, null = values[1 : 1 + len(without)], values[1 + len(without) :]
        null_change = np.abs(recovery.share(null[0::2]) - recovery.share(null[1::2]))
        return self._table(metric.name, circuit, recovery, values[:1], own, null_change)

    def _table(
        self,
        metric: str,
        circuit: Circuit,
        recovery: Recovery,
        whole: Float[np.ndarray, "1 batch"],
        without: Float[np.ndarray, "edge batch"],
        null: Float[np.ndarray, " draw"],
    ) -> pd.DataFrame:
        loss = recovery.share(whole) - recovery.share(without)
        low, high = percentile_interval(recovery.draws(whole) - recovery.draws(without))
        p = np.array([share_p(change, null, alike=1) for change in np.abs(loss)])
        return pd.DataFrame(
            {
                "metric": metric,
                "edge": [str(edge) for edge in circuit],
                "value": without.mean(axis=1),
                "loss": loss,
                "low": low,
                "high": high,
                "change": np.abs(loss),
                "null_mean": null.mean(),
                "null_high": np.quantile(null, 0.95),
                "p": p,
                "q": false_discovery_control(p),
                "m": len(null),
                "n": whole.shape[1],
                "seed": recovery.seed,
            },
            columns=COLUMNS,
        )


def _inflated(circuit: Circuit, outside: tuple[Edge, ...], generator: Generator) -> tuple[Circuit, Circuit]:
    """The circuit with a random path added, and the same without the path's edge that was drawn from outside."""
    place = int(torch.randint(len(outside), (), generator=generator, device=generator.device))
    edge = outside[place]
    larger = circuit.plus(random_path(edge, circuit.config, generator=generator))
    return larger, larger.minus([edge])


def _check(circuit: Circuit) -> tuple[Edge, ...]:
    """The edges outside of the circuit; an error if there are none, or none inside."""
    outside = circuit.complement().edges
    if not len(circuit):
        raise InvalidValueError("a circuit of no edges has none to test; give a circuit of one edge or more")
    if not outside:
        raise InvalidValueError(
            f"the circuit holds all {len(circuit)} edges of the model, so there are none outside to compare with; "
            "give a smaller one"
        )
    return outside
