"""How faithful circuits of every size are to the model."""

from dataclasses import dataclass

import pandas as pd
from torch import Generator

from analyses.circuits.choosing import Choose, check_choose, choose_circuit
from analyses.circuits.circuit import Circuit
from analyses.circuits.curve import Curve
from analyses.circuits.edge_sets import run_edge_sets
from analyses.circuits.recovery import Recovery
from analyses.examples import AT_ONCE, Examples, Running
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.patches import about
from tasks import InvalidValueError, Task
from training import HookedTransformer, ModelConfig

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""MIB's shares of the model's edges."""


@dataclass(frozen=True)
class FaithfulnessCurve:
    """What circuits of rising size recover of the model, from scores of the edges.

    A circuit of size s holds the floor(s * number of edges) edges with the best scores. Along all other edges goes the
    counterfactual run's value (`run_edge_sets`, direction `noise`).

        f(C) = (m(C) - m(empty)) / (m(full) - m(empty))        m: the metric's mean over examples

    1: the circuit does what the model does; 0: no more than the counterfactual run. A circuit may lie outside of
    [0, 1]. Source: MIB (Mueller et al. 2025, arXiv 2504.13151, circuit localization track).

    Attributes:
        metric: What is measured: a name, a metric, or a function of the user's own.
        sizes: The shares of the model's edges, rising.
        choose: How edges are chosen: by `score`, by `magnitude`, or `greedy` (`choosing.choose_circuit`).
        bootstraps: Bootstrap samples of the examples.
    """

    metric: str | Metric | UserMetric = "logit_difference"
    sizes: tuple[float, ...] = SIZES
    choose: Choose = "score"
    bootstraps: int = 2_000

    def __post_init__(self) -> None:
        get_metric(self.metric)
        check_choose(self.choose)
        if self.bootstraps < 1:
            raise InvalidValueError(f"bootstraps = {self.bootstraps} is not possible; allowed is 1 or more")
        rising = all(one < other for one, other in zip(self.sizes, self.sizes[1:], strict=False))
        if len(self.sizes) < 2 or not rising or not (self.sizes[0] >= 0 and self.sizes[-1] <= 1):
            raise InvalidValueError(
                f"sizes {self.sizes} make no curve; give two or more shares of the edges, rising, from 0 to 1"
            )

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        scores: pd.DataFrame,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """The curve as a table (columns: task, length, and those of `Curve.table`).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            scores: A row for each edge of the model: sender and receiver as text, and score (positive: it helps).
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples, their counterfactuals and the bootstrap samples.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: Scores that lack edges, fewer than 2 examples, or clean and counterfactual runs that
                score alike, so that faithfulness is undefined; and as `run_edge_sets`.
        """
        curve = self.curve(
            model, task, scores=scores, length=length, n=n, generator=generator, task_head=task_head, running=running
        )
        return about(curve.table(), task=task.name, length=length)

    def curve(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        scores: pd.DataFrame,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> Curve:
        """The same with every example's value, from which `Curve.summary` gives CPR and CMD."""
        self.circuits(scores, model.config)  # wrong scores are told before examples are drawn
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        return self.of_examples(model, examples, scores=scores, generator=generator, running=running)

    def of_examples(
        self,
        model: HookedTransformer,
        examples: Examples,
        *,
        scores: pd.DataFrame,
        generator: Generator,
        running: Running = AT_ONCE,
    ) -> Curve:
        """The curve on given examples."""
        metric, circuits = get_metric(self.metric), self.circuits(scores, model.config)
        recovery = Recovery.of(
            model, examples, metric=metric, bootstraps=self.bootstraps, generator=generator,
            token_budget=running.tokens(model.device),
        )  # fmt: skip
        run = run_edge_sets(model, examples, circuits, metrics=[metric], running=running)
        values = run.circuits[metric.name].numpy()
        return Curve(metric, self.choose, self.sizes, circuits, values, recovery)

    def circuits(self, scores: pd.DataFrame, config: ModelConfig) -> tuple[Circuit, ...]:
        """The circuit of each size.

        Raises:
            InvalidValueError: Fewer edges with scores than the greatest size needs; and as `Circuit.top`.
        """
        return tuple(choose_circuit(scores, config, size=size, choose=self.choose) for size in self.sizes)
