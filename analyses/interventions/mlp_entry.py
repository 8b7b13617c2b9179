"""The short way from a head of a layer into the same layer's MLP."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from training.model.block import Block


@dataclass(frozen=True)
class MLPEntry:
    """The MLP's first products, before the norm's scale: linear in the stream, so in what a head writes to it.

    With a root-mean-square norm and no biases, an MLP reads x w / s (s the norm's scale), so its first products x W,
    with W = w W_in (gated: w W_gate beside it), can be divided by s afterwards.

    Attributes:
        block: The layer.
        weight: w W_in, or w W_gate and w W_in side by side.
        by_head: The same behind each head's W_O.
    """

    block: Block
    weight: Float[Tensor, "d_model first"]
    by_head: Float[Tensor, "head d_head first"]

    @classmethod
    def of(cls, block: Block) -> "MLPEntry | None":
        """The way of this layer; None where it has none, or it would not be shorter."""
        mlp, W_O = block.mlp, block.attn.W_O
        if block.ln2.kind != "RMS" or isinstance(mlp.b_in, nn.Parameter) or 2 * W_O.shape[1] > W_O.shape[2]:
            return None
        maps = torch.cat((mlp.W_gate, mlp.W_in), dim=1) if mlp.gated else mlp.W_in
        weight = block.ln2.w[:, None] * maps
        return cls(block, weight, W_O @ weight)

    def products(self, resid_mid: Float[Tensor, "batch place d_model"]) -> Float[Tensor, "batch_place first"]:
        """The first products of a stream, batch and place as one axis."""
        return resid_mid.flatten(0, 1) @ self.weight

    def out(
        self, products: Float[Tensor, "*batch first"], resid_mid: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """What the MLP writes, from its first products (which it may overwrite) and the stream that it reads."""
        mlp = self.block.mlp
        scale = (resid_mid.pow(2).mean(dim=-1, keepdim=True) + self.block.ln2.eps).rsqrt()
        if not mlp.gated:
            return mlp.act(products.mul_(scale)) @ mlp.W_out
        gate, linear = products.chunk(2, dim=-1)
        return (mlp.act(gate.mul_(scale)).mul_(linear) @ mlp.W_out).mul_(scale)
