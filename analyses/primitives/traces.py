"""What each layer's attention does to some examples, and what its heads would do otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.examples import Examples
from analyses.primitives.primitive import Uses
from training import HookedTransformer


@dataclass(frozen=True)
class LayerTrace:
    """One layer's attention on all examples.

    Attributes:
        layer: Which layer.
        resid_pre: The residual stream before it.
        pattern: Where each head looks.
        v: Values, by key-value head.
        z: What each head reads: its pattern times its values.
        resid_mid: The residual stream behind the attention.
    """

    layer: int
    resid_pre: Float[Tensor, "batch pos d_model"]
    pattern: Float[Tensor, "batch head query key"]
    v: Float[Tensor, "batch key group d_head"]
    z: Float[Tensor, "batch query head d_head"]
    resid_mid: Float[Tensor, "batch query d_model"]

    def values(self, head: int) -> Float[Tensor, "batch key d_head"]:
        """The values that a head reads."""
        return self.v[:, :, head // (self.pattern.shape[1] // self.v.shape[2])]

    def cut(self, head: int, uses: Uses) -> Float[Tensor, "batch query d_head"]:
        """What a head reads if, where a primitive applies, its attention to the sources is cut.

        Their entries become 0, and the rest is divided by its sum; where nothing is left in the number format, the rest
        is spread evenly over the other positions that the query sees.
        """
        pattern = self.pattern[:, head]
        visible = torch.ones_like(pattern[0], dtype=torch.bool).tril()
        others = visible & ~uses.source
        rest = torch.where(others, pattern, 0)
        total = rest.sum(dim=-1, keepdim=True)
        even = others.to(pattern.dtype)
        rest = torch.where(
            total > 0,
            rest / total.clamp(min=torch.finfo(total.dtype).tiny),
            even / even.sum(dim=-1, keepdim=True).clamp(min=1),
        )
        z = torch.where(uses.applies[..., None], rest, pattern) @ self.values(head)
        return torch.where(uses.applies[..., None], z, self.z[:, :, head])


@torch.inference_mode()
def traces(model: HookedTransformer, examples: Examples, *, token_budget: int) -> Iterator[LayerTrace]:
    """The trace of every layer, one after the other, so that only one layer's patterns are held at a time."""
    inputs = examples.clean.inputs.to(model.device)
    rows = max(1, token_budget // examples.width)
    parts = [model.start(part) for part in inputs.split(rows)]
    for layer in range(model.config.n_layers):
        traced = [_traced(model, layer, part) for part in parts]
        pattern, v, z, middle = (torch.cat(values) for values in zip(*traced, strict=True))
        yield LayerTrace(layer, torch.cat(parts), pattern, v, z, middle)
        parts = [model.blocks[layer].after_attention(part[-1]) for part in traced]


def _traced(model: HookedTransformer, layer: int, resid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pattern, values, z and the residual stream behind the attention."""
    kept: dict[str, Tensor] = {}
    names = [f"blocks.{layer}.attn.hook_{site}" for site in ("pattern", "v", "z")]

    def keep(value: Tensor, hook: object) -> None:
        kept[str(getattr(hook, "name", ""))] = value

    with model.hooks([(name, keep) for name in names]):
        middle = model.blocks[layer].middle(resid)
    pattern, v, z = (kept[name] for name in names)
    return pattern, v, z, middle


@torch.inference_mode()
def log_probabilities(
    model: HookedTransformer, resid: Float[Tensor, "use d_model"], tokens: Int[Tensor, " use"], *, task_head: int
) -> Float[Tensor, " use"]:
    """Log probability, in nats, of a token at each place, read off the residual stream as if it were the last."""
    logits = model.logits(resid, task=task_head).double()
    return logits.log_softmax(dim=-1).gather(-1, tokens[:, None])[:, 0]


@torch.inference_mode()
def carried_on(
    model: HookedTransformer, layer: int, middle: Float[Tensor, "batch pos d_model"], *, rows: int
) -> Float[Tensor, "batch pos d_model"]:
    """The last residual stream, from that behind a layer's attention."""
    parts: list[Tensor] = []
    for part in middle.split(rows):
        resid = model.blocks[layer].after_attention(part)
        for block in model.blocks[layer + 1 :]:
            resid = block(resid)
        parts.append(resid)
    return torch.cat(parts)


def per_example(values: Float[Tensor, " use"], applies: Bool[Tensor, "batch query"]) -> Float[Tensor, " batch"]:
    """The mean over each example's uses; 0 for an example that has none."""
    sums = torch.zeros(len(applies), dtype=torch.float64, device=values.device)
    sums.index_add_(0, applies.nonzero()[:, 0], values.double())
    return sums / applies.sum(dim=1).clamp(min=1)
