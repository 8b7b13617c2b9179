"""Row 3: sampling. Scored tokens per second against per-example Python loops, and the share of a training step."""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.loops import PROMPTERS
from benchmarks.rounds import Contender, Spread, run_rounds
from benchmarks.shapes import Shape
from tasks import Member, Task, get_group, get_task, list_groups
from tasks.catalogue import SCALED
from training import ModelConfig, OptimizerConfig, TrainConfig, named_generator
from training.config import MemberConfig
from training.loop import Training
from training.mixture import draw_examples

EXAMPLES = 1024
MAZE, NUMBERS, LONGEST = 32, 20, 32
"""Longest length: of mazes (all have it), of sequences of numbers, of everything else (uniform from the shortest)."""

SHAPE = "4/4/128"


@dataclass(frozen=True)
class Sampled:
    """One task.

    Attributes:
        task: Its name.
        lengths: The lengths drawn.
        tokens: Scored tokens per second, ours.
        examples: Examples per second, ours.
        ratio: How many times faster ours is than the Python loop.
    """

    task: str
    lengths: str
    tokens: Spread
    examples: Spread
    ratio: Spread


@dataclass(frozen=True)
class Sampling:
    """What sampling costs.

    Attributes:
        tasks: Each task, on one thread.
        shares: For each group of the papers, the drawing's share of a training step of batch 64 at 4/4/128.
    """

    tasks: tuple[Sampled, ...]
    shares: dict[str, Spread]

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def measure_sampling(*, seconds: float) -> Sampling:
    """Times the samplers on one thread against the Python loops, then their share of training steps."""
    threads = torch.get_num_threads()
    groups = [name for name in list_groups() if not name.endswith(SCALED)]
    torch.set_num_threads(1)
    try:
        tasks = tuple(compare_task(get_task(name), seconds=seconds / 2 / len(PROMPTERS)) for name in PROMPTERS)
    finally:
        torch.set_num_threads(threads)
    return Sampling(tasks, {name: step_share(name, seconds=seconds / 2 / len(groups)) for name in groups})


def compare_task(task: Task, *, seconds: float) -> Sampled:
    """Times one task's sampler against its Python loop."""
    lengths = _lengths(task)
    scored = int(task.sample(EXAMPLES, length=lengths, generator=named_generator(0, "lengths")).scored.sum())
    contenders = [Contender("ours", sampler(task, lengths)), Contender("loop", python_loop(task, lengths))]
    rounds = run_rounds(contenders, seconds=seconds)
    return Sampled(
        task=task.name,
        lengths=f"{int(lengths.min())}..{int(lengths.max())}" if lengths.unique().numel() > 1 else str(int(lengths[0])),
        tokens=rounds.speed("ours", per_unit=scored),
        examples=rounds.speed("ours", per_unit=EXAMPLES),
        ratio=rounds.ratio("ours", over="loop"),
    )


def sampler(task: Task, lengths: Tensor) -> Callable[[int], object]:
    """Our sampler, as training calls it."""
    return lambda unit: task.sample(
        len(lengths), length=lengths, generator=named_generator(0, "bench", unit), stream="train"
    )


def python_loop(task: Task, lengths: Tensor) -> Callable[[int], Tensor]:
    """One example at a time: a prompt, its answer by `solve`, token by token into a padded block."""
    index, eos = task.vocabulary.index, task.vocabulary.eos

    def work(unit: int) -> Tensor:
        rng, rows = random.Random(unit), []
        for length in lengths.tolist():
            prompt = PROMPTERS[task.name](task, length, rng)
            text = task.vocabulary.pieces(task.marker + with_answer(prompt, task.solve(prompt)))
            rows.append([index[piece] for piece in text] + [eos])
        longest = max(map(len, rows))
        return torch.tensor([row + [eos] * (longest - len(row)) for row in rows])

    return work


def with_answer(prompt: str, answer: str) -> str:
    """The text of an example: the answer behind the prompt, or, where that has several queries, behind each."""
    given, _, asked = prompt.partition("=")
    if not asked:
        return prompt + answer
    return f"{given}=" + ",".join(query + letter for query, letter in zip(asked.split(","), answer, strict=True))


def step_share(group: str, *, seconds: float) -> Spread:
    """Which part of a training step at 4/4/128 goes into drawing its examples."""
    chosen = get_group(group)
    members = (chosen.main, *chosen.auxiliaries)
    training = Training(_config(members, chosen.vocabulary.tokens))
    mixture, settings = training.mixture, training.config.train

    def draw(step: int) -> object:
        generator = named_generator(0, "train", step)
        return draw_examples(mixture, n=settings.batch_size, generator=generator)

    rounds = run_rounds([Contender("step", training.step), Contender("draw", draw)], seconds=seconds)
    return rounds.ratio("step", over="draw")


def print_sampling(console: Console, found: Sampling) -> None:
    """Two tables: tasks, and shares of a step."""
    table = Table(title=f"sampling, {EXAMPLES} examples, one thread", title_justify="left")
    for heading in ("task", "lengths", "scored tokens/s", "examples/s", "faster than a Python loop by"):
        table.add_column(heading, justify="left" if heading in ("task", "lengths") else "right")
    for one in found.tasks:
        ratio = f"{one.ratio.median:.0f}x ({one.ratio.low:.0f}-{one.ratio.high:.0f})"
        table.add_row(one.task, one.lengths, f"{one.tokens.median:,.0f}", f"{one.examples.median:,.0f}", ratio)
    console.print(table)
    shares = Table(title=f"drawing's share of a training step, {SHAPE}, batch 64", title_justify="left")
    shares.add_column("group")
    shares.add_column("share", justify="right")
    for name, share in found.shares.items():
        shares.add_row(name, f"{share.median:.1%} ({share.low:.1%}-{share.high:.1%})")
    console.print(shares)


def _lengths(task: Task) -> Tensor:
    if task.name in ("dfs_trace", "shortest_path"):
        return torch.full((EXAMPLES,), MAZE)
    longest = NUMBERS if "[1]" in task.symbols else LONGEST
    return torch.randint(task.min_length, longest + 1, (EXAMPLES,), generator=named_generator(0, "lengths"))


def _config(members: tuple[Member, ...], vocabulary: tuple[str, ...]) -> TrainConfig:
    shape = Shape.parse(SHAPE)
    sizes = {"n_layers": shape.n_layers, "n_heads": shape.n_heads, "d_model": shape.d_model}
    return TrainConfig(
        mixture=tuple(MemberConfig.of(member) for member in members),
        vocabulary=vocabulary,
        model=ModelConfig.read({**sizes, "d_vocab": len(vocabulary)}),
        train=OptimizerConfig(steps=10_000, batch_size=64),
    )
