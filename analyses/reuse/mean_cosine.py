"""How alike a task's ablation map is to those of several others, over seeds, and what that would be by chance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Generator

from analyses.effects import HeadEffects
from analyses.reuse.comparable import check_map, check_pair
from analyses.reuse.similarity import cosine
from analyses.statistics.resampling import head_permutations
from tasks import InvalidValueError


def mean_cosine(maps: Sequence[HeadEffects]) -> float:
    """The cosine of the first map and each of the others, mean over the others; all are of one model.

    Raises:
        InvalidValueError: Fewer than two maps, or maps that cannot be compared.
    """
    first, *others = _means(maps)
    return float(np.asarray(cosine(first[None], np.stack(others))).mean())


def shuffled_mean_cosines(
    runs: Sequence[Sequence[HeadEffects]], *, draws: int, generator: Generator
) -> Float[np.ndarray, " draw"]:
    """The mean over runs of `mean_cosine`, with the heads of each run's first map shuffled within their layers.

    Each run is shuffled by itself, since head 0.3 of one seed is not that of another. The other maps of a run stay as
    they are, so what they have in common with each other, they keep.

    Args:
        runs: For each run the effects on each task, the first one's first.
        draws: How many shuffles.
        generator: The source of the shuffles.

    Raises:
        InvalidValueError: As `mean_cosine`, of any run.
    """
    total = np.zeros(draws)
    for maps in runs:
        layers = np.array([components[0].layer for components in maps[0].sets])
        first, *others = _means(maps)
        order = head_permutations(layers, draws=draws, null="within_layer", generator=generator)
        total += np.mean([np.asarray(cosine(first[order], other[None])) for other in others], axis=0)
    return total / len(runs)


def _means(maps: Sequence[HeadEffects]) -> list[Float[np.ndarray, " heads"]]:
    if len(maps) < 2:
        raise InvalidValueError(f"reuse compares a map with others. Got {len(maps)}; measure another task")
    for one in maps:
        check_map(one, k=1)
        check_pair(maps[0], one)
    return [one.effects.mean(dim=1).numpy() for one in maps]
