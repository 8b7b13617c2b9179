"""How much each edge between the model's parts helps, estimated by gradients: edge attribution patching."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice, check_gradient, check_pairs
from analyses.attribution.edge_scores import edge_scores, written
from analyses.attribution.parts import gradient_tokens, scores_in_parts
from analyses.attribution.traces import Trace
from analyses.attribution.two_runs import TwoRuns
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import edges, heads_among_senders, receivers, senders
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.patches import Direction, about, check_direction
from analyses.statistics.errors import standard_errors
from tasks import InvalidValueError, Task
from training import HookedTransformer

Method = Literal["EAP", "EAP-IG-inputs", "EAP-IG-activations"]

COLUMNS = ["task", "length", "method", "direction", "metric", "sender", "receiver", "score", "stderr", "n"]


@dataclass(frozen=True)
class EdgeAttribution:
    """What each edge of the model's graph contributes to a metric, estimated by gradients for all edges at once.

    score(s -> r) = better * sum over positions of (out_s(clean) - out_s(counterfactual)) . d metric / d input_r

    out_s is what the sender writes to the residual stream; input_r is the receiver's own copy of the residual stream,
    before its norm. The score estimates path patching: in direction `noise` better * (m(clean) - m(the edge carries the
    counterfactual's value)), in direction `denoise` better * (m(the edge of the counterfactual run carries the clean
    value) - m(counterfactual)). So a positive score always means that the edge helps. Its unit is the metric's; it is
    summed over positions within an example, then averaged over examples. Where the gradient is taken:

    - `EAP`: at the run that is patched: the clean one (`noise`) or the counterfactual (`denoise`).
    - `EAP-IG-inputs`: averaged over `steps` points of the straight line from the counterfactual's residual stream
      before the first layer to the clean one; the direction makes no difference.
    - `EAP-IG-activations`: for each embedding, attention layer (all heads together) and MLP, averaged over `steps`
      points of the line between its outputs in the two runs, all earlier ones being those of the patched run; used for
      the edges out of it.

    Points are midpoints, (i - 1/2) / steps for i = 1..steps: the integral's error falls with steps squared.
    Sources: Syed et al., arXiv 2310.10348 (EAP); Hanna et al., arXiv 2403.17806 (EAP-IG, with the ends of the intervals
    instead of their middles); Marks et al., arXiv 2403.19647 (integrals over activations), in the naming of Mueller et
    al., arXiv 2504.13151.

    Attributes:
        method: Where gradients are taken.
        metric: A metric's name, a `Metric`, or a function of the user's; it must be smooth, and give for each example a
            number that depends on this example's logits alone.
        direction: Which run is patched with the other's activations.
        steps: Points of the line; of no meaning to EAP.

    Raises:
        UnknownNameError: No such method, direction or metric.
        InvalidValueError: A metric whose gradient says nothing, or steps below 1.
    """

    method: Method = "EAP"
    metric: str | Metric | UserMetric = "logit_difference"
    direction: Direction = "denoise"
    steps: int = 5

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(Method))
        check_direction(self.direction)
        if self.steps < 1:
            raise InvalidValueError(f"steps = {self.steps} points cannot be averaged; allowed is 1 or more")
        check_gradient(get_metric(self.metric), at_clean=self.method == "EAP" and self.direction == "noise")

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
        """One row per edge: task, length, method, direction, metric, sender, receiver, score, stderr, n.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples and of their counterfactuals.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            InvalidValueError: As `scores`; n below 1, no such length, a vocabulary without the task's tokens, or an
                example without a counterfactual.
        """
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        scores, found = self.scores(model, examples, running=running), edges(model.config)
        rows, columns = senders(model.config), receivers(model.config)
        chosen = [rows.index(edge.sender) for edge in found], [columns.index(edge.receiver) for edge in found]
        of_edges = scores.permute(1, 2, 0)[chosen]
        table = pd.DataFrame(
            {
                "method": self.method,
                "direction": self.direction,
                "metric": get_metric(self.metric).name,
                "sender": [str(edge.sender) for edge in found],
                "receiver": [str(edge.receiver) for edge in found],
                "score": of_edges.mean(dim=1).numpy(),
                "stderr": standard_errors(of_edges).numpy(),
                "n": n,
            }
        )
        return about(table, task=task.name, length=length)

    @torch.inference_mode(mode=False)
    def scores(
        self, model: HookedTransformer, examples: Examples, *, running: Running = AT_ONCE
    ) -> Float[Tensor, "batch sender receiver"]:
        """The score of every edge in every example, in the order of `graph.senders` and `graph.receivers`.

        Args:
            model: The model, with nothing hooked to it. It is left as it was.
            examples: Clean examples and their counterfactuals.
            running: How the work is divided, followed (in examples) and kept. A gradient needs more memory than a
                forward pass, so fewer tokens than the budget run at a time: as many as take the memory of two forward
                passes of the budget.

        Returns:
            The scores, 0 where there is no edge, in float64 on the CPU.

        Raises:
            InvalidValueError: A model with hooks attached, no counterfactuals, no such task head, a metric without a
                gradient, a counterfactual with the clean answer, or activations that are not finite.
        """
        examples.check_model(model, before="an attribution")
        check_pairs(examples)
        shape = len(senders(model.config)), len(receivers(model.config))
        return scores_in_parts(
            examples,
            lambda part: self._scores(model, part),
            shape=shape,
            tokens=gradient_tokens(model, running, senders=shape[0]),
            device=model.device,
            running=running,
        )

    def _scores(self, model: HookedTransformer, examples: Examples) -> Float[Tensor, "batch sender receiver"]:
        """The scores of a part of the examples."""
        with torch.set_grad_enabled(self.method == "EAP"):
            runs = TwoRuns.of(model, examples, direction=self.direction)
        differences, metric = written(runs), get_metric(self.metric)
        shape = (len(examples), len(differences), len(receivers(model.config)))
        scores = torch.zeros(shape, dtype=torch.float64, device=model.device)
        with torch.enable_grad():
            for rows, trace in self._points(runs):
                scores[:, rows] += edge_scores(runs, trace, metric, differences=differences[rows], rows=rows)
                del trace  # or it would stand beside the next one
        return metric.better * scores / (1 if self.method == "EAP" else self.steps)

    def _points(self, runs: TwoRuns) -> Iterator[tuple[slice, Trace]]:
        """The runs at which gradients are taken, each with the senders whose edges they serve."""
        everything = slice(0, len(senders(runs.tracer.model.config)))
        if self.method == "EAP":
            yield everything, runs.base
            return
        first = everything if self.method == "EAP-IG-inputs" else slice(0, 1)
        for step in range(self.steps):
            alpha = (step + 0.5) / self.steps
            yield first, runs.tracer.run(_between(runs, "resid", 0, alpha))
            if self.method == "EAP-IG-activations":
                yield from _layer_points(runs, alpha)


def _layer_points(runs: TwoRuns, alpha: float) -> Iterator[tuple[slice, Trace]]:
    """For each layer's heads, and for its MLP: a run in which only what they write lies between the two runs."""
    model = runs.tracer.model
    for layer, block in enumerate(model.blocks):
        heads, width = heads_among_senders(layer, model.config), runs.base.mid[layer].shape[1]
        mid = runs.base.resid[layer][:, -width:] + block.attn.out(_between(runs, "z", layer, alpha))
        yield heads, runs.tracer.run(mid, layer=layer, site="resid_mid")
        post = runs.base.mid[layer] + _between(runs, "mlp_out", layer, alpha)
        yield slice(heads.stop, heads.stop + 1), runs.tracer.run(post, layer=layer + 1)


def _between(runs: TwoRuns, what: Literal["resid", "z", "mlp_out"], layer: int, alpha: float) -> Tensor:
    """An activation on the straight line from the counterfactual run's (0) to the clean one's (1)."""
    one, other = getattr(runs.counterfactual, what)[layer], getattr(runs.clean, what)[layer]
    return one.lerp(other, alpha)
