"""Row 7: overlap of stored effects, which needs no model, against SciPy's permutation test and bootstrap."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
import torch
from rich.console import Console
from rich.table import Table

from analyses import Head, HeadEffects, HeadOverlap, get_metric
from analyses.reuse.similarity import similarities
from benchmarks.rounds import Contender, Spread, run_rounds
from training import named_generator

OVERLAP = HeadOverlap(permutations=10_000, bootstraps=500)
"""As `interp overlap` compares."""

SHAPES = ((6, 6), (12, 12))
"""Layers and heads per layer: the first paper's model, and GPT-2 small's."""

EXAMPLES = 512


@dataclass(frozen=True)
class Overlapped:
    """One number of heads.

    Attributes:
        heads: How many.
        seconds: Of ours: all measures with both shuffled nulls and double bootstrap intervals, one pair of tasks.
        scipy: Of SciPy: the same measures with the free null and percentile intervals, vectorised likewise.
        loop: Of a plain loop over shuffles for cosine alone, without an interval.
        over_scipy: How many times faster ours is, though it does more.
        over_loop: The same for the loop.
    """

    heads: int
    seconds: Spread
    scipy: Spread
    loop: Spread
    over_scipy: Spread
    over_loop: Spread


@dataclass(frozen=True)
class Overlaps:
    """What overlap costs.

    Attributes:
        sizes: Each number of heads.
    """

    sizes: tuple[Overlapped, ...]

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"title": "overlap", **asdict(self)}


def measure_overlap(*, seconds: float) -> Overlaps:
    """Checks that SciPy's p-values are ours but for the shuffles drawn, then times both."""
    return Overlaps(tuple(_measure(*shape, seconds=seconds / len(SHAPES)) for shape in SHAPES))


def _measure(layers: int, heads: int, *, seconds: float) -> Overlapped:
    effects = [simulated_effects(layers, heads, task=task) for task in ("shift", "copy")]
    values = [one.effects.numpy() for one in effects]
    check_equal(effects, values)
    ways: dict[str, Callable[[int], object]] = {
        "ours": lambda unit: OVERLAP(*effects, generator=named_generator(unit, "overlap")),
        "scipy": partial(scipy_overlap, values),
        "loop": partial(plain_loop, values),
    }
    rounds = run_rounds([Contender(name, work) for name, work in ways.items()], seconds=seconds)
    spent = {name: Spread.of(rounds.seconds[name]) for name in ways}
    return Overlapped(
        layers * heads, spent["ours"], spent["scipy"], spent["loop"], rounds.ratio("ours", over="scipy"),
        rounds.ratio("ours", over="loop"),
    )  # fmt: skip


def simulated_effects(layers: int, heads: int, *, task: str) -> HeadEffects:
    """Effects of every head on some examples, half of what matters being common to all tasks."""
    shared, own = named_generator(0, "shared"), named_generator(0, task)
    count = layers * heads
    true = torch.randn(count, 1, generator=shared) + torch.randn(count, 1, generator=own)
    effects = (true + 2 * torch.randn(count, EXAMPLES, generator=own)).double()
    sets = tuple((Head(*divmod(place, heads)),) for place in range(count))
    return HeadEffects(task, 16, "mean", get_metric("nll"), sets, torch.zeros(EXAMPLES).double(), effects)


def scipy_overlap(values: list[np.ndarray], unit: int) -> list[tuple[float, float, float]]:
    """p, low and high of every measure, by `permutation_test` and `bootstrap`."""
    maps = [one.mean(axis=1) for one in values]
    found = []
    for measure in similarities(OVERLAP.k, persistence=OVERLAP.persistence):

        def of_maps(first: np.ndarray, *, axis: int, measure: Any = measure) -> np.ndarray:
            return measure.between(np.moveaxis(first, axis, -1), maps[1])

        test = scipy.stats.permutation_test(
            (maps[0],), of_maps, permutation_type="pairings", vectorized=True, n_resamples=OVERLAP.permutations,
            alternative="greater" if measure.alike == 1 else "less", rng=unit,
        )  # fmt: skip
        draws = np.random.default_rng(unit).integers(EXAMPLES, size=(2, OVERLAP.bootstraps, EXAMPLES))
        samples = [
            np.stack([one[:, draw].mean(axis=1) for draw in each]) for one, each in zip(values, draws, strict=True)
        ]
        low, high = np.quantile(measure.between(*samples), (0.025, 0.975))
        found.append((float(test.pvalue), float(low), float(high)))
    return found


def plain_loop(values: list[np.ndarray], unit: int) -> float:
    """p of cosine alone, one shuffle after the other."""
    first, second = (one.mean(axis=1) for one in values)
    random = np.random.default_rng(unit)

    def cosine(one: np.ndarray, two: np.ndarray) -> float:
        return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))

    observed = cosine(first, second)
    count = sum(cosine(first, random.permutation(second)) >= observed for _ in range(OVERLAP.permutations))
    return (count + 1) / (OVERLAP.permutations + 1)


def check_equal(effects: list[HeadEffects], values: list[np.ndarray]) -> None:
    """Raises RuntimeError unless p of each measure is SciPy's and, for cosine, the loop's, to a hundredth."""
    table = OVERLAP(*effects, generator=named_generator(0, "overlap"))
    ours = table[table["null"] == "free"].set_index("measure")["p"]
    theirs = dict(zip(ours.index, (p for p, _, _ in scipy_overlap(values, 0)), strict=True))
    theirs["cosine by a loop"] = plain_loop(values, 0)
    for name, p in theirs.items():
        own = ours[name.partition(" ")[0]]
        if abs(own - p) > 0.01 + 4 * (p * (1 - p) / OVERLAP.permutations) ** 0.5:
            raise RuntimeError(f"p of {name} is {p}, and {own} here")


def print_overlap(console: Console, found: Overlaps) -> None:
    """One table."""
    sizes = f"{EXAMPLES} examples, {OVERLAP.permutations:,} shuffles, {OVERLAP.bootstraps} samples"
    title = f"overlap of stored effects: {sizes}"
    table = Table(title=title, title_justify="left")
    for heading in (
        "heads",
        "ours, s",
        "SciPy, s",
        "loop (cosine only), s",
        "faster than SciPy by",
        "than the loop by",
    ):
        table.add_column(heading, justify="right")
    for one in found.sizes:
        ratios = [
            f"{ratio.median:.1f}x ({ratio.low:.1f}-{ratio.high:.1f})" for ratio in (one.over_scipy, one.over_loop)
        ]
        seconds = [f"{spent.median:.2g}" for spent in (one.seconds, one.scipy, one.loop)]
        table.add_row(str(one.heads), *seconds, *ratios)
    console.print(table)
