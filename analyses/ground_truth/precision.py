"""Arithmetic of a given precision: every result rounded."""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tasks import UnknownNameError

_TYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Bits of the significand, the leading one among them."""


@dataclass(frozen=True)
class Precision:
    """A floating-point precision by name.

    Attributes:
        name: `float64`, `float32`, `float16`, `bfloat16`, or `4bit` (2 to 53): a significand of so many bits, the
            leading one among them, and an exponent without limits.

    Raises:
        UnknownNameError: Another name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _BITS and not 2 <= self._named_bits <= 53:
            raise UnknownNameError(
                f"unknown precision {self.name!r}; the precisions are {', '.join(_BITS)}, and 2bit to 53bit"
            )

    @property
    def bits(self) -> int:
        """Bits of the significand, the leading one among them."""
        return _BITS.get(self.name, self._named_bits)

    def round(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The nearest values of this precision (ties to even), as float64."""
        if self.name in _TYPES:
            return x.to(_TYPES[self.name]).double()
        significand, exponent = torch.frexp(x.double())  # significand in [1/2, 1); 0, inf and nan as they are
        return torch.ldexp(torch.round(torch.ldexp(significand, torch.tensor(self.bits))), exponent - self.bits)

    @property
    def _named_bits(self) -> int:
        match = re.fullmatch(r"(\d{1,2})bit", self.name)
        return int(match[1]) if match else 0
