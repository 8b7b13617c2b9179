"""Whether a task's sampler and its reference agree, and whether two tasks read the same prompts."""

from collections.abc import Iterable
from typing import get_args

import torch
from torch import Generator

from tasks.errors import InvalidValueError
from tasks.streams import Stream
from tasks.task import Task


def check_task(task: Task, *, lengths: Iterable[int], generator: Generator, n: int = 100) -> None:
    """Draws examples of every stream at every length and compares each with `solve`, also after reading it back.

    Args:
        task: The task.
        lengths: The lengths to draw at.
        generator: The source of randomness.
        n: Examples per length and stream.

    Raises:
        InvalidValueError: The first example where sampler and `solve` disagree, that `solve` refuses as a prompt, or
            that `examples` writes in other tokens.
    """
    for length in lengths:
        for stream in get_args(Stream):
            batch = task.sample(n, length=length, generator=generator, stream=stream)
            prompts = []
            for row in batch.tokens:
                prompt, answer = task.prompt_and_answer(task.vocabulary.decode(row))
                solved = task.solve(prompt)
                if solved != answer:
                    raise InvalidValueError(
                        f"task {task.name!r} answers {prompt!r} with {answer!r} in 'sample' and {solved!r} in 'solve'; "
                        "mend the one that is wrong"
                    )
                prompts.append(prompt)
            if not torch.equal(task.examples(prompts).tokens, batch.tokens):
                raise InvalidValueError(
                    f"task {task.name!r} writes the prompts of length {length} in other tokens than it drew; "
                    "'answers' must depend on the prompt's own symbols only, and 'symbols' must hold each of them once"
                )


def same_prompts(first: Task, second: Task, *, length: int) -> bool:
    """Whether two tasks draw the same prompts from the same generator state, so that their examples are matched."""
    drawn = []
    for task in (first, second):
        batch = task.sample(4, length=length, generator=torch.Generator().manual_seed(0), stream="test")
        drawn.append([task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in batch.tokens])
    return drawn[0] == drawn[1]
