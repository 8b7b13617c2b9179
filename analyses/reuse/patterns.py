"""How differently a model attends on the examples of two tasks: per example and head."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.examples import Running
from analyses.reuse.offset_cosines import Profiles
from analyses.reuse.two_tasks import TwoTasks
from analyses.scopes import Scope
from tasks import Batch, InvalidValueError
from training import HookedTransformer


@dataclass(frozen=True)
class ComparedPatterns:
    """What the attention patterns of two tasks' examples come to.

    Attributes:
        difference: Sum over entries of |A_first - A_second|; only of aligned examples.
        divergence: Mean over queries of the Jensen-Shannon divergence of their rows, in nats; only of aligned examples.
        profiles: For each task, mean attention at each distance, over the queries that reach it. Distances that an
            example does not reach are left out for all.
    """

    difference: Float[Tensor, "aligned layer head"]
    divergence: Float[Tensor, "aligned layer head"]
    profiles: Profiles


@torch.inference_mode()
def compare_patterns(
    model: HookedTransformer, examples: TwoTasks, *, positions: Scope, running: Running
) -> ComparedPatterns:
    """Runs the model on both tasks' examples and compares their patterns, a part of the examples at a time.

    Args:
        model: The model, left as it was.
        examples: The examples.
        positions: Of which queries.
        running: How the work is divided and followed (in examples of one task).

    Returns:
        The measures, in float64 on the CPU.

    Raises:
        InvalidValueError: A model with hooks attached, or an example that has no query in the scope.
    """
    queries = [queries_of(batch, positions) for batch in (examples.first, examples.second)]
    reached = [int(_last(one).min()) + 1 for one in queries]
    parts = []
    for rows in examples.parts(running.tokens(model.device)):
        batch = examples.part(rows)
        read = torch.cat([one[rows] for one in queries]).to(model.device)
        parts.append(_part(model, batch, read, distances=min(reached), aligned=examples.aligned))
        running.on_done(rows.stop, len(examples))
    difference, divergence, first, second = (torch.cat(values) for values in zip(*parts, strict=True))
    return ComparedPatterns(difference, divergence, (first, second))


def queries_of(batch: Batch, positions: Scope) -> Bool[Tensor, "batch input"]:
    """True at the queries in a scope: tokens up to the last that predicts a scored one.

    Raises:
        InvalidValueError: An example has none.
    """
    place = torch.arange(batch.inputs.shape[1], device=batch.tokens.device)
    start = batch.scored.int().argmax(dim=1, keepdim=True)
    queries = place <= _last(batch.predicting)[:, None]
    if positions == "prompt":
        queries &= place < start
    elif positions == "answer":
        queries &= place >= start
    none = (~queries.any(dim=1)).nonzero()[:, 0].tolist()
    if none:
        raise InvalidValueError(
            f"example {none[0]} has no query in positions {positions!r}: its answer's only token is not read; use "
            "positions 'all' or 'prompt'"
        )
    return queries


def _last(marks: Bool[Tensor, "batch input"]) -> Tensor:
    """The last marked place of each row."""
    return marks.shape[1] - 1 - marks.flip(1).int().argmax(dim=1)


def _part(
    model: HookedTransformer, batch: Batch, queries: Bool[Tensor, "both input"], *, distances: int, aligned: bool
) -> tuple[Tensor, ...]:
    """The measures of a part: difference, divergence, profiles of the first and of the second task's examples."""
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.config.n_layers)]
    half, layers = len(batch) // 2, []

    def compare(pattern: Float[Tensor, "both head query key"], hook: object) -> None:
        pattern = pattern.double()  # of one layer at a time, so that long prompts fit
        both = queries[:half] & queries[half:]
        entries = _between(pattern[:half], pattern[half:], both) if aligned else ()
        layers.append((*entries, *_profiles(pattern, queries, distances).split(half)))

    with model.hooks([(name, compare) for name in names]):
        model.residual(batch.inputs.to(model.device))
    measured = [torch.stack(one, dim=1).cpu() for one in zip(*layers, strict=True)]
    nothing = torch.zeros(0, model.config.n_layers, model.config.n_heads, dtype=torch.float64)
    return tuple(measured if aligned else [nothing, nothing, *measured])


def _between(
    first: Float[Tensor, "batch head query key"],
    second: Float[Tensor, "batch head query key"],
    queries: Bool[Tensor, "batch query"],
) -> tuple[Float[Tensor, "batch head"], Float[Tensor, "batch head"]]:
    """The difference, summed over queries, and the divergence, their mean; both 0 where the tasks share no query."""
    read = queries[:, None]
    difference = ((first - second).abs().sum(dim=-1) * read).sum(dim=-1)
    divergence = (jensen_shannon(first, second) * read).sum(dim=-1)
    return difference, divergence / read.sum(dim=-1).clamp(min=1)


def jensen_shannon(first: Float[Tensor, "*batch key"], second: Float[Tensor, "*batch key"]) -> Float[Tensor, "*batch"]:
    """Jensen-Shannon divergence of distributions over the last axis, in nats, in [0, ln 2]; 0 between rows of zeros.

    Half of KL(first || middle) + KL(second || middle), summed entry by entry, so that equal rows give exactly 0 and
    entries of 0 add 0.
    """
    middle = ((first + second) / 2).clamp(min=torch.finfo(first.dtype).tiny)
    terms = torch.xlogy(first, first / middle) + torch.xlogy(second, second / middle)
    return (terms.sum(dim=-1) / 2).clamp(0, math.log(2))


def _profiles(
    pattern: Float[Tensor, "both head query key"], queries: Bool[Tensor, "both query"], distances: int
) -> Float[Tensor, "both head distance"]:
    """Mean attention at each distance query - key, over the queries that reach it."""
    read = queries[:, None]
    sums = [
        (pattern.diagonal(-distance, dim1=-2, dim2=-1) * read[..., distance:]).sum(dim=-1)
        for distance in range(distances)
    ]
    reaching = queries.flip(1).cumsum(dim=1).flip(1)[:, :distances]
    return torch.stack(sums, dim=-1) / reaching[:, None]
