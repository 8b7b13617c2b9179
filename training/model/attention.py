"""Causal attention: rotary or no positions, grouped queries, tempered logits; fused, or one hook point per step."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from training.config import ModelConfig
from training.model.cache import KeyValue
from training.model.parts import bias_or_zeros, hooked, plus_bias
from training.model.rotary import cached_tables, rotate


class Attention(nn.Module):
    """Causal multi-head attention.

    W_Q [head, d_model, d_head], W_K and W_V likewise by key-value head, W_O [head, d_head, d_model]. Query head h
    reads key-value head h // (n_heads / n_key_value_heads). With temperature `log_n` the logits of a query that attends
    to n tokens are multiplied by beta * ln(n) (Task Hinting, section 5).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        heads, groups, d_model, d_head = config.n_heads, config.n_key_value_heads, config.d_model, config.d_head
        self.W_Q = nn.Parameter(torch.empty(heads, d_model, d_head))
        self.W_K = nn.Parameter(torch.empty(groups, d_model, d_head))
        self.W_V = nn.Parameter(torch.empty(groups, d_model, d_head))
        self.W_O = nn.Parameter(torch.empty(heads, d_head, d_model))
        self.b_Q = bias_or_zeros(heads, d_head, trained=config.biases != "none")
        self.b_K = bias_or_zeros(groups, d_head, trained=config.biases != "none")
        self.b_V = bias_or_zeros(groups, d_head, trained=config.biases != "none")
        self.b_O = bias_or_zeros(d_model, trained=config.biases == "all")
        if config.temperature == "log_n":
            self.beta = nn.Parameter(torch.ones(()))
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()  # [batch, pos, head, d_head]
        if config.positions == "rotary":
            self.hook_rot_q, self.hook_rot_k = HookPoint(), HookPoint()  # [batch, pos, head, d_head]
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()  # [batch, head, query, key]
        self.hook_z = HookPoint()  # [batch, pos, head, d_head]
        self._points = tuple(module for module in self.modules() if isinstance(module, HookPoint))

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], past: KeyValue | None = None, first: int = 0
    ) -> Float[Tensor, "batch queries d_model"]:
        """The sum over heads of z[head] @ W_O[head], plus b_O.

        Args:
            x: The normalised residual stream.
            past: Keys and values of earlier tokens, grown in place.
            first: The first position whose output is wanted; earlier ones are keys and values only. Not to be used
                while something is hooked, since hooks are promised every position.
        """
        return self.out(self.z(x, past, first))

    def z(
        self, x: Float[Tensor, "batch pos d_model"], past: KeyValue | None = None, first: int = 0
    ) -> Float[Tensor, "batch queries head d_head"]:
        """Each head's output before W_O: its pattern times its values."""
        return self._explicit(x, past) if hooked(*self._points) else self._fast(x, past, first)

    def out(self, z: Float[Tensor, "batch queries head d_head"]) -> Float[Tensor, "batch queries d_model"]:
        """What the heads write to the residual stream together."""
        return plus_bias(z.flatten(2) @ self.W_O.flatten(0, 1), self.b_O)

    def _fast(self, x: Tensor, past: KeyValue | None, first: int) -> Tensor:
        """z by fused attention. [batch, queries, head, d_head]"""
        config = self.config
        weight = torch.cat((self.W_Q, self.W_K, self.W_V)).transpose(0, 1).flatten(1)  # [d_model, all heads * d_head]
        qkv = x @ weight
        if config.biases != "none":
            qkv = qkv + torch.cat((self.b_Q, self.b_K, self.b_V)).flatten()
        heads, groups = config.n_heads, config.n_key_value_heads
        qk, v = qkv.unflatten(2, (heads + 2 * groups, config.d_head)).split((heads + groups, groups), dim=2)
        start = past.length if past else 0
        if config.positions == "rotary":
            qk = rotate(qk, self._tables(x, start))
        q, k = qk.split((heads, groups), dim=2)
        if config.temperature == "log_n":
            q = q * self._log_n(x, start)[:, None, None]
        if past is not None:
            k, v = past.append(k, v)
        q = q[:, first:]
        q, k, v = (part.transpose(1, 2) for part in (q, self._per_head(k), self._per_head(v)))
        causal = not start and not first
        mask = None if causal or q.shape[2] == 1 else self._visible(x, start)[first:]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal).transpose(1, 2)

    def _explicit(self, x: Tensor, past: KeyValue | None) -> Tensor:
        """z, one hook point per step. [batch, pos, head, d_head]"""
        q = self.hook_q(torch.einsum("bpm,hmd->bphd", x, self.W_Q) + self.b_Q)
        k = self.hook_k(torch.einsum("bpm,hmd->bphd", x, self.W_K) + self.b_K)
        v = self.hook_v(torch.einsum("bpm,hmd->bphd", x, self.W_V) + self.b_V)
        start = past.length if past else 0
        if self.config.positions == "rotary":
            tables = self._tables(x, start)
            q, k = self.hook_rot_q(rotate(q, tables)), self.hook_rot_k(rotate(k, tables))
        if past:
            k, v = past.append(k, v)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, self._per_head(k)) / math.sqrt(self.config.d_head)
        if self.config.temperature == "log_n":
            scores = scores * self._log_n(x, start)[:, None]
        scores = self.hook_attn_scores(scores.masked_fill(~self._visible(x, start), -torch.inf))
        pattern = self.hook_pattern(scores.softmax(dim=-1))
        return self.hook_z(torch.einsum("bhqk,bkhd->bqhd", pattern, self._per_head(v)))

    def _per_head(self, x: Tensor) -> Tensor:
        """Every query head's own copy of its key-value head. [batch, pos, head, d_head]"""
        shared = self.config.n_heads // self.config.n_key_value_heads
        return x if shared == 1 else x.repeat_interleave(shared, dim=2)

    def _tables(self, x: Tensor, start: int) -> tuple[Tensor, Tensor]:
        c = self.config
        return cached_tables(start, start + x.shape[1], c.d_head, c.rotary_base, x.device, x.dtype)

    def _log_n(self, x: Tensor, start: int) -> Tensor:
        """beta * ln(n) for each query, which attends to itself and everything before it. [pos]"""
        exact = torch.promote_types(x.dtype, torch.float32)  # half precision cannot count to 257
        attended = torch.arange(start + 1, start + x.shape[1] + 1, device=x.device, dtype=exact)
        return self.beta * attended.log().to(x.dtype)

    @staticmethod
    def _visible(x: Tensor, start: int) -> Bool[Tensor, "query key"]:
        """True where a query may attend to a key: at its own position and before."""
        queries = torch.arange(start, start + x.shape[1], device=x.device)
        return queries[:, None] >= torch.arange(start + x.shape[1], device=x.device)
