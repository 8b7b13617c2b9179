"""The search for counterfactual prompts: a small change that alters the answer and keeps the prompt's length."""

import itertools
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.ragged import Ragged

TRIES = (8, 128)
"""Candidates drawn per prompt: a few for all, then more for the prompts still without a counterfactual."""

AT_ONCE = 2**21
"""About this many symbols of candidates are held at once."""

MOST_REPLACED = 2
"""How many replacements are tried, one first, before a prompt is said to have no counterfactual."""

Answer = Literal["as long", "shorter", "longer"]
"""The length of a counterfactual's answer, compared with the original's; tried in this order."""

ANSWERS = get_args(Answer)


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

    Answers as long as the original's are tried first, then shorter ones, then longer ones; within each, one replacement
    before two. Of the candidates that will do, one with the fewest changed symbols is taken.
    """
    found = Ragged(prompts.values.clone(), prompts.lengths.clone())
    left = torch.arange(len(prompts.lengths), device=prompts.lengths.device)
    stages = [(answer, count) for answer in ANSWERS for count in range(1, MOST_REPLACED + 1)]
    for (answer, count), tries in itertools.product(stages, TRIES):
        missed = []
        for rows in left.split(max(1, AT_ONCE // (tries * prompts.values.shape[1]))):
            candidates, good = _candidates(
                task, prompts[rows], tries=tries, count=count, answer=answer, change=change, generator=generator
            )
            found = found.put(rows[good], candidates[good])
            missed.append(rows[~good])
        left = torch.cat(missed)
        if not len(left):
            break
    return found, left


def replace_one(prompts: Ragged, kin: Int[Tensor, " symbol"], *, generator: Generator) -> Ragged:
    """Each prompt with one of the given symbols, chosen uniformly among its places, turned into another of them."""
    values = prompts.values
    rank = torch.full((int(torch.maximum(values.max(), kin.max())) + 1,), -1, device=values.device)
    rank[kin] = torch.arange(len(kin), device=kin.device)
    old = rank[values]
    weights = torch.rand(values.shape, generator=generator, device=values.device)
    place = torch.where((old >= 0) & prompts.counted, weights, -1.0).argmax(dim=1, keepdim=True)
    step = torch.randint(1, max(2, len(kin)), place.shape, generator=generator, device=values.device)
    new = kin[(old.gather(1, place) + step) % len(kin)]
    return Ragged(values.scatter(1, place, new), prompts.lengths)


def _candidates(
    task: Changeable, prompts: Ragged, *, tries: int, count: int, answer: Answer, change: str, generator: Generator
) -> tuple[Ragged, Bool[Tensor, " batch"]]:
    """The best of some random changes of each prompt, and whether it will do."""
    many = prompts.repeat(tries)
    changed = many
    for _ in range(count):
        changed = task.vary(changed, generator=generator)
    good = task.keeps(many, changed, change=change)
    good &= _answers_differ(task.answers(prompts).repeat(tries), task.answers(changed), answer)
    replaced = ((many.values != changed.values) & many.counted).sum(dim=1)
    cost = torch.where(good, replaced, many.values.shape[1] + 1).view(tries, -1)
    rows = torch.arange(cost.shape[1], device=cost.device)
    best = cost.argmin(dim=0) * cost.shape[1] + rows
    return changed[best], good[best]


def _answers_differ(first: Ragged, second: Ragged, answer: Answer) -> Bool[Tensor, " batch"]:
    """Whether two answers differ at a place that both have, the second as long as the first, shorter or longer."""
    width = min(first.values.shape[1], second.values.shape[1])
    both = first.counted[:, :width] & second.counted[:, :width]
    differ = (both & (first.values[:, :width] != second.values[:, :width])).any(dim=1)
    longer = second.lengths - first.lengths
    return differ & {"as long": longer == 0, "shorter": longer < 0, "longer": longer > 0}[answer]
