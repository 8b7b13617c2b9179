"""Which answer an example is trained to give: its own, or, to take the task out of the training, another prompt's."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from tasks.batch import Batch
from tasks.errors import unknown_name

Targets = Literal["true", "shuffled"]
"""`true`: each prompt with its own answer. `shuffled`: with that of another prompt of the same task and length."""


def check_targets(name: str) -> None:
    """Raises UnknownNameError unless there are such targets."""
    known = get_args(Targets)
    if name not in known:
        raise unknown_name("targets", name, known, listing=f"they are {', '.join(known)}")


def answered_by(batch: Batch, other: Batch, *, eos: int) -> Batch:
    """The prompts of some examples, each with the answer of the example in the same row of another batch.

    Where both answers are in one piece, all of it goes along, its length and its scored [EOS] too: nothing of the
    prompt is left in what stands behind it.

        batch      [shift]  a  b  l  =  b  c  a  [EOS]
        other      [shift]  c  c  d  =  d  d  e  [EOS]
        result     [shift]  a  b  l  =  d  d  e  [EOS]

    Where an answer is scattered over tokens that are given (`mqar`), these stay, and the scored tokens are those of the
    other example in their order; from the first again, if it has fewer.

        batch      [mqar]  q  W  e  =  q  W  ,  W  e  [EOS]     the scored ones are W and e
        other      [mqar]  a  b  a  =  b  a  [EOS]              the scored one is a
        result     [mqar]  q  W  e  =  q  a  ,  W  a  [EOS]

    If the other batch is drawn independently, at the same lengths, answers keep their law at each length and lose every
    relation to their prompts.

    Args:
        batch: The examples whose prompts are kept.
        other: As many examples of the same task.
        eos: The token that fills up behind.
    """
    whole = (_in_one_piece(batch.scored) & _in_one_piece(other.scored))[:, None]
    starts, counts = batch.scored.int().argmax(dim=1)[:, None], other.scored.sum(dim=1)[:, None]
    width = max(batch.tokens.shape[1], int(torch.where(whole, starts + counts, 0).max()))
    more = (0, width - batch.tokens.shape[1])
    tokens = torch.nn.functional.pad(batch.tokens, more, value=eos)
    scored = torch.nn.functional.pad(batch.scored, more)
    behind = torch.arange(width, device=tokens.device) - starts
    tokens = torch.where(whole & (behind >= 0), eos, tokens)
    scored = torch.where(whole, (behind >= 0) & (behind < counts), scored)
    answer = other.scored.int().argsort(dim=1, descending=True, stable=True)  # the scored places, then the others
    number = (scored.cumsum(dim=1) - 1).clamp(min=0) % counts
    return Batch(torch.where(scored, other.tokens.gather(1, answer.gather(1, number)), tokens), scored)


def _in_one_piece(scored: Bool[Tensor, "batch pos"]) -> Bool[Tensor, " batch"]:
    """Whether all scored tokens of an example stand side by side."""
    last = scored.long().cumsum(dim=1).argmax(dim=1)
    return last - scored.int().argmax(dim=1) + 1 == scored.sum(dim=1)
