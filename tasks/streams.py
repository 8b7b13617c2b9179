"""Which prompts belong to the training stream and which to the test stream."""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tasks.errors import InvalidValueError
from tasks.ragged import Ragged

Stream = Literal["train", "test", "all"]
"""`train` never yields a prompt that `test` can yield; `all` yields any prompt of the form that tests have."""

SHARE = 16
"""One prompt in this many belongs to the test stream."""

SMALLEST_SPACE = 4096
"""Lengths with fewer prompts than this are not divided: a test stream of a few prompts would measure those prompts."""

_MOST_DRAWN = 1000
"""A prompt of the test stream is missed so often with probability (15/16)^1000 < 1e-28."""

_MIX = 6364136223846793005

_REDRAWN = 2**17
"""About this many symbols are drawn at once while looking for prompts of the test stream: they stay in the cache."""


def symbol_codes(symbols: Iterable[str]) -> Int[Tensor, " symbol"]:
    """A fixed number for each symbol, made from its text alone: no task, vocabulary or version of torch changes it."""
    digests = (blake2b(symbol.encode(), digest_size=8).digest() for symbol in symbols)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.int64)


def in_test_stream(codes: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """True for the prompts that belong to the test stream: a fixed hash of the prompt's own symbols decides.

    The hash sees neither the task's marker nor what stands behind the prompt nor how a task numbers its symbols, so
    tasks that read the same prompts divide them alike, also with other alphabets: a prompt that one task is tested on
    is a prompt that no task is trained on (at lengths that both divide).

    Args:
        codes: The `symbol_codes` of each prompt's symbols.
        lengths: How many of the codes of each row count.
    """
    # The power of the position, modulo 2**64, makes the order of the symbols count.
    powers = torch.full((codes.shape[1],), _MIX, device=codes.device).cumprod(0)
    counted = torch.arange(codes.shape[1], device=codes.device) < lengths[:, None]
    state = torch.where(counted, codes * powers, 0).sum(dim=1) + lengths * _MIX
    for _ in range(2):
        state = (state ^ (state >> 32)) * _MIX
    return (state >> 40) % SHARE == 0


def within(
    stream: Stream,
    prompts: Ragged,
    *,
    rows: Int[Tensor, " row"],
    belongs: Callable[[Ragged], Bool[Tensor, " batch"]],
    draw: Callable[[Int[Tensor, " draw"]], Ragged],
) -> Ragged:
    """Draws prompts of the other stream anew, until none is left.

    Args:
        stream: The stream that is asked for; the training stream's prompts are found at once, the test stream's rarely.
        prompts: The prompts as drawn.
        rows: The numbers of those that are not of this stream.
        belongs: Whether prompts are of this stream.
        draw: One new prompt in the place of each given row, in that order.

    Raises:
        InvalidValueError: So many draws found none that the task cannot have as many prompts as it says.
    """
    found, drawn = Ragged(prompts.values.clone(), prompts.lengths.clone()), 0
    while len(rows):
        if drawn > _MOST_DRAWN:
            raise InvalidValueError(
                f"none of {drawn} prompts belongs to the {stream!r} stream: "
                "the task draws far fewer prompts than its 'prompt_space' says; correct that"
            )
        fitting = max(1, _REDRAWN // (len(rows) * prompts.values.shape[1]))
        tries = 1 if stream == "train" else min(SHARE, fitting)
        drawn += tries
        again = draw(rows.repeat(tries))
        good = belongs(again).view(tries, -1)
        chosen = good.int().argmax(dim=0) * len(rows) + torch.arange(len(rows), device=rows.device)
        found = found.put(rows, again[chosen])
        rows = rows[~good.any(dim=0)]
    return found
