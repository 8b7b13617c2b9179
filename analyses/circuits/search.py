"""From a task to its circuit: edges scored on some examples, circuits of the best ones tested on others."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
from torch import Generator

from analyses.attribution import EdgeAttribution
from analyses.attribution.edge_attribution import Method
from analyses.circuits.circuit import Circuit
from analyses.circuits.circuit_tests import CircuitTests
from analyses.circuits.faithfulness import SIZES, Choose, FaithfulnessCurve
from analyses.circuits.minimality import CircuitMinimality
from analyses.examples import AT_ONCE, Running
from analyses.graph import edges
from analyses.metrics import Metric, UserMetric
from analyses.patches import about
from tasks import InvalidValueError, Task
from tasks.errors import unknown_name
from training import HookedTransformer, ModelConfig

Show = Literal["curve", "summary", "edges", "tests", "minimality"]


@dataclass(frozen=True)
class CircuitSearch:
    """The circuit of a task, of one size or of all, with what says how good it is.

    Every edge is scored (`EdgeAttribution`, direction `noise`) on n examples; circuits of the best edges are then
    measured on n other examples, drawn next from the same generator, so that a circuit is not judged by what chose it.

    Attributes:
        show: `curve`: how faithful circuits of each of `sizes` are (`FaithfulnessCurve`); `summary`: the curve's CPR
            and CMD; of the circuit of `size`: `edges`: its edges with their scores; `tests`: faithfulness and
            completeness against random circuits (`CircuitTests`); `minimality`: what each edge adds
            (`CircuitMinimality`).
        size: The circuit's share of the model's edges.
        method: How edges are scored.
        steps: Points of an integrated gradient.
        metric: What is measured; one with a gradient.
        choose: How edges are chosen from their scores.
        sizes: The sizes of the curve.
    """

    show: Show = "curve"
    size: float = 0.05
    method: Method = "EAP-IG-inputs"
    steps: int = 5
    metric: str | Metric | UserMetric = "logit_difference"
    choose: Choose = "magnitude"
    sizes: tuple[float, ...] = SIZES

    def __post_init__(self) -> None:
        if self.show not in get_args(Show):
            listing = f"there are {', '.join(get_args(Show))}"
            raise unknown_name("table", self.show, get_args(Show), listing=listing)
        if not 0 < self.size <= 1:
            raise InvalidValueError(f"size {self.size} is no share of the edges; allowed is more than 0 and up to 1")
        self._attribution()  # refuses what these refuse, before any work
        self._curve()

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 128,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """The table that `show` names.

        Arguments as `ActivationPatching`. Errors as the analyses that it is made of; InvalidValueError also if a
        circuit of that size has no edge.
        """
        quiet = Running(token_budget=running.token_budget)
        scores = self._attribution()(
            model, task, length=length, n=n, generator=generator, task_head=task_head, running=quiet
        )
        if self.show in ("curve", "summary"):
            curve = self._curve().curve(
                model,
                task,
                scores=scores,
                length=length,
                n=n,
                generator=generator,
                task_head=task_head,
                running=running,
            )
            return about(curve.table() if self.show == "curve" else curve.summary(), task=task.name, length=length)
        circuit = self.circuit(scores, model.config)
        if self.show == "edges":
            return scores.set_index(["sender", "receiver"]).loc[
                [(str(edge.sender), str(edge.receiver)) for edge in circuit]
            ].reset_index()  # fmt: skip
        test = CircuitTests(metric=self.metric) if self.show == "tests" else CircuitMinimality(metric=self.metric)
        return test(
            model, task, circuit=circuit, length=length, n=n, generator=generator, task_head=task_head, running=running
        )

    def circuit(self, scores: pd.DataFrame, config: ModelConfig) -> Circuit:
        """The circuit of `size`, from scores of the edges.

        Raises:
            InvalidValueError: It has no edge.
        """
        total = len(edges(config))
        count = math.floor(self.size * total + 1e-9)
        if not count:
            raise InvalidValueError(
                f"a circuit of {self.size} of the {total} edges has none; use a size of at least {1 / total:.4f}"
            )
        if self.choose == "greedy":
            return Circuit.greedy(scores, config, n=count)
        return Circuit.top(scores, config, n=count, by=self.choose)

    def _attribution(self) -> EdgeAttribution:
        return EdgeAttribution(method=self.method, metric=self.metric, direction="noise", steps=self.steps)

    def _curve(self) -> FaithfulnessCurve:
        return FaithfulnessCurve(metric=self.metric, sizes=self.sizes, choose=self.choose)
