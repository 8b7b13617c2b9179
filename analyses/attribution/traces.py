"""Runs whose activations can be asked for a metric's gradient.

The gradient is asked of activations only, never of weights: none of theirs is computed, nothing is left on them, and no
hook is attached to the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.attribution.checks import check_finite
from analyses.examples import Examples
from analyses.metrics import Metric, Reading
from tasks import Batch, InvalidValueError
from training import HookedTransformer


@dataclass(frozen=True)
class Trace:
    """What a run of some examples left behind, by layer, from where the run started.

    In the last layer all that follows attention is of positions from `Tracer.first` on, as nothing reads earlier ones.

    Attributes:
        resid: The residual stream before each layer; under `n_layers`, that after the last.
        qkv: A summand of queries, keys and values before they are turned, side by side as `Attention.projection` has
            them: its gradient is theirs. Only of runs with gradients.
        z: Each head's output before W_O.
        mid: The residual stream between attention and MLP.
        mlp_in: The copy of `mid` that the MLP reads: its gradient is that of the MLP's branch alone.
        mlp_out: What the MLP writes.
    """

    resid: dict[int, Float[Tensor, "batch _pos d_model"]]
    qkv: dict[int, Float[Tensor, "batch pos all"]]
    z: dict[int, Float[Tensor, "batch _pos head d_head"]]
    mid: dict[int, Float[Tensor, "batch _pos d_model"]]
    mlp_in: dict[int, Float[Tensor, "batch _pos d_model"]]
    mlp_out: dict[int, Float[Tensor, "batch _pos d_model"]]


@dataclass(frozen=True)
class Tracer:
    """Runs a model on examples of one shape.

    Attributes:
        model: The model.
        first: The first position that predicts a scored token.
        task_head: Which unembedding to use.
        projections: Each layer's `Attention.projection`.
    """

    model: HookedTransformer
    first: int
    task_head: int
    projections: Sequence[tuple[Tensor, Tensor | None]]

    @classmethod
    @torch.no_grad()
    def of(cls, model: HookedTransformer, examples: Examples) -> "Tracer":
        """The tracer of some examples."""
        first = int(examples.clean.predicting[0].int().argmax())
        return cls(model, first, examples.task_head, [block.attn.projection() for block in model.blocks])

    @torch.no_grad()
    def start(self, batch: Batch) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream before the first layer."""
        return self.model.start(batch.inputs)

    def run(
        self,
        resid: Float[Tensor, "batch _pos d_model"],
        *,
        layer: int = 0,
        site: Literal["resid_pre", "resid_mid"] = "resid_pre",
    ) -> Trace:
        """Runs the model from the residual stream before a layer or in its middle.

        Gradients can be asked for if they are enabled. `layer` may be `n_layers`, where nothing is left to run. From
        the last layer's middle on, `resid` is of positions from `first` on.
        """
        trace, last = Trace({}, {}, {}, {}, {}, {}), self.model.config.n_layers
        resid = resid.detach().requires_grad_(torch.is_grad_enabled())
        if site == "resid_mid":
            resid = self._mlp(resid, layer, trace)
            layer += 1
        for later in range(layer, last):
            trace.resid[later] = resid
            resid = self._mlp(self._attention(resid, later, trace), later, trace)
        trace.resid[last] = resid
        return trace

    def logits(self, trace: Trace, batch: Batch) -> Float[Tensor, "scored vocab"]:
        """The logits at the batch's predicting positions.

        Raises:
            InvalidValueError: They are not finite.
        """
        resid = trace.resid[self.model.config.n_layers][batch.predicting[:, self.first :]]
        logits = self.model.logits(resid, task=self.task_head)
        check_finite(logits)
        return logits

    def gradients(
        self, trace: Trace, reading: Reading, metric: Metric, *, wanted: Sequence[Tensor]
    ) -> list[Float[Tensor, "batch ..."]]:
        """The gradient of each example's metric with respect to its part of some of the trace's tensors.

        Raises:
            InvalidValueError: The logits are not finite, or the metric does not depend on them differentiably.
        """
        values = metric.values(self.logits(trace, reading.batch), reading)
        if not values.requires_grad:
            raise InvalidValueError(
                f"metric {metric.name!r} has no gradient with respect to the logits; compute it from them in torch, "
                "without argmax, comparisons or detach"
            )
        grads = torch.autograd.grad(values.sum(), list(wanted), allow_unused=True, materialize_grads=True)
        return [working(grad) for grad in grads]

    def _attention(self, resid: Tensor, layer: int, trace: Trace) -> Float[Tensor, "batch _pos d_model"]:
        """The residual stream in the middle of a layer; in the last layer from `first` on."""
        block, (weight, bias) = self.model.blocks[layer], self.projections[layer]
        start = self.first if layer == self.model.config.n_layers - 1 else 0
        if torch.is_grad_enabled():
            bias = trace.qkv[layer] = _summand(resid, weight, bias)
        positions = torch.arange(resid.shape[1], device=resid.device)
        turns = block.attn.turns(0, len(positions), like=resid)
        q, k, v = block.attn.project(block.ln1(resid), (weight, bias), positions, turns)
        trace.z[layer] = block.attn.attend(q[:, start:], k, v, positions[start:])
        trace.mid[layer] = resid[:, start:] + block.attn.out(trace.z[layer])
        return trace.mid[layer]

    def _mlp(self, mid: Tensor, layer: int, trace: Trace) -> Float[Tensor, "batch _pos d_model"]:
        """The residual stream after a layer."""
        block = self.model.blocks[layer]
        trace.mlp_in[layer] = mid.view_as(mid)
        trace.mlp_out[layer] = block.mlp(block.ln2(trace.mlp_in[layer]))
        return mid + trace.mlp_out[layer]


def working(x: Tensor) -> Tensor:
    """x without its graph, at least in float32, in which products of activations and gradients are taken."""
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def _summand(resid: Tensor, weight: Tensor, bias: Tensor | None) -> Float[Tensor, "batch pos all"]:
    """The bias of queries, keys and values as a leaf of its own for every example and position."""
    shape = (*resid.shape[:2], weight.shape[1])
    summand = resid.new_zeros(shape) if bias is None else bias.expand(shape).clone()
    return summand.requires_grad_()
