"""The plain PyTorch peer: a nanoGPT-style model of the same family, with fused attention and nothing to hook."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import HookedTransformer, ModelConfig

N_CTX = 128
"""Rows of the rotary table, as such models have."""

Exchange = tuple[int, int, int | slice, Tensor]
"""Layer, head, position or positions, and what takes the place of the head's output z there."""


class PlainAttention(nn.Module):
    """Causal attention: one map for queries, keys and values, rotary positions, fused attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.d_head = config.n_heads, config.d_head
        self.c_attn = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.c_proj = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(
        self, x: Tensor, tables: tuple[Tensor, Tensor], exchange: Exchange | None, z: list[Tensor] | None
    ) -> Tensor:
        batch, pos, d_model = x.shape
        q, k, v = self.c_attn(x).split(d_model, dim=2)
        q, k, v = (part.view(batch, pos, self.heads, self.d_head).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(_rotate(q, tables), _rotate(k, tables), v, is_causal=True)
        if z is not None:
            z.append(mixed.transpose(1, 2))
        if exchange is not None:
            _, head, positions, values = exchange
            mixed[:, head, positions] = values
        return self.c_proj(mixed.transpose(1, 2).contiguous().view(batch, pos, d_model))


class PlainBlock(nn.Module):
    """Pre-norm block: attention, then a SwiGLU MLP."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.RMSNorm(config.d_model, eps=config.norm_eps), PlainAttention(config)
        self.ln_2 = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.gate = nn.Linear(config.d_model, config.d_mlp, bias=False)
        self.up = nn.Linear(config.d_model, config.d_mlp, bias=False)
        self.down = nn.Linear(config.d_mlp, config.d_model, bias=False)

    def forward(
        self, x: Tensor, tables: tuple[Tensor, Tensor], exchange: Exchange | None, z: list[Tensor] | None
    ) -> Tensor:
        x = x + self.attn(self.ln_1(x), tables, exchange, z)
        x_normed = self.ln_2(x)
        return x + self.down(F.silu(self.gate(x_normed)) * self.up(x_normed))


class PlainModel(nn.Module):
    """A Llama-like decoder as one writes it by hand."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.d_vocab, config.d_model)
        blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.n_layers))
        self.blocks = cast("Sequence[PlainBlock]", blocks)
        self.ln_f = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.lm_head = nn.Linear(config.d_model, config.d_vocab, bias=False)
        frequencies = config.rotary_base ** -(torch.arange(0, config.d_head, 2, dtype=torch.float64) / config.d_head)
        angles = torch.arange(N_CTX, dtype=torch.float64)[:, None] * frequencies
        self.cos = nn.Buffer(angles.cos().float(), persistent=False)
        self.sin = nn.Buffer(angles.sin().float(), persistent=False)

    def forward(self, tokens: Tensor, *, exchange: Exchange | None = None, z: list[Tensor] | None = None) -> Tensor:
        """Logits [batch, pos, vocab], with one head's output exchanged; every layer's z is appended to the list."""
        x = self.wte(tokens)
        tables = (self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]])
        for layer, block in enumerate(self.blocks):
            x = block(x, tables, exchange if exchange and exchange[0] == layer else None, z)
        return self.lm_head(self.ln_f(x))


def _rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


@torch.no_grad()
def plain_model(model: HookedTransformer) -> PlainModel:
    """The plain model with the same weights as ours, on its device."""
    with torch.random.fork_rng(devices=[]):  # the layers draw weights from the global generator when made
        plain = PlainModel(model.config)
    plain.wte.weight.copy_(model.W_E)
    plain.lm_head.weight.copy_(model.W_U.T)
    plain.ln_f.weight.copy_(model.ln_final.w)
    for ours, theirs in zip(model.blocks, plain.blocks, strict=True):
        maps = [W.transpose(0, 1).flatten(1) for W in (ours.attn.W_Q, ours.attn.W_K, ours.attn.W_V)]
        theirs.attn.c_attn.weight.copy_(torch.cat(maps, dim=1).T)
        theirs.attn.c_proj.weight.copy_(ours.attn.W_O.flatten(0, 1).T)
        theirs.ln_1.weight.copy_(ours.ln1.w)
        theirs.ln_2.weight.copy_(ours.ln2.w)
        theirs.gate.weight.copy_(ours.mlp.W_gate.T)
        theirs.up.weight.copy_(ours.mlp.W_in.T)
        theirs.down.weight.copy_(ours.mlp.W_out.T)
    return plain.to(model.device)
