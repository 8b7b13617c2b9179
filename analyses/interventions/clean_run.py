"""What a run of some examples left behind at every site: where interventions start, and what patches are taken from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.interventions.places import Places
from analyses.interventions.sites import Site
from tasks import InvalidValueError
from training import HookedTransformer


@dataclass(frozen=True)
class LayerRun:
    """What one layer computed, all positions. Queries and keys are turned (`Attention.project`).

    `attn_out` and `mlp_out` are empty unless they were asked for.
    """

    resid_pre: Float[Tensor, "batch pos d_model"]
    q: Float[Tensor, "batch pos head d_head"]
    k: Float[Tensor, "batch pos group d_head"]
    v: Float[Tensor, "batch pos group d_head"]
    z: Float[Tensor, "batch pos head d_head"]
    resid_mid: Float[Tensor, "batch pos d_model"]
    attn_out: Tensor
    mlp_out: Tensor
    resid_post: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class LayerWeights:
    """What every intervention in a layer uses again."""

    projection: tuple[Tensor, Tensor | None]
    turns: Tensor | None


@dataclass(frozen=True)
class CleanRun:
    """A run of some examples without any edit."""

    layers: Sequence[LayerRun]
    logits: Float[Tensor, "scored vocab"]

    @classmethod
    def of(
        cls,
        model: HookedTransformer,
        weights: Sequence[LayerWeights],
        inputs: Int[Tensor, "batch pos"],
        predicting: Bool[Tensor, "batch pos"],
        *,
        needed: Places,
        keep: frozenset[Site],
        task_head: int,
    ) -> "CleanRun":
        """Runs the examples and reads the logits at the predicting positions.

        In the last layer the MLP is computed at the `needed` positions only; at others its output counts as 0.

        Raises:
            InvalidValueError: The logits are not finite.
        """
        layers: list[LayerRun] = []
        resid = model.start(inputs)
        positions = torch.arange(inputs.shape[1], device=inputs.device)
        nothing = resid.new_empty(0)
        for layer, (block, used) in enumerate(zip(model.blocks, weights, strict=True)):
            q, k, v = block.attn.project(block.ln1(resid), used.projection, positions, used.turns)
            z = block.attn.attend(q, k, v, positions)
            attn_out = block.attn.out(z)
            middle = resid + attn_out
            if layer < len(weights) - 1:
                mlp_out = block.mlp(block.ln2(middle))
            else:
                read = needed.index(inputs.device)
                mlp_out = torch.zeros_like(middle)
                mlp_out[:, read] = block.mlp(block.ln2(middle[:, read]))
            layers.append(
                LayerRun(
                    resid, q, k, v, z, middle, attn_out if "attn_out" in keep else nothing,
                    mlp_out if "mlp_out" in keep else nothing, middle + mlp_out,
                )
            )  # fmt: skip
            resid = layers[-1].resid_post
        logits = model.logits(resid[predicting], task=task_head)
        if not bool(torch.isfinite(logits).all()):
            raise InvalidValueError(
                "the model's logits are not finite, so no effect can be measured; check its weights"
            )
        return cls(layers, logits)

    def pattern(self, layer: int, head: int, group: int, queries: slice | Tensor) -> Float[Tensor, "batch query key"]:
        """A head's attention pattern at some queries."""
        run = self.layers[layer]
        q, k = run.q[:, queries, head], run.k[:, :, group]
        places = torch.arange(k.shape[1], device=k.device)
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        return scores.masked_fill(places > places[queries][:, None], -torch.inf).softmax(dim=-1)


def layer_weights(model: HookedTransformer, *, width: int) -> list[LayerWeights]:
    """Each layer's weights as runs of examples of some width use them."""
    like = model.embed.W_E
    return [LayerWeights(block.attn.projection(), block.attn.turns(0, width, like=like)) for block in model.blocks]
