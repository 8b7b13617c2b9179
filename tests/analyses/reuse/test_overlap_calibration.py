"""Overlap's p-values and intervals on simulated maps: right as often as they say, and better with more examples.

The maps are of four layers of eight heads; the effects on examples scatter around them. No model is run.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analyses import HeadEffects, HeadOverlap
from analyses.reuse.similarity import similarities
from tests.analyses.models import effects_of, seeded

MEASURES = [measure.name for measure in similarities(4, persistence=0.9)]
SETS = ["jaccard", "overlap_coefficient"]
HEADS, PER_LAYER = 32, 8
DRAWS = 1_000


@dataclass(frozen=True)
class Simulated:
    """True maps of two tasks, and measurements of them.

    Attributes:
        sharing: Correlation of the true maps over heads.
        layers: How strongly each layer as a whole matters, to both tasks alike.
        noise: Standard deviation of an example's effect, that of the true effects being 1.
        n: Examples of each task.
    """

    sharing: float = 0
    layers: float = 0
    noise: float = 2
    n: int = 256

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, HeadEffects, HeadEffects]:
        """The two true maps, and the effects that were measured."""
        common, first, second = random.normal(size=(3, HEADS))
        layers = self.layers * random.normal(size=HEADS // PER_LAYER).repeat(PER_LAYER)
        maps = [
            layers + self.sharing**0.5 * common + (1 - self.sharing) ** 0.5 * own for own in (first, second)
        ]  # fmt: skip
        return (maps[0], maps[1], self._measured(maps[0], random), self._measured(maps[1], random))

    def _measured(self, true: np.ndarray, random: np.random.Generator) -> HeadEffects:
        # Hard examples are hard whatever is ablated: a part of the noise is common to all heads.
        noise = 0.8 * random.normal(size=(HEADS, self.n)) + 0.6 * random.normal(size=self.n)
        return effects_of(torch.from_numpy(true[:, None] + self.noise * noise), heads_per_layer=PER_LAYER)


def p_values(simulated: Simulated, *, draws: int = DRAWS, permutations: int = 99) -> pd.DataFrame:
    """p of each draw, a column for each measure and null."""
    random, overlap = np.random.default_rng(0), HeadOverlap(k=4, permutations=permutations, bootstraps=2)
    tables = [overlap(*simulated.draw(random)[2:], generator=seeded(draw)).assign(draw=draw) for draw in range(draws)]
    return pd.concat(tables).pivot(index="draw", columns=["measure", "null"], values="p")


@pytest.fixture(scope="module")
def unrelated() -> pd.DataFrame:
    return p_values(Simulated(n=16))


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("null", ["free", "within_layer"])
def test_p_values_of_unrelated_maps_are_uniform(unrelated: pd.DataFrame, measure: str, null: str) -> None:
    p = unrelated[measure, null].to_numpy()
    if measure in SETS:  # so few values that many shuffles equal what was observed: p is greater, never smaller
        for level in (0.01, 0.05, 0.1, 0.25):
            assert (p <= level).mean() <= level + 3 * (level * (1 - level) / DRAWS) ** 0.5
    else:  # p comes in hundredths, each equally probable: spread within its hundredth, it is uniform on [0, 1]
        spread = p - np.random.default_rng(1).uniform(0, 0.01, len(p))
        assert scipy.stats.kstest(spread, "uniform").pvalue > 0.001


@pytest.mark.slow
@pytest.mark.parametrize("measure", SETS)
def test_the_exact_p_of_unrelated_maps_is_that_of_its_distribution(unrelated: pd.DataFrame, measure: str) -> None:
    # p takes the values P(X >= x); under the null P(p <= such a value) is the value itself.
    p = unrelated[measure, "hypergeometric"].to_numpy()
    for shared in (1, 2, 3):
        level = float(scipy.stats.hypergeom.sf(shared - 1, HEADS, 4, 4))
        assert (p <= level + 1e-12).mean() == pytest.approx(level, abs=3 * (level * (1 - level) / DRAWS) ** 0.5 + 1e-3)


@pytest.mark.slow
def test_layers_that_matter_as_a_whole_deceive_the_free_null_only() -> None:
    p = p_values(Simulated(layers=2, n=16), draws=300)
    for measure in MEASURES:
        assert (p[measure, "free"] <= 0.05).mean() > 0.1
        assert (p[measure, "within_layer"] <= 0.05).mean() < 0.05 + 4 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.slow
def test_power_rises_with_examples() -> None:
    power: list[pd.Series] = []
    for n in (8, 64, 1024):
        p = p_values(Simulated(sharing=0.9, noise=12, n=n), draws=150)
        power.append(pd.Series({measure: (p[measure, "within_layer"] <= 0.05).mean() for measure in MEASURES}))
    few, some, many = power
    assert (few < some).all(), power
    assert (some < many).all(), power
    assert (many.drop(SETS) > 0.9).all(), many
    assert (many[SETS] > 0.4).all(), many


def coverage(simulated: Simulated, *, draws: int) -> pd.Series:
    """How often each measure's interval holds the measure of the true maps."""
    random, overlap = np.random.default_rng(0), HeadOverlap(k=4, permutations=1, bootstraps=100)
    measures = similarities(4, persistence=0.9)
    held = np.zeros((draws, len(measures)))
    for draw in range(draws):
        first, second, *effects = simulated.draw(random)
        table = overlap(*effects, generator=seeded(draw)).drop_duplicates("measure")
        truth = np.array([float(measure.between(first, second)) for measure in measures])
        held[draw] = (table["low"] - 1e-9 <= truth) & (truth <= table["high"] + 1e-9)
    return pd.Series(held.mean(axis=0), MEASURES)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [0, 0.8])
def test_intervals_cover_the_truth_as_often_as_they_say(sharing: float) -> None:
    covered = coverage(Simulated(sharing=sharing), draws=400)
    error = 2 * (0.95 * 0.05 / 400) ** 0.5  # of a share of 400 draws
    assert (covered.drop(SETS) > 0.93 - error).all(), covered
    assert (covered.drop(SETS) < 0.97 + error).all(), covered
    assert (covered[SETS] > 0.93 - error).all(), covered  # few values are possible, so it may be more often
