"""The table of model configurations that the model's tests share, and tiny models made from it."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks import Vocabulary
from training.config import ModelConfig
from training.model import HookedTransformer

VOCABULARY = Vocabulary(("[EOS]", *"abcdefgh"))

BASE: dict[str, Any] = {"n_layers": 2, "n_heads": 4, "d_model": 16, "d_mlp": 12, "d_vocab": len(VOCABULARY)}

CASES: dict[str, dict[str, Any]] = {
    "rotary, RMS, gated silu": {},
    "rotary, LN, plain relu, all biases": {"norm": "LN", "mlp": "plain", "activation": "relu", "biases": "all"},
    "learned, LN, plain gelu, qkv biases": {
        "positions": "learned",
        "n_ctx": 10,
        "norm": "LN",
        "mlp": "plain",
        "activation": "gelu",
        "biases": "qkv",
    },
    "learned, RMS, tied": {"positions": "learned", "n_ctx": 10, "unembedding": "tied"},
    "none, RMS, gated gelu": {"positions": "none", "activation": "gelu"},
    "none, LN, gated relu, all biases, tied": {
        "positions": "none",
        "norm": "LN",
        "activation": "relu",
        "biases": "all",
        "unembedding": "tied",
    },
    "rotary, two key-value heads, qkv biases": {"n_key_value_heads": 2, "biases": "qkv"},
    "rotary, one key-value head, wide heads": {"n_key_value_heads": 1, "d_head": 6, "rotary_base": 100.0},
    "rotary, linear scaling, attention biases": {
        "biases": "attention",
        "rotary_base": 50.0,
        "rotary_scaling": {"kind": "linear", "factor": 2.5},
    },
    "rotary, log_n": {"temperature": "log_n"},
    "none, log_n, two key-value heads": {"positions": "none", "temperature": "log_n", "n_key_value_heads": 2},
    "rotary, three task heads": {"task_heads": 3},
    "none, LN, three task heads, all biases, log_n": {
        "positions": "none",
        "norm": "LN",
        "task_heads": 3,
        "biases": "all",
        "temperature": "log_n",
    },
}
"""Every option of `ModelConfig` at least once, as changes to `BASE`."""


def tiny_config(**changes: Any) -> ModelConfig:
    return ModelConfig.read(BASE | changes)


def tiny_model(*, seed: int = 0, **changes: Any) -> HookedTransformer:
    """A model whose every parameter is drawn, norms' weights and biases too: no test passes because of a zero."""
    generator = Generator().manual_seed(seed)
    model = HookedTransformer(tiny_config(**changes), vocabulary=VOCABULARY, generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
        for name, parameter in model.named_parameters():
            if name.endswith((".w", ".beta")):
                parameter.add_(1)
    return model


def tiny_tokens(*, batch: int = 3, pos: int = 7, seed: int = 1) -> Int[Tensor, "batch pos"]:
    return torch.randint(len(VOCABULARY), (batch, pos), generator=Generator().manual_seed(seed))
