"""The examples that attribution reads: drawn, taken in parts that fit a token budget, and averaged over."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_finite
from tasks import Batch, InvalidValueError, Pair, Task
from training import HookedTransformer

TOKEN_BUDGET = 4096
"""Tokens run at a time. On a CPU 1,024 to 8,192 take the same time, so it bounds the memory and nothing else."""


def draw(task: Task, model: HookedTransformer, *, length: int, n: int, generator: Generator) -> tuple[Task, Batch]:
    """The task, bound to the model's vocabulary, and examples of it from the test stream.

    Raises:
        InvalidValueError: n below 1, no such length, or a vocabulary without the task's tokens.
    """
    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be attributed; allowed is 1 or more")
    bound = task.bind(model.vocabulary)
    return bound, bound.sample(n, length=length, generator=generator, stream="test")


def draw_pair(task: Task, model: HookedTransformer, *, length: int, n: int, generator: Generator) -> Pair:
    """Examples from the test stream, each with a counterfactual.

    Raises:
        InvalidValueError: As `draw`, or an example without a counterfactual.
    """
    bound, batch = draw(task, model, length=length, n=n, generator=generator)
    return bound.counterfactual(batch, generator=generator)


def in_parts(
    clean: Batch,
    score: Callable[[slice], Float[Tensor, "part *measured"]],
    *,
    token_budget: int,
    on_done: Callable[[int, int], object],
) -> Float[Tensor, "batch *measured"]:
    """The scores of all examples, computed for so many at a time that they have at most `token_budget` tokens.

    Args:
        clean: The examples.
        score: Scores the examples in some rows.
        token_budget: The most tokens; a single example may have more.
        on_done: Called with the number of parts done and to do.

    Returns:
        The scores, in float64 on the CPU.

    Raises:
        InvalidValueError: A token budget below 1, or a score that is not finite.
    """
    if token_budget < 1:
        raise InvalidValueError(f"token_budget = {token_budget} tokens; allowed is 1 or more")
    rows = max(1, token_budget // clean.inputs.shape[1])
    starts, found = range(0, len(clean), rows), []
    for done, first in enumerate(starts, start=1):
        found.append(score(slice(first, first + rows)).double().cpu())
        check_finite(found[-1])
        on_done(done, len(starts))
    return torch.cat(found)


def rows_of(pair: Pair, rows: slice, device: torch.device) -> Pair:
    """Some examples of a pair, on a device.

    They are copies: what was made in inference mode cannot take part in a gradient.
    """
    clean, other = (
        Batch(side.tokens[rows].clone().to(device), side.scored[rows].clone().to(device))
        for side in (pair.clean, pair.counterfactual)
    )
    return Pair(clean, other)


def estimate(scores: Float[Tensor, "batch *measured"]) -> tuple[Float[Tensor, "*measured"], Float[Tensor, "*measured"]]:
    """The mean over examples and its standard error, which is missing (NaN) for a single example."""
    n = len(scores)
    spread = scores.std(dim=0, correction=1) / n**0.5 if n > 1 else torch.full_like(scores[0], torch.nan)
    return scores.mean(dim=0), spread
