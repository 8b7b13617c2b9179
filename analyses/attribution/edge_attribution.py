"""How much each edge between the model's parts helps, estimated by gradients: edge attribution patching."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice, check_gradient, check_run
from analyses.attribution.examples import TOKEN_BUDGET, draw_pair, estimate, in_parts, rows_of
from analyses.attribution.paths import path_scores, sender_rows, written
from analyses.attribution.traces import Trace
from analyses.attribution.two_runs import Direction, TwoRuns
from analyses.graph import edges, receivers, senders
from analyses.metrics import Metric, UserMetric, get_metric
from tasks import InvalidValueError, Pair, Task
from training import HookedTransformer

Method = Literal["EAP", "EAP-IG-inputs", "EAP-IG-activations"]

EDGE_COLUMNS = ["task", "length", "method", "direction", "metric", "sender", "receiver", "score", "stderr", "n"]


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
    direction: Direction = "noise"
    steps: int = 5

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(Method))
        check_choice("direction", self.direction, get_args(Direction))
        if self.steps < 1:
            raise InvalidValueError(f"steps = {self.steps} points cannot be averaged; allowed is 1 or more")
        check_gradient(get_metric(self.metric), at_clean=self.method == "EAP" and self.direction == "noise")

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
        """One row per edge: task, length, method, direction, metric, sender, receiver, score, stderr, n.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples and of their counterfactuals.
            task_head: Which unembedding to use, if the model has one for each task.

        Raises:
            InvalidValueError: As `scores`; n below 1, no such length, a vocabulary without the task's tokens, or an
                example without a counterfactual.
        """
        pair = draw_pair(task, model, length=length, n=n, generator=generator)
        mean, spread = estimate(self.scores(model, pair, task_head=task_head))
        places = {str(sender): row for row, sender in enumerate(senders(model.config))}
        columns = {str(receiver): column for column, receiver in enumerate(receivers(model.config))}
        rows = [
            (str(sender), str(receiver), mean[at].item(), spread[at].item())
            for sender, receiver in edges(model.config)
            for at in [(places[str(sender)], columns[str(receiver)])]
        ]
        about = (task.name, length, self.method, self.direction, get_metric(self.metric).name)
        return pd.DataFrame([(*about, *row, n) for row in rows], columns=EDGE_COLUMNS)

    @torch.inference_mode(mode=False)
    def scores(
        self,
        model: HookedTransformer,
        pair: Pair,
        *,
        task_head: int = 0,
        token_budget: int = TOKEN_BUDGET,
        on_done: Callable[[int, int], object] = lambda *_: None,
    ) -> Float[Tensor, "batch sender receiver"]:
        """The score of every edge in every example, in the order of `graph.senders` and `graph.receivers`.

        Args:
            model: The model, with nothing hooked to it. It is left as it was.
            pair: Clean examples and their counterfactuals, whose prompts have one length.
            task_head: Which unembedding to use, if the model has one for each task.
            token_budget: The most tokens run at a time (at least one example).
            on_done: Called with the number of parts of the batch done and to do.

        Returns:
            The scores, 0 where there is no edge, in float64 on the CPU.

        Raises:
            InvalidValueError: A model with hooks attached, no examples, prompts of different lengths, no such task
                head, a token budget below 1, a metric without a gradient, or activations that are not finite.
        """
        check_run(model, pair.clean, pair.counterfactual, task_head=task_head)

        def score(rows: slice) -> Tensor:
            return self._scores(model, rows_of(pair, rows, model.device), task_head)

        return in_parts(pair.clean, score, token_budget=token_budget, on_done=on_done)

    def _scores(self, model: HookedTransformer, pair: Pair, task_head: int) -> Float[Tensor, "batch sender receiver"]:
        """The scores of a part of the batch."""
        with torch.set_grad_enabled(self.method == "EAP"):
            runs = TwoRuns.of(model, pair, patched=self.direction, task_head=task_head)
        differences, metric = written(runs), get_metric(self.metric)
        shape = (len(pair.clean), len(differences), len(receivers(model.config)))
        scores = torch.zeros(shape, dtype=torch.float64, device=model.device)
        with torch.enable_grad():
            for rows, trace in self._points(runs):
                scores[:, rows] += path_scores(runs, trace, metric, differences=differences[rows], rows=rows)
        return metric.better * scores / (1 if self.method == "EAP" else self.steps)

    def _points(self, runs: TwoRuns) -> Iterator[tuple[slice, Trace]]:
        """The runs at which gradients are taken, each with the senders whose edges they serve."""
        everything = slice(0, len(senders(runs.tracer.model.config)))
        if self.method == "EAP":
            yield everything, runs.base
            return
        for step in range(self.steps):
            alpha = (step + 0.5) / self.steps
            start = runs.tracer.run(_between(runs, "resid", 0, alpha))
            if self.method == "EAP-IG-inputs":
                yield everything, start
            else:
                yield slice(0, 1), start
                yield from _layer_points(runs, alpha)


def _layer_points(runs: TwoRuns, alpha: float) -> Iterator[tuple[slice, Trace]]:
    """For each layer's heads, and for its MLP: a run in which only what they write lies between the two runs."""
    model = runs.tracer.model
    for layer, block in enumerate(model.blocks):
        heads, width = sender_rows(model.config, layer), runs.base.mid[layer].shape[1]
        mid = runs.base.resid[layer][:, -width:] + block.attn.out(_between(runs, "z", layer, alpha))
        yield heads, runs.tracer.run(mid, layer=layer, site="resid_mid")
        post = runs.base.mid[layer] + _between(runs, "mlp_out", layer, alpha)
        yield slice(heads.stop, heads.stop + 1), runs.tracer.run(post, layer=layer + 1)


def _between(runs: TwoRuns, what: Literal["resid", "z", "mlp_out"], layer: int, alpha: float) -> Tensor:
    """An activation on the straight line from the counterfactual run's (0) to the clean one's (1)."""
    one, other = getattr(runs.counterfactual, what)[layer], getattr(runs.clean, what)[layer]
    return one.lerp(other, alpha)
