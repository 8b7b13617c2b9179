"""From a task to its circuit: edges scored on some examples, circuits of the best ones tested on others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import pandas as pd
from torch import Generator

from analyses.attribution import EdgeAttribution
from analyses.attribution.edge_attribution import COLUMNS as EDGE_COLUMNS
from analyses.attribution.edge_attribution import Method
from analyses.circuits.choosing import Choose, choose_circuit, edge_count
from analyses.circuits.circuit import Circuit
from analyses.circuits.circuit_tests import CircuitTests
from analyses.circuits.faithfulness import SIZES, FaithfulnessCurve
from analyses.circuits.minimality import CircuitMinimality
from analyses.examples import AT_ONCE, Running
from analyses.graph import edges
from analyses.journal import Journal
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
        choose: How edges are chosen from their scores (`choosing.choose_circuit`).
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

        Columns of `curve`: task, length, and those of `Curve.table`: metric, choose, size, edges, value, faithfulness,
        low, high, full, empty, n, seed. Of `summary`: task, length, and those of `Curve.summary`: metric, choose,
        measure (CPR, CMD), value, low, high, n, seed. Of `edges`, a row per edge of the circuit, in the order of the
        graph: those of `EdgeAttribution`: task, length, method, direction, metric, sender, receiver, score, stderr, n.
        Of `tests`, a row per test: those of `CircuitTests`; of `minimality`, a row per edge: of `CircuitMinimality`.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples that edges are scored on, and as many others that circuits are measured on; test stream.
            generator: The source of both, of their counterfactuals, and then of bootstrap samples and random circuits.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept. Progress counts scored examples and measured ones
                together. Beside the journal the scores have one of their own, `.scores` in place of its suffix, which
                is removed at the end: so a resumed call tests the circuits that it had begun to test.

        Raises:
            UnknownNameError: As the analyses that it is made of.
            InvalidValueError: Before any work, a circuit of that size that has no edge, or, for `minimality`, all of
                them, and n below 1, or below 2 where there are intervals; and as the analyses that it is made of.
        """
        self._check(model.config, n)
        steps = _Steps(n, self._circuits(model.config) * n, running)
        scores = self._attribution()(
            model, task, length=length, n=n, generator=generator, task_head=task_head, running=steps.scoring
        )
        if self.show == "edges":
            table = self._edges(scores, model.config)
        elif self.show in ("curve", "summary"):
            curve = self._curve().curve(
                model, task, scores=scores, length=length, n=n, generator=generator, task_head=task_head,
                running=steps.testing,
            )  # fmt: skip
            table = about(curve.table() if self.show == "curve" else curve.summary(), task=task.name, length=length)
        else:
            test = self._tests() if self.show == "tests" else self._minimality()
            table = test(
                model, task, circuit=self.circuit(scores, model.config), length=length, n=n, generator=generator,
                task_head=task_head, running=steps.testing,
            )  # fmt: skip
        steps.done()
        return table

    def circuit(self, scores: pd.DataFrame, config: ModelConfig) -> Circuit:
        """The circuit of `size`, from scores of the edges.

        Raises:
            InvalidValueError: It has no edge.
        """
        self._check_size(config)
        return choose_circuit(scores, config, size=self.size, choose=self.choose)

    def _check(self, config: ModelConfig, n: int) -> None:
        """Refuses what cannot be shown, before any work."""
        if n < 1:
            raise InvalidValueError(f"n = {n} examples cannot be measured; allowed is 1 or more")
        if n < 2 and self.show != "edges":
            raise InvalidValueError(f"n = {n} examples give no interval; allowed is 2 or more")
        if self.show not in ("curve", "summary"):
            self._check_size(config)

    def _check_size(self, config: ModelConfig) -> None:
        count, total = edge_count(self.size, config), len(edges(config))
        if not count:
            raise InvalidValueError(
                f"a circuit of {self.size} of the {total} edges has none; use a size of at least {1 / total:.4f}"
            )
        if count == total and self.show == "minimality":
            raise InvalidValueError(
                f"a circuit of {self.size} of the {total} edges has all of them, so there are none outside to compare "
                "with; use a smaller size"
            )

    def _circuits(self, config: ModelConfig) -> int:
        """How many circuits are measured on each example."""
        match self.show:
            case "edges":
                return 0
            case "curve" | "summary":
                return len(self.sizes)
            case "tests":
                return 2 * (1 + self._tests().draws)
            case "minimality":
                return 1 + edge_count(self.size, config) + 2 * self._minimality().draws

    def _edges(self, scores: pd.DataFrame, config: ModelConfig) -> pd.DataFrame:
        """The rows of the circuit's edges."""
        names = [(str(edge.sender), str(edge.receiver)) for edge in self.circuit(scores, config)]
        return scores.set_index(["sender", "receiver"]).loc[names].reset_index()[EDGE_COLUMNS]

    def _attribution(self) -> EdgeAttribution:
        return EdgeAttribution(method=self.method, metric=self.metric, direction="noise", steps=self.steps)

    def _curve(self) -> FaithfulnessCurve:
        return FaithfulnessCurve(metric=self.metric, sizes=self.sizes, choose=self.choose)

    def _tests(self) -> CircuitTests:
        return CircuitTests(metric=self.metric)

    def _minimality(self) -> CircuitMinimality:
        return CircuitMinimality(metric=self.metric)


@dataclass(frozen=True)
class _Steps:
    """Scoring and testing, as one piece of work.

    Attributes:
        scored: Runs of one example that scoring counts.
        tested: Those that testing counts.
        running: How both together are divided, followed and kept.
    """

    scored: int
    tested: int
    running: Running

    @property
    def scoring(self) -> Running:
        """How scoring runs: it has a journal of its own."""
        return replace(self.running, on_done=self._counted(0), journal=self._journal())

    @property
    def testing(self) -> Running:
        """How testing runs."""
        return replace(self.running, on_done=self._counted(self.scored))

    def done(self) -> None:
        """Removes the scores' journal."""
        journal = self._journal()
        if journal is not None:
            journal.remove()

    def _counted(self, before: int) -> Callable[[int, int], object]:
        return lambda done, _: self.running.on_done(before + done, self.scored + self.tested)

    def _journal(self) -> Journal | None:
        kept = self.running.journal
        return None if kept is None else Journal(kept.path.with_suffix(".scores"), seconds=kept.seconds)
