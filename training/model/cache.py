"""Keys and values of tokens already read, so that decoding reads each token once."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class KeyValue:
    """The keys (after rotation) and values of one layer, grown token by token."""

    keys: Float[Tensor, "batch pos head d_head"] | None = None
    values: Float[Tensor, "batch pos head d_head"] | None = None

    @property
    def length(self) -> int:
        """How many tokens were read so far."""
        return 0 if self.keys is None else self.keys.shape[1]

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the new tokens' keys and values and returns all of them."""
        self.keys = k if self.keys is None else torch.cat((self.keys, k), dim=1)
        self.values = v if self.values is None else torch.cat((self.values, v), dim=1)
        return self.keys, self.values


@dataclass
class KeyValueCache:
    """One `KeyValue` per layer."""

    layers: list[KeyValue] = field(default_factory=list)

    @classmethod
    def empty(cls, n_layers: int) -> "KeyValueCache":
        """A cache that has read nothing yet."""
        return cls([KeyValue() for _ in range(n_layers)])

    @property
    def length(self) -> int:
        """How many tokens were read so far."""
        return self.layers[0].length
