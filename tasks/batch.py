"""A batch of examples: what the model reads, and which of its predictions count."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tasks.errors import InvalidValueError


@dataclass(frozen=True)
class Batch:
    """Examples as token ids, with a mark on every token that is predicted and counted.

    The rows are aligned: `scored` is True at the place of the *token itself*, and the logits that predict the token at
    position p are those at position p - 1. So for `shift` at length 3:

        tokens   [shift]  a  b  l  =  b  c  a  [EOS]
        scored      .     .  .  .  .  x  x  x    x
        logits      .     .  .  .  ^  ^  ^  ^    .      (`predicting`: the positions whose logits are read)

    Examples shorter than the batch are filled up behind with `[EOS]`, never scored; attention is causal, so what
    stands behind an example cannot change it.

    Attributes:
        tokens: Token ids.
        scored: True where that token is predicted and counted; never at position 0.

    Raises:
        InvalidValueError: `scored` marks position 0, which nothing predicts, or an example has no scored token.
    """

    tokens: Int[Tensor, "batch pos"]
    scored: Bool[Tensor, "batch pos"]

    def __post_init__(self) -> None:
        if self.tokens.shape != self.scored.shape:
            raise InvalidValueError(
                f"tokens and scored must have one shape. Got {tuple(self.tokens.shape)} and {tuple(self.scored.shape)}"
            )
        if not bool(self.scored.any(dim=1).all()):
            raise InvalidValueError("an example has no scored token; every example needs at least one")
        if bool(self.scored[:, :1].any()):
            raise InvalidValueError("scored marks position 0, but no token precedes it to predict it")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def inputs(self) -> Int[Tensor, "batch input"]:
        """What the model reads: every token but the last, which predicts nothing that is scored."""
        return self.tokens[:, :-1]

    @property
    def predicting(self) -> Bool[Tensor, "batch input"]:
        """True at the positions of `inputs` whose logits predict a scored token."""
        return self.scored[:, 1:]

    @property
    def targets(self) -> Int[Tensor, " scored"]:
        """The scored tokens, example by example, in the order of `logits[predicting]`."""
        return self.tokens[self.scored]

    def __getitem__(self, rows: slice) -> "Batch":
        return Batch(self.tokens[rows], self.scored[rows])

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(self.tokens.to(device), self.scored.to(device))
