"""Causal attention: rotary or no positions, grouped queries, tempered logits; fused, or one hook point per step."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from training.config import ModelConfig
from training.model.cache import KeyValue
from training.model.packing import Rows
from training.model.parts import bias_or_zeros, hooked, plus_bias
from training.model.rotary import adjacent, apart, cached_tables, cached_turns, rotate, turn

_SHORT = 128
"""Rows up to so many places, or twice as many in half precision, are read faster step by step than by fused attention,
on a processor."""


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
        self.b_O = bias_or_zeros(d_model, trained=config.biases in ("attention", "all"))
        if config.temperature == "log_n":
            self.beta = nn.Parameter(torch.ones(()))
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()  # [batch, pos, head, d_head]
        if config.positions == "rotary":
            self.hook_rot_q, self.hook_rot_k = HookPoint(), HookPoint()  # [batch, pos, head, d_head]
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()  # [batch, head, query, key]
        self.hook_z = HookPoint()  # [batch, pos, head, d_head]
        self._points = tuple(module for module in self.modules() if isinstance(module, HookPoint))

    def forward(
        self,
        x: Float[Tensor, "batch pos d_model"],
        past: KeyValue | None = None,
        first: int = 0,
        packed: Rows | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """The sum over heads of z[head] @ W_O[head], plus b_O.

        Args:
            x: The normalised residual stream.
            past: Keys and values of earlier tokens, grown in place.
            first: The first position whose output is wanted; earlier ones are keys and values only. Not to be used
                while something is hooked, since hooks are promised every position.
            packed: Several examples in a row: which tokens belong together. Not together with the former two.
        """
        return self.out(self.z(x, past, first, packed))

    def z(
        self,
        x: Float[Tensor, "batch pos d_model"],
        past: KeyValue | None = None,
        first: int = 0,
        packed: Rows | None = None,
    ) -> Float[Tensor, "batch queries head d_head"]:
        """Each head's output before W_O: its pattern times its values."""
        return self._explicit(x, past) if hooked(*self._points) else self._fast(x, past, first, packed)

    def out(self, z: Float[Tensor, "*batch head d_head"]) -> Float[Tensor, "*batch d_model"]:
        """What the heads write to the residual stream together, position by position."""
        return plus_bias(z.flatten(-2) @ self.W_O.flatten(0, 1), self.b_O)

    def _fast(self, x: Tensor, past: KeyValue | None, first: int, packed: Rows | None) -> Tensor:
        """z by fused attention. [batch, queries, head, d_head]"""
        start = past.length if past else 0
        positions = packed.positions if packed else self._places(x, start)
        turns = packed.turns if packed else self.turns(start, start + x.shape[1], like=x)
        q, k, v = self.project(x, self.projection(), positions, turns)
        if past is not None:
            if turns is not None:
                q, k = apart(q), apart(k)  # as the explicit path caches them
            k, v = past.append(k, v)
        if packed is not None:
            q, k, v = (part.transpose(1, 2) for part in (q, self._per_head(k), self._per_head(v)))
            return _packed_attention(q, k, v, packed.mask).transpose(1, 2)
        return self.attend(q[:, first:], k, v, positions[first:])

    def projection(self) -> tuple[Float[Tensor, "d_model all"], Float[Tensor, " all"] | None]:
        """The weights, and the biases if there are any, of the one product that gives queries, keys and values."""
        rotary, qk = self.config.positions == "rotary", torch.cat((self.W_Q, self.W_K))
        weight = torch.cat((adjacent(qk) if rotary else qk, self.W_V)).transpose(0, 1).flatten(1)
        if self.config.biases == "none":
            return weight, None
        b_qk = torch.cat((self.b_Q, self.b_K))
        return weight, torch.cat((adjacent(b_qk) if rotary else b_qk, self.b_V)).flatten()

    def turns(self, start: int, stop: int, *, like: Tensor) -> Complex[Tensor, "pos 1 half"] | None:
        """What turns queries and keys at positions start..stop - 1; nothing unless positions are rotary."""
        c = self.config
        if c.positions != "rotary":
            return None
        return cached_turns(start, stop, c.d_head, c.rotary_base, like.device, like.dtype, c.rotary_scaling)

    def project(
        self,
        x: Float[Tensor, "*batch pos d_model"],
        projection: tuple[Tensor, Tensor | None],
        positions: Int[Tensor, "*#row pos"],
        turns: Complex[Tensor, "*#row pos 1 half"] | Float[Tensor, "*#row pos 1 half 2"] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, turned in the order of `adjacent` if rotary, the queries tempered; and values.

        Args:
            x: The normalised residual stream at some positions.
            projection: What `projection` gives.
            positions: Which positions these are.
            turns: What turns them.

        Returns:
            Queries [*batch, pos, head, d_head]; keys and values, by key-value head.
        """
        heads, groups = self.config.n_heads, self.config.n_key_value_heads
        weight, bias = projection
        qkv = (x @ weight if bias is None else x @ weight + bias).unflatten(-1, (heads + 2 * groups, -1))
        qk, v = qkv.split((heads + groups, groups), dim=-2)
        if turns is not None:
            qk = turn(qk, turns)
        q, k = qk.split((heads, groups), dim=-2)
        if self.config.temperature == "log_n":
            q = q * self._log_n(positions, x.dtype)[..., None, None]
        return q, k, v

    def attend(
        self,
        q: Float[Tensor, "batch query head d_head"],
        k: Float[Tensor, "batch key group d_head"],
        v: Float[Tensor, "batch key group d_head"],
        positions: Int[Tensor, " query"],
    ) -> Float[Tensor, "batch query head d_head"]:
        """z: what the queries at some positions read from the keys at positions 0 to the last."""
        causal, visible = q.shape[1] == k.shape[1], positions[:, None] >= torch.arange(k.shape[1], device=k.device)
        q, k, v = (part.transpose(1, 2) for part in (q, self._per_head(k), self._per_head(v)))
        if _is_short(v):
            mask = torch.zeros(visible.shape, device=v.device, dtype=v.dtype).masked_fill_(~visible, -torch.inf)
            return _step_by_step(q, k, v, mask).transpose(1, 2)
        mask = None if causal else visible
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
            scores = scores * self._log_n(self._places(x, start), x.dtype)[:, None]
        scores = self.hook_attn_scores(scores.masked_fill(~self._visible(x, start), -torch.inf))
        pattern = self.hook_pattern(scores.softmax(dim=-1))
        return self.hook_z(torch.einsum("bhqk,bkhd->bqhd", pattern, self._per_head(v)))

    def _per_head(self, x: Tensor) -> Tensor:
        """Every query head's own copy of its key-value head. [batch, pos, head, d_head]"""
        shared = self.config.n_heads // self.config.n_key_value_heads
        return x if shared == 1 else x.repeat_interleave(shared, dim=2)

    def _tables(self, x: Tensor, start: int) -> tuple[Tensor, Tensor]:
        c = self.config
        return cached_tables(start, start + x.shape[1], c.d_head, c.rotary_base, x.device, x.dtype, c.rotary_scaling)

    def _log_n(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """beta * ln(n) for the query at each position, which attends to itself and everything before it."""
        exact = torch.promote_types(dtype, torch.float32)  # half precision cannot count to 257
        return self.beta * (positions + 1).to(exact).log().to(dtype)

    @staticmethod
    def _places(x: Tensor, start: int) -> Int[Tensor, " pos"]:
        return torch.arange(start, start + x.shape[1], device=x.device)

    @classmethod
    def _visible(cls, x: Tensor, start: int) -> Bool[Tensor, "query key"]:
        """True where a query may attend to a key: at its own position and before."""
        return cls._places(x, start)[:, None] >= torch.arange(start + x.shape[1], device=x.device)


def _packed_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention within each example of packed rows. [row, head, query, d_head]"""
    if _is_short(v):
        return _step_by_step(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(v.dtype))


def _is_short(v: Tensor) -> bool:
    """Whether attention step by step is faster: short rows, on a processor.

    There fused attention divides the work badly among threads, and in half precision its gradient takes ten times as
    long.
    """
    short = _SHORT if v.dtype in (torch.float32, torch.float64) else 2 * _SHORT
    return v.device.type == "cpu" and v.shape[2] <= short


def _step_by_step(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention with a softmax in the mask's precision. [row, head, query, d_head]"""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(2, 3)
    return (scores + mask).softmax(dim=-1).to(v.dtype) @ v
