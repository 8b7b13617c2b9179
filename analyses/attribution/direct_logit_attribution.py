"""What each part of the model writes straight in the answer's direction: direct logit attribution."""

from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice, check_pairs
from analyses.attribution.parts import scores_in_parts, trace_tokens
from analyses.attribution.traces import Trace, Tracer, working
from analyses.components import Part
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import EMBED, senders
from analyses.metrics import Reading
from analyses.patches import about
from analyses.statistics.errors import standard_errors
from tasks import Task
from training import HookedTransformer, ModelConfig

DirectMetric = Literal["logit_difference", "logit"]

COLUMNS = ["task", "length", "metric", "component", "score", "stderr", "n"]


@dataclass(frozen=True)
class DirectLogitAttribution:
    """What each part of the model writes straight in the direction of the right answer's logit, past all other parts.

    At a position that predicts a scored token, with x the residual stream after the last layer, s the final norm's
    scale, w its weights and u the unembedding's column of the right token (less that of the counterfactual's token, for
    `logit_difference`), a component that adds c to x has the score

        c . (w * u) / s        (layer norm: (c - mean c) . (w * u) / s)

    s is that of the unchanged run, so scores of all components are exact shares: together with `constant` (the final
    norm's bias and the unembedding's, if the model has them) they sum to the metric. Positive: the component makes the
    right answer more probable. Unit: logits; averaged over the scored tokens (that differ, for `logit_difference`) of
    an example, then over examples.
    Source: Elhage et al., A Mathematical Framework for Transformer Circuits (2021), direct paths; Wang et al.,
    arXiv 2211.00593, section 3.1.

    Attributes:
        metric: `logit_difference` of right and counterfactual token, or the right token's `logit`.
        by: `component`: the embedding (with learned positions), every head and every MLP, and `b_O`, the sum of all
            attention output biases, if the model has them; `layer`: the embedding, every attention layer (with its
            bias) and every MLP.

    Raises:
        UnknownNameError: No such metric or unit.
    """

    metric: DirectMetric = "logit_difference"
    by: Literal["component", "layer"] = "component"

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, get_args(DirectMetric))
        check_choice("unit", self.by, ("component", "layer"))

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
        """One row per component: task, length, metric, component, score, stderr, n.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples.
            n: Examples, from the test stream.
            generator: The source of the examples and, for `logit_difference`, of their counterfactuals.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            InvalidValueError: As `scores`; n below 1, no such length, a vocabulary without the task's tokens, or, for
                `logit_difference`, an example without a counterfactual.
        """
        draw = Examples.drawn if self.metric == "logit" else Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        scores = self.scores(model, examples, running=running)
        table = pd.DataFrame(
            {
                "metric": self.metric,
                "component": self.components(model.config),
                "score": scores.mean(dim=0).numpy(),
                "stderr": standard_errors(scores.T).numpy(),
                "n": n,
            }
        )
        return about(table, task=task.name, length=length)

    def components(self, config: ModelConfig) -> list[str]:
        """The names of what is scored, in the order of computation."""
        if self.by == "component":
            names = [str(sender) for sender in senders(config)] + ["b_O"] * (config.biases in ("attention", "all"))
        else:
            parts = [Part(layer, kind) for layer in range(config.n_layers) for kind in ("attn", "mlp")]
            names = [EMBED, *map(str, parts)]
        return names + ["constant"] * (config.norm == "LN" or config.biases == "all")

    @torch.inference_mode()
    def scores(
        self, model: HookedTransformer, examples: Examples, *, running: Running = AT_ONCE
    ) -> Float[Tensor, "batch component"]:
        """The score of every component in every example, in the order of `components`.

        Args:
            model: The model, with nothing hooked to it. It is left as it was.
            examples: Clean examples; for `logit_difference`, with their counterfactuals.
            running: How the work is divided, followed (in examples) and kept. What every layer writes is kept, so fewer
                tokens than the budget run at a time: as many as take the memory of two forward passes of the budget.

        Returns:
            The scores, in float64 on the CPU.

        Raises:
            InvalidValueError: A model with hooks attached, no such task head, a logit difference without
                counterfactuals or of equal answers, or logits that are not finite.
        """
        examples.check_model(model, before="an attribution")
        if self.metric == "logit_difference":
            check_pairs(examples)
        return scores_in_parts(
            examples,
            lambda part: self._scores(model, part),
            shape=(len(self.components(model.config)),),
            tokens=trace_tokens(model, running),
            device=model.device,
            running=running,
        )

    def _scores(self, model: HookedTransformer, examples: Examples) -> Float[Tensor, "batch component"]:
        """The scores of a part of the examples."""
        tracer, reading = Tracer.of(model, examples), Reading(examples.clean, examples.counterfactual)
        trace = tracer.run(tracer.start(reading.batch))
        tracer.logits(trace, reading.batch)  # refuses those that are not finite
        u, bias = self._answer(model, reading, examples.task_head)
        norm, resid = model.ln_final, _scored(trace.resid[model.config.n_layers], reading)
        if norm.kind == "LN":
            resid = resid - resid.mean(dim=-1, keepdim=True)
        scale = (resid.pow(2).mean(dim=-1, keepdim=True) + norm.eps).sqrt()
        direction = u * working(norm.w) / scale
        if norm.kind == "LN":
            direction = direction - direction.mean(dim=-1, keepdim=True)  # as good as to centre each component
            bias = bias + u @ working(norm.b)
        shares = self._shares(model, trace, reading, direction)
        if "constant" in self.components(model.config):
            shares.append(bias)
        counted = reading.differs if self.metric == "logit_difference" else torch.ones_like(reading.targets)
        return (reading.per_example(torch.stack(shares) * counted) / reading.per_example(counted.float())).T

    def _answer(
        self, model: HookedTransformer, reading: Reading, task_head: int
    ) -> tuple[Float[Tensor, "scored d_model"], Float[Tensor, " scored"]]:
        """The unembedding's column, and bias, of each scored token; for a difference, less those of its foil."""
        several = model.config.task_heads > 1
        W_U, b_U = (working(part[task_head] if several else part) for part in (model.W_U, model.b_U))
        column, bias = W_U.T[reading.targets], b_U[reading.targets]
        if self.metric == "logit":
            return column, bias
        return column - W_U.T[reading.foils], bias - b_U[reading.foils]

    def _shares(
        self, model: HookedTransformer, trace: Trace, reading: Reading, direction: Float[Tensor, "scored d_model"]
    ) -> list[Float[Tensor, " scored"]]:
        """What each component writes in the direction; z @ (W_O @ direction), so that no head is written out."""
        shares, from_biases = [(_scored(trace.resid[0], reading) * direction).sum(dim=-1)], []
        for layer, block in enumerate(model.blocks):
            reads = torch.einsum("sm,hdm->shd", direction, working(block.attn.W_O))
            heads = (_scored(trace.z[layer], reading) * reads).sum(dim=-1)
            from_biases.append(direction @ working(block.attn.b_O))
            shares += [heads.sum(dim=1) + from_biases[-1]] if self.by == "layer" else heads.unbind(dim=1)
            shares.append((_scored(trace.mlp_out[layer], reading) * direction).sum(dim=-1))
        return [*shares, *[torch.stack(from_biases).sum(dim=0)] * ("b_O" in self.components(model.config))]


def _scored(x: Float[Tensor, "batch last_pos ..."], reading: Reading) -> Float[Tensor, "scored ..."]:
    """An activation at the predicting positions, all of which are among its last ones."""
    return working(x[reading.batch.predicting[:, -x.shape[1] :]])
