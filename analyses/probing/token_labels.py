"""Labels that every task has.

tokens               [shift]  a  b  l  =  b  c  a  [EOS]
current_token           t     t  t  t  t  t  t  t    .      t: the token's id
next_target             .     .  .  .  t  t  t  t    .      t: the id of the token that follows
position_from_end       .     3  2  1  0  .  .  .    .
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.probing.label import Label
from tasks import Batch, Task
from tasks.frame import END, REPEATS


def current_token(_task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The token's id, at every token before the last scored one: what a model reads, whatever fills up behind."""
    places = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return torch.where(places < _last_scored(batch)[:, None], batch.tokens, -1)


def next_target(_task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The id of the token that follows, where that is scored."""
    following = torch.where(batch.scored, batch.tokens, -1)[:, 1:]
    return torch.nn.functional.pad(following, (0, 1), value=-1)


def position_from_end(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """How many tokens stand between a token of the prompt and the end of it: 0 at the final `=`."""
    ends, places = prompt_ends(task, batch)[:, None], torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    lead = 1 + REPEATS if task.marking == "repeated" else 1
    return torch.where((places >= lead) & (places <= ends), ends - places, -1)


def prompt_ends(task: Task, batch: Batch) -> Int[Tensor, " batch"]:
    """The position of the `=` that ends each prompt, the first one."""
    return first_of(batch.tokens == task.vocabulary.index[END])


def first_of(mask: Bool[Tensor, "batch pos"]) -> Int[Tensor, " batch"]:
    """The first position where the mask is True; how many positions there are, if there is none."""
    found = mask.int().argmax(dim=1)
    return torch.where(mask.any(dim=1), found, mask.shape[1])


def _last_scored(batch: Batch) -> Int[Tensor, " batch"]:
    return batch.scored.long().cumsum(dim=1).argmax(dim=1)


TOKEN_LABELS = (
    Label("current_token", "the token itself, at every token before the last scored one", current_token),
    Label("next_target", "the token that follows, where that is scored", next_target),
    Label("position_from_end", "how many tokens before the final = of the prompt, at the prompt", position_from_end),
)
