"""Prints how far logits and gradients of compiled blocks are from those of the same blocks as they stand, by case.

What a compiler is handed is tested, the blocks as one graph each; torch itself runs the graphs.
"""

import json
import sys
from typing import Any

import torch
from torch import Tensor

from tests.training.model.cases import CASES, tiny_model
from tests.training.model.test_packing import batch_of
from training.model import pack

COMPILED = (
    "rotary, RMS, gated silu",
    "learned, LN, plain gelu, qkv biases",
    "rotary, log_n",
    "none, log_n, two key-value heads",
)
"""The cases that are tried: each takes seconds."""


def found(backend: str | None, changes: dict[str, Any]) -> list[Tensor]:
    """The residual stream at the predicting positions, and the gradient of its squares in every weight."""
    torch.compiler.reset()
    model, packed = tiny_model(**changes).double(), pack(batch_of([9, 3, 5, 1, 8, 4]), multiples=(2, 8))
    model.compile_packed(backend=backend)
    resid = model.packed_residual(packed)
    resid.square().sum().backward()
    return [resid, *(weight.grad for weight in model.parameters() if weight.grad is not None)]


def difference(changes: dict[str, Any]) -> float:
    """The greatest one, relative to the greatest number there is."""
    one, other = (torch.cat([part.detach().flatten() for part in found(how, changes)]) for how in (None, "aot_eager"))
    return ((one - other).abs().max() / one.abs().max()).item()


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: difference(CASES[name]) for name in COMPILED}))
