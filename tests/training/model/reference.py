"""The forward pass once more, in plain Python: loops over positions and heads, nothing shared with the model."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from training.model import HookedTransformer

Vector = list[float]

ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def reference_logits(model: HookedTransformer, tokens: Sequence[int], *, task: int = 0) -> list[Vector]:
    """Logits of one example, position by position. [pos][vocab]"""
    c = model.config
    w: dict[str, Any] = {name: value.tolist() for name, value in model.state_dict().items()}
    residual = [list(w["embed.W_E"][token]) for token in tokens]
    if c.positions == "learned":
        residual = [plus(x, w["pos_embed.W_pos"][place]) for place, x in enumerate(residual)]
    for layer in range(c.n_layers):
        part = {name.removeprefix(f"blocks.{layer}."): value for name, value in w.items()}
        normed = [norm(model, x, part, "ln1") for x in residual]
        residual = [plus(x, y) for x, y in zip(residual, attention(model, normed, part), strict=True)]
        residual = [plus(x, mlp(model, norm(model, x, part, "ln2"), part)) for x in residual]
    columns = [list(row) for row in zip(*w["embed.W_E"], strict=True)] if c.unembedding == "tied" else w["unembed.W_U"]
    bias = w.get("unembed.b_U", [[0.0] * c.d_vocab] * c.task_heads if c.task_heads > 1 else [0.0] * c.d_vocab)
    if c.task_heads > 1:
        columns, bias = columns[task], bias[task]
    return [plus(times(norm(model, x, w, "ln_final"), columns), bias) for x in residual]


def attention(model: HookedTransformer, normed: list[Vector], part: dict[str, Any]) -> list[Vector]:
    """What the heads add at each position."""
    c = model.config
    written = [list(part.get("attn.b_O", [0.0] * c.d_model)) for _ in normed]
    for head in range(c.n_heads):
        group = head * c.n_key_value_heads // c.n_heads
        q, k, v = (
            [
                plus(times(x, part[f"attn.W_{letter}"][place]), part.get(f"attn.b_{letter}", zeros)[place])
                for x in normed
            ]
            for letter, place in (("Q", head), ("K", group), ("V", group))
            for zeros in [[[0.0] * c.d_head] * c.n_heads]
        )
        if c.positions == "rotary":
            # linear scaling, by definition: as if positions stood closer together
            q = [turned(x, place / c.rotary_scaling.factor, c.rotary_base) for place, x in enumerate(q)]
            k = [turned(x, place / c.rotary_scaling.factor, c.rotary_base) for place, x in enumerate(k)]
        for query in range(len(normed)):
            scores = [dot(q[query], k[key]) / math.sqrt(c.d_head) for key in range(query + 1)]
            if c.temperature == "log_n":
                scores = [score * part["attn.beta"] * math.log(query + 1) for score in scores]
            weights = [math.exp(score - max(scores)) for score in scores]
            z = [sum(weight * v[key][i] for key, weight in enumerate(weights)) / sum(weights) for i in range(c.d_head)]
            written[query] = plus(written[query], times(z, part["attn.W_O"][head]))
    return written


def mlp(model: HookedTransformer, x: Vector, part: dict[str, Any]) -> Vector:
    """What the MLP adds at one position."""
    c, act = model.config, ACTIVATIONS[model.config.activation]
    linear = plus(times(x, part["mlp.W_in"]), part.get("mlp.b_in", [0.0] * c.d_mlp))
    if c.mlp == "gated":
        hidden = [act(gate) * value for gate, value in zip(times(x, part["mlp.W_gate"]), linear, strict=True)]
    else:
        hidden = [act(value) for value in linear]
    return plus(times(hidden, part["mlp.W_out"]), part.get("mlp.b_out", [0.0] * c.d_model))


def norm(model: HookedTransformer, x: Vector, part: dict[str, Any], name: str) -> Vector:
    """Layer norm or root-mean-square norm of one vector."""
    mean = sum(x) / len(x) if model.config.norm == "LN" else 0.0
    scale = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x) + model.config.norm_eps)
    bias = part.get(f"{name}.b", [0.0] * len(x))
    return [(value - mean) / scale * w + b for value, w, b in zip(x, part[f"{name}.w"], bias, strict=True)]


def turned(x: Vector, position: float, base: float) -> Vector:
    """Component i and its partner half the head away, as one complex number, turned by the position's angle."""
    half = len(x) // 2
    pairs = [
        complex(x[i], x[i + half])
        * complex(math.cos(position * base ** (-i / half)), math.sin(position * base ** (-i / half)))
        for i in range(half)
    ]
    return [pair.real for pair in pairs] + [pair.imag for pair in pairs]


def dot(x: Vector, y: Vector) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def plus(x: Vector, y: Vector) -> Vector:
    return [a + b for a, b in zip(x, y, strict=True)]


def times(x: Vector, matrix: list[Vector]) -> Vector:
    return [sum(value * row[j] for value, row in zip(x, matrix, strict=True)) for j in range(len(matrix[0]))]
