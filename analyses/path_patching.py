"""Exact path patching: what one component tells another directly."""

from dataclasses import dataclass

import pandas as pd
from torch import Generator

from analyses.components import Together, check_together
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import Edge, Receiver, Sender, check_edges, edges
from analyses.interventions.sites import path_edit
from analyses.metrics import Metric, UserMetric
from analyses.patches import Direction, PatchEffects, about, check_direction, patch
from analyses.scopes import Positions, check_scope, places_of
from tasks import InvalidValueError, Pair, Task
from training import HookedTransformer, ModelConfig


@dataclass(frozen=True)
class PathPatching:
    """What one component tells another directly: an edge of the model patched, exactly.

    Patching the edge from a sender to a receiver (a head's q, k or v, an MLP, or the logits): the receiver reads the
    residual stream with the sender's output exchanged for the other run's, norm included; what the receiver makes of it
    then takes effect on all that follows, while everything else is computed from the run that is patched.
    Source: Wang et al. 2211.00593; Goldowsky-Dill et al. 2304.05969. With several senders and one receiver, `jointly`
    patches all their edges at once.

    Attributes:
        senders: What writes (`analyses.graph`); none named means everything.
        receivers: What reads; none named means everything, so that both left out give the full edge matrix.
        direction: `denoise` or `noise`.
        metric: As in `HeadAblation`.
        positions: At which positions of the receiver.
        together: `singly`: one row per edge; `jointly`: one row per receiver.
    """

    senders: tuple[Sender, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    direction: Direction = "denoise"
    metric: str | Metric | UserMetric = "logit_difference"
    positions: Positions = "all"
    together: Together = "singly"

    def __post_init__(self) -> None:
        check_direction(self.direction)
        check_scope(self.positions)
        check_together(self.together)

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
        """The table of edges (columns: task, length, and those of `PatchEffects.table`; labels: sender, receiver).

        Arguments and errors as `ActivationPatching`; InvalidValueError also for edges that are not there.
        """
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        return about(self._effects(model, examples, running).table(), task=task.name, length=length)

    def effects(
        self, model: HookedTransformer, pair: Pair, *, task_head: int = 0, running: Running = AT_ONCE
    ) -> PatchEffects:
        """What patching each edge did to each example of a pair of batches, receiver by receiver."""
        return self._effects(model, Examples.of_pair(pair, task_head=task_head), running)

    def _effects(self, model: HookedTransformer, examples: Examples, running: Running) -> PatchEffects:
        places, groups = places_of(self.positions, examples.clean), self._groups(model.config)
        interventions = [(path_edit(group, places),) for group in groups]
        labels = [
            {"sender": " ".join(str(edge.sender) for edge in group), "receiver": str(group[0].receiver)}
            for group in groups
        ]
        return patch(model, examples, interventions, self.direction, self.metric, labels, running)

    def _groups(self, config: ModelConfig) -> list[list[Edge]]:
        """The edges of each patch: those between the chosen senders and receivers."""
        for one in self.senders:
            check_edges([Edge(one, Receiver(config.n_layers - 1, "logits"))], config)
        for one in self.receivers:
            check_edges([Edge("embed", one)], config)
        chosen = [
            edge
            for edge in edges(config)
            if (not self.senders or edge.sender in self.senders)
            and (not self.receivers or edge.receiver in self.receivers)
        ]
        there = {one for edge in chosen for one in edge}
        for one in (*self.senders, *self.receivers):
            if one not in there:
                raise InvalidValueError(
                    f"{one} has no edge to or from the others that are named: a sender writes before a receiver "
                    "reads; leave it out, or name others"
                )
        if self.together == "singly":
            return [[edge] for edge in chosen]
        return [[edge for edge in chosen if edge.receiver == one] for one in dict.fromkeys(e.receiver for e in chosen)]
