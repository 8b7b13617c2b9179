"""The search for counterfactual prompts: the smallest change that alters the answer and keeps the prompt's length."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.ragged import Ragged

TRIES = (8, 128)
"""Candidates drawn per prompt: a few for all, then more for the prompts still without a counterfactual."""

MOST_REPLACED = 2
"""How many replacements are tried, one first, before a prompt is said to have no counterfactual."""


@runtime_checkable
class Changeable(Protocol):
    """What a task offers the search."""

    def answers(self, prompts: Ragged) -> Ragged:
        """The answer to each prompt."""
        ...

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with one replacement."""
        ...

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        """Whether a changed prompt is one, and the change of the kind that is asked for."""
        ...


def find_counterfactuals(
    task: Changeable, prompts: Ragged, *, change: str, generator: Generator
) -> tuple[Ragged, Int[Tensor, " unfound"]]:
    """A changed prompt for each prompt, and the numbers of those that none was found for.

    One replacement is tried before two, and answers as long as the original's before shorter ones (a longer one would
    not fit the batch). Of the candidates that will do, one with the fewest changed symbols is taken.
    """
    found = prompts
    left = torch.arange(len(prompts.lengths), device=prompts.lengths.device)
    stages = [(as_long, count) for as_long in (True, False) for count in range(1, MOST_REPLACED + 1)]
    for as_long, count in stages:
        for tries in TRIES:
            if not len(left):
                return found, left
            candidates, good = _candidates(
                task, prompts[left], tries=tries, count=count, as_long=as_long, change=change, generator=generator
            )
            done = good.nonzero()[:, 0]
            found = found.put(left[done], candidates[done])
            left = left[~good]
    return found, left


def _candidates(
    task: Changeable, prompts: Ragged, *, tries: int, count: int, as_long: bool, change: str, generator: Generator
) -> tuple[Ragged, Bool[Tensor, " batch"]]:
    """The best of some random changes of each prompt, and whether it will do."""
    many = prompts.repeat(tries)
    changed = many
    for _ in range(count):
        changed = task.vary(changed, generator=generator)
    good = task.keeps(many, changed, change=change)
    good &= _answers_differ(task.answers(prompts).repeat(tries), task.answers(changed), as_long=as_long)
    replaced = ((many.values != changed.values) & many.counted).sum(dim=1)
    cost = torch.where(good, replaced, many.values.shape[1] + 1).view(tries, -1)
    rows = torch.arange(cost.shape[1], device=cost.device)
    best = cost.argmin(dim=0) * cost.shape[1] + rows
    return changed[best], good[best]


def _answers_differ(first: Ragged, second: Ragged, *, as_long: bool) -> Bool[Tensor, " batch"]:
    """Whether two answers differ at a place that both have, the second being as long as the first, or shorter."""
    width = min(first.values.shape[1], second.values.shape[1])
    both = first.counted[:, :width] & second.counted[:, :width]
    differ = (both & (first.values[:, :width] != second.values[:, :width])).any(dim=1)
    return differ & (second.lengths == first.lengths if as_long else second.lengths < first.lengths)
