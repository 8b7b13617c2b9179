"""Labels of the tasks on sequences of numbers.

tokens      [sort]  [5] [3] [9]  =  [3] [5] [9] [EOS]
minimum        .     5   3   3   3   .   .   .    .
successor      .     .   .   .   .   5   9   .    .
"""

import re

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.probing.label import Label
from analyses.probing.token_labels import first_of, prompt_ends
from tasks import Batch, Task
from tasks.sorting import Fill, Min, NumberTask, Sort, Successor
from tasks.sorting.numbers import SEPARATOR

_NONE = 2**31


def minimum(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The smallest element of the sequence up to this token, from its first element to the prompt's final `=`."""
    least = _sequence(task, batch).cummin(dim=1).values
    places = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return torch.where((least < _NONE) & (places <= prompt_ends(task, batch)[:, None]), least, -1)


def successor(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The smallest element of the sequence that is larger than this token, at numbers behind the sequence."""
    numbers = _numbers(task, batch)
    elements = _sequence(task, batch)
    ordered = elements.sort(dim=1).values
    place = torch.searchsorted(ordered, numbers.contiguous(), right=True)
    found = ordered.gather(1, place.clamp(max=ordered.shape[1] - 1))
    behind = torch.arange(batch.tokens.shape[1], device=batch.tokens.device) > _sequence_ends(task, batch)[:, None]
    exists = (place < ordered.shape[1]) & (found < _NONE)
    return torch.where(behind & (numbers < _NONE) & exists, found, -1)


def _numbers(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The numbers that the tokens stand for; a greater one at all others."""
    values = [int(token[1:-1]) if re.fullmatch(r"\[\d+\]", token) else _NONE for token in task.vocabulary.tokens]
    return torch.tensor(values, device=batch.tokens.device)[batch.tokens]


def _sequence_ends(task: Task, batch: Batch) -> Int[Tensor, " batch"]:
    """The position of the token behind the sequence: the first comma or `=`."""
    ends = prompt_ends(task, batch)
    comma = task.vocabulary.index.get(SEPARATOR, -1)
    return torch.minimum(ends, first_of(batch.tokens == comma))


def _sequence(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The elements at their positions; a greater number at all others."""
    places = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return torch.where(places < _sequence_ends(task, batch)[:, None], _numbers(task, batch), _NONE)


NUMBER_LABELS = (
    Label("minimum", "the smallest element so far, from the first element to the final = of the prompt", minimum,
          (NumberTask,)),
    Label("successor", "the next larger element of the sequence, at numbers behind the sequence", successor,
          (Sort, Min, Successor, Fill)),
)  # fmt: skip
