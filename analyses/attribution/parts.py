"""Scores of many examples, for so many at a time that what a gradient needs fits the token budget's memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.attribution.checks import check_finite
from analyses.examples import Examples, Running
from analyses.journal import Record
from tasks import Batch
from training import HookedTransformer, ModelConfig


def scores_in_parts(
    examples: Examples,
    score: Callable[[Examples], Float[Tensor, "part *measured"]],
    *,
    shape: tuple[int, ...],
    tokens: int,
    device: torch.device,
    running: Running,
) -> Float[Tensor, "batch *measured"]:
    """The scores of all examples, a part at a time.

    Args:
        examples: The examples.
        score: Scores a part of them, which is on the device.
        shape: The shape of one example's scores.
        tokens: The most tokens of a part; a single example may have more.
        device: Where the model is.
        running: How the work is followed, in examples, and kept, the finished scores as well. To its journal each
            score is an intervention.

    Returns:
        The scores, in float64 on the CPU.

    Raises:
        InvalidValueError: A score that is not finite.
    """
    measured = range(prod(shape))
    with running.keeping(Record.empty(metrics=1, interventions=len(measured), examples=len(examples))) as record:
        for rows in _rows(examples, tokens):
            if not record.has(measured, rows):
                values = score(_part(examples, rows, device))
                check_finite(values)
                record.put(measured, rows, values.double().flatten(1).T[None])
                running.note(record)
            running.on_done(rows.stop, len(examples))
        if running.journal is not None:  # what the scores are for may be interrupted too
            running.journal.write(record)
    return record.edited[0].T.reshape(len(examples), *shape)


def gradient_tokens(model: HookedTransformer, running: Running, *, senders: int) -> int:
    """How many tokens run at a time with a gradient.

    Fewer than the budget: a gradient needs what every layer computed, and edges what every sender writes. So many are
    taken as keep no more numbers than two forward passes of the budget hold at one time. On a CPU that costs no time:
    measured, the whole budget takes as long at 4/4/128, where this is a sixth of it, and longer at 6/6/384, where this
    is a ninth.

    Args:
        model: The model.
        running: Has the token budget.
        senders: How many senders' differences are kept.
    """
    config, budget = model.config, running.tokens(model.device)
    kept = config.n_layers * (24 * config.d_model + 4 * config.d_mlp) + senders * config.d_model
    return min(budget, 2 * budget * _passing(config) // kept)


def trace_tokens(model: HookedTransformer, running: Running) -> int:
    """How many tokens run at a time where no gradient is asked for, but every layer's outputs are kept.

    As few as take the memory of two forward passes of the budget.
    """
    config, budget = model.config, running.tokens(model.device)
    kept = _passing(config) + (4 * config.n_layers + config.n_heads) * config.d_model
    return min(budget, 2 * budget * _passing(config) // kept)


def _passing(config: ModelConfig) -> int:
    """The numbers that a forward pass holds at one time for each token."""
    return 3 * config.d_mlp + 4 * config.d_model


def _rows(examples: Examples, tokens: int) -> Iterator[slice]:
    """The rows of each part."""
    rows = max(1, tokens // examples.width)
    for first in range(0, len(examples), rows):
        yield slice(first, min(first + rows, len(examples)))


def _part(examples: Examples, rows: slice, device: torch.device) -> Examples:
    """Some of the examples, on a device.

    They are copies: what was made in inference mode cannot take part in a gradient.
    """

    def copied(side: Batch) -> Batch:
        return Batch(side.tokens[rows].clone().to(device), side.scored[rows].clone().to(device))

    other = examples.counterfactual
    return replace(examples, clean=copied(examples.clean), counterfactual=None if other is None else copied(other))
