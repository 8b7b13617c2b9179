"""Clean examples beside their counterfactuals."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from tasks.batch import Batch
from tasks.errors import InvalidValueError


@dataclass(frozen=True)
class Pair:
    """A batch and its counterfactual: prompts as long, changed as little as possible, with other answers.

        clean            [copy]  q  W  e  =  q  W  e  [EOS]
        counterfactual   [copy]  q  k  e  =  q  k  e  [EOS]
        differs             .    .  .  .  .  .  x  .    .

    Both have one shape, and what stands at a position of the one prompt stands for the same thing at that position of
    the other, so activations of one can be patched into the other place by place (symmetric token replacement:
    Zhang and Nanda, arXiv 2309.16042).

    Attributes:
        clean: The batch that was given; wider, if an answer of the other is longer than all of its own.
        counterfactual: The changed examples, in the same order.
        differs: True at the positions that are scored in both and hold different tokens: where a logit difference,
            clean token minus counterfactual token, is defined. At least one in each example.

    Raises:
        InvalidValueError: Batches of different shapes, or an example whose answers do not differ.
    """

    clean: Batch
    counterfactual: Batch

    def __post_init__(self) -> None:
        if self.clean.tokens.shape != self.counterfactual.tokens.shape:
            raise InvalidValueError(
                "clean and counterfactual must have one shape. "
                f"Got {tuple(self.clean.tokens.shape)} and {tuple(self.counterfactual.tokens.shape)}"
            )
        same = (~self.differs.any(dim=1)).nonzero()[:, 0].tolist()
        if same:
            raise InvalidValueError(f"example {same[0]} has the same answer in both batches; it must differ somewhere")

    @classmethod
    def of(cls, clean: Batch, counterfactual: Batch, *, eos: int) -> "Pair":
        """A pair of batches, both filled up behind with [EOS] to the width of the wider one."""
        width = max(clean.tokens.shape[1], counterfactual.tokens.shape[1])
        return cls(*(cls.widened(side, width, eos=eos) for side in (clean, counterfactual)))

    @staticmethod
    def widened(batch: Batch, width: int, *, eos: int) -> Batch:
        """The batch, filled up behind with [EOS] to a width; a wider one is cut."""
        missing = (0, width - batch.tokens.shape[1])
        tokens = torch.nn.functional.pad(batch.tokens, missing, value=eos)
        return Batch(tokens, torch.nn.functional.pad(batch.scored, missing))

    @property
    def differs(self) -> Bool[Tensor, "batch pos"]:
        """True where both are scored and the tokens differ."""
        both = self.clean.scored & self.counterfactual.scored
        return both & (self.clean.tokens != self.counterfactual.tokens)

    @property
    def changed(self) -> Bool[Tensor, "batch pos"]:
        """True at the tokens of the prompt that were replaced."""
        unscored = ~(self.clean.scored | self.counterfactual.scored)
        return unscored & (self.clean.tokens != self.counterfactual.tokens)
