"""Scores against the gains of seeds that are left out: by hand, by counting all cases, and against scipy."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm, spearmanr
from scipy.stats import t as student

from analyses.suggestion.prediction import Prediction
from tests.analyses.models import seeded


def of(scores: list[list[float]], gains: list[list[float]]) -> Prediction:
    return Prediction(np.array(scores, dtype=float), np.array(gains, dtype=float))


# Three candidates, three seeds.
#               scores          mean over the other seeds     gains           Spearman   first  its gain  greatest
# seed 0 out    9  0  0         0   3.5 1.5                   .6  .1  .2      -1         2nd    .1        .6
# seed 1 out    0  6  0         4.5 .5  1.5                   .3  .0  .1       1         1st    .3        .3
# seed 2 out    0  1  3         4.5 3   0                     .2  .2  .5      -.866      1st    .2        .5
# Ranks of seed 2: 3 2 1 and 1.5 1.5 3: (1, 0, -1) . (-.5, -.5, 1) / (sqrt 2 sqrt 1.5) = -.866.
SCORES = [[9.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 1.0, 3.0]]
GAINS = [[0.6, 0.1, 0.2], [0.3, 0.0, 0.1], [0.2, 0.2, 0.5]]
THREE = of(SCORES, GAINS)


def test_a_seed_is_compared_with_the_mean_of_the_others() -> None:
    assert THREE.foretold.tolist() == [[0.0, 3.5, 1.5], [4.5, 0.5, 1.5], [4.5, 3.0, 0.0]]
    assert THREE.gained.tolist() == GAINS
    assert THREE.spearman == pytest.approx((-1 + 1 - 0.75**0.5) / 3)
    assert THREE.chosen == pytest.approx((0.1 + 0.3 + 0.2) / 3)
    assert THREE.greatest == pytest.approx((0.6 + 0.3 + 0.5) / 3)
    assert THREE.regret == pytest.approx(0.8 / 3)


def test_with_one_seed_its_own_score_is_taken() -> None:
    one = of(SCORES[:1], GAINS[:1])
    assert one.foretold.tolist() == SCORES[:1]
    assert (one.chosen, one.regret) == (0.6, 0.0)


def test_noise_that_a_run_shares_is_not_prediction() -> None:
    # Whatever the candidates are, a seed's score is its gain: of the same runs they agree without fail. The seeds have
    # nothing in common, so the others foretell nothing: over many tables the mean correlation is that of chance, 0.
    draws = np.random.default_rng(0).normal(size=(400, 3, 6))
    found = [Prediction(values, values).spearman for values in draws]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    same = [Prediction(values[None, seed], values[None, seed]).spearman for values in draws for seed in range(3)]
    assert same == pytest.approx([1.0] * 1200)


def test_first_ones_that_tie_have_their_mean_gain() -> None:
    # .1 + .2 and .3 differ in the last bit; rounding makes them one.
    tied = of([[0.1 + 0.2, 0.3, 0.0]], [[0.5, 0.1, 0.9]])
    assert tied.chosen == pytest.approx(0.3)
    assert tied.regret == pytest.approx(0.6)


@pytest.mark.parametrize(("seeds", "candidates"), [(1, 5), (2, 4), (3, 6)])
def test_p_is_exact_over_all_orders_and_the_same_order_in_all_seeds(seeds: int, candidates: int) -> None:
    draws = np.random.default_rng(seeds)
    scores = draws.integers(0, 4, size=(seeds, candidates)).astype(float)
    gains = scores + draws.normal(size=scores.shape)
    orders = np.array(list(itertools.permutations(range(candidates))))
    others = [scores[[other for other in range(seeds) if other != one] or [0]].mean(axis=0) for one in range(seeds)]
    null = [
        np.mean([spearmanr(told, gain[order]).statistic for told, gain in zip(others, gains, strict=True)])
        for order in orders.tolist()
    ]
    prediction = Prediction(scores, gains)
    assert prediction.spearman == pytest.approx(null[0])
    assert prediction.p(orders[1:]) == pytest.approx(np.mean(np.array(null) >= null[0] - 1e-9))


def test_p_of_a_constant_score_is_one() -> None:
    orders = np.array(list(itertools.permutations(range(3))))[1:]
    constant = of([[1.0, 1.0, 1.0]] * 3, GAINS)
    assert (constant.spearman, constant.p(orders)) == (0.0, 1.0)
    assert of(SCORES, [[0.2] * 3] * 3).p(orders) == 1.0


def test_the_interval_draws_candidates_and_needs_six() -> None:
    draws = np.random.default_rng(5)
    gains = draws.normal(size=(3, 12))
    scores = gains.mean(axis=0) + draws.normal(size=(3, 12))
    drawn = np.random.default_rng(0).integers(12, size=(500, 12))
    prediction = Prediction(scores, gains)
    samples = [
        np.mean([spearmanr(prediction.foretold[one, rows], gains[one, rows]).statistic for one in range(3)])
        for rows in drawn.tolist()
    ]
    assert prediction.interval(drawn) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))
    five, six = (Prediction(scores[:, :count], gains[:, :count]).interval(drawn[:, :count] % count) for count in (5, 6))
    assert np.isnan(five).all()
    assert not np.isnan(six).any()


def test_the_regrets_interval_is_that_of_all_samples_of_seeds() -> None:
    # All 27 samples of three seeds, but the three of one seed only: what goes with a drawn seed are the others drawn.
    regrets = []
    for drawn in itertools.product(range(3), repeat=3):
        if len(set(drawn)) == 1:
            continue
        parts = []
        for seed in drawn:
            means = np.mean([SCORES[other] for other in drawn if other != seed], axis=0)
            best = [place for place in range(3) if means[place] == means.max()]
            parts.append(max(GAINS[seed]) - np.mean([GAINS[seed][place] for place in best]))
        regrets.append(np.mean(parts))
    wider = np.sqrt(3 / 2) * student.ppf(0.975, 2) / norm.ppf(0.975)
    low, high = THREE.regret + wider * (np.quantile(regrets, [0.025, 0.975]) - np.mean(regrets))
    assert low < 0
    found = THREE.regret_interval(draws=20_000, generator=seeded())
    assert found == pytest.approx((0.0, high), abs=0.03)


def test_the_regrets_interval_is_missing_where_seeds_cannot_tell() -> None:
    for count in (1, 2):
        assert np.isnan(of(SCORES[:count], GAINS[:count]).regret_interval(draws=50, generator=seeded())).all()
    same = of([[3.0, 2.0, 1.0]] * 4, [[0.5, 0.3, 0.1]] * 4)
    assert same.regret_interval(draws=50, generator=seeded()) == (0.0, 0.0)
    # Two draws of three seeds may both be of one seed only; whatever is drawn, there is no error.
    drawn = [THREE.regret_interval(draws=2, generator=seeded(place)) for place in range(300)]
    assert any(np.isnan(low) for low, _ in drawn)
