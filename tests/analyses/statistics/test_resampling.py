"""Shuffled heads and examples drawn anew, against exact enumeration and counting."""

from itertools import permutations
from typing import Literal

import numpy as np
import pytest
import scipy.stats

from analyses.reuse.similarity import Similarity, similarities
from analyses.statistics.resampling import Null, bootstrap_counts, bootstrap_means, head_permutations, one_sided_p
from tests.analyses.models import seeded

LAYERS = np.array([0, 0, 0, 1, 1, 2])


def test_free_shuffles_are_uniform_over_all_orders() -> None:
    drawn = head_permutations(np.array([0, 0, 1, 1]), draws=24_000, null="free", generator=seeded())
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    assert [tuple(order) for order in orders] == sorted(permutations(range(4)))
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_shuffles_within_layers_never_leave_the_layer_and_are_uniform() -> None:
    drawn = head_permutations(LAYERS, draws=12_000, null="within_layer", generator=seeded())
    assert (LAYERS[drawn] == LAYERS).all()
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(orders) == 6 * 2 * 1  # 3!, 2! and 1! orders of the layers' heads, independent of each other
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_layers_need_not_stand_in_order() -> None:
    layers = np.array([1, 0, 1, 0])
    drawn = head_permutations(layers, draws=400, null="within_layer", generator=seeded())
    assert (layers[drawn] == layers).all()
    assert len(np.unique(drawn, axis=0)) == 4


@pytest.mark.parametrize("null", ["free", "within_layer"])
def test_every_shuffle_is_a_permutation_and_follows_the_seed(null: Null) -> None:
    first, again, other = (head_permutations(LAYERS, draws=50, null=null, generator=seeded(seed)) for seed in (0, 0, 1))
    assert (np.sort(first, axis=1) == np.arange(6)).all()
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("measure", similarities(2, persistence=0.9), ids=lambda measure: measure.name)
@pytest.mark.parametrize(("null", "count"), [("free", 24), ("within_layer", 4)])
def test_null_equals_enumeration_of_all_orders(measure: Similarity, null: Null, count: int) -> None:
    # Four heads in two layers: 24 orders, 4 of them within the layers; so exact p-values come in 24ths and in quarters.
    layers = np.array([0, 0, 1, 1])
    first, second = np.array([3.0, 1, 2, 0]), np.array([2.0, 2.5, 1, -1])
    orders = np.array([o for o in permutations(range(4)) if null == "free" or (layers[list(o)] == layers).all()])
    assert len(orders) == count
    observed = float(measure.between(first, second))
    every = np.asarray(measure.between(first[None], second[orders]))
    exact = float(np.mean(measure.alike * (every - observed) >= -1e-12))
    drawn = second[head_permutations(layers, draws=20_000, null=null, generator=seeded())]
    sampled = np.asarray(measure.between(first[None], drawn))
    assert set(np.round(sampled, 9)) == set(np.round(every, 9))
    p = one_sided_p(observed, sampled, alike=measure.alike)
    assert p == pytest.approx(exact, abs=5 * (0.25 / 20_000) ** 0.5)


# One-sided p, (b + 1) / (m + 1):
@pytest.mark.parametrize(
    ("observed", "null", "alike", "p"),
    [
        (2.0, [0, 1, 2, 3], 1, 3 / 5),  # 2 and 3 are at least as great
        (2.0, [0, 1, 2, 3], -1, 4 / 5),  # 0, 1 and 2 are at least as small
        (9.0, [0, 1, 2, 3], 1, 1 / 5),  # never below 1 / (m + 1)
        (-9.0, [0, 1, 2, 3], 1, 1),
        (2.0, [2, 2, 2], 1, 1),  # ties count
        (2.0, [2 - 1e-13, 2 + 1e-13], 1, 1),  # and so does what differs by rounding
        (2.0, [2 - 1e-9], 1, 1 / 2),
        (2.0, [2 + 1e-9], -1, 1 / 2),
    ],
)
def test_one_sided_p(observed: float, null: list[float], alike: Literal[1, -1], p: float) -> None:
    assert one_sided_p(observed, np.array(null, dtype=float), alike=alike) == pytest.approx(p)


def test_bootstrap_counts_are_multinomial() -> None:
    counts = bootstrap_counts(5, draws=20_000, generator=seeded())
    assert counts.shape == (20_000, 5)
    assert (counts.sum(axis=1) == 5).all()
    # Each of the 5 draws takes an example with probability 1/5: binomial(5, 1/5), variance 0.8, covariance -0.2.
    seen = np.bincount(counts[:, 0], minlength=6)
    expected = 20_000 * scipy.stats.binom.pmf(np.arange(6), 5, 0.2)
    assert scipy.stats.chisquare(seen, expected).pvalue > 0.001
    assert np.cov(counts.T) == pytest.approx(np.eye(5) - 0.2, abs=0.04)


def test_bootstrap_means_weigh_examples_by_their_counts() -> None:
    effects = np.array([[1.0, 2, 3], [0, 0, 6]])
    counts = np.array([[1, 1, 1], [3, 0, 0], [0, 1, 2]])
    # (1 + 2 + 3) / 3, 3 * 1 / 3, (2 + 2 * 3) / 3; likewise for the second head.
    assert bootstrap_means(effects, counts) == pytest.approx(np.array([[2, 2], [1, 0], [8 / 3, 4]]))


def test_same_seed_same_bootstrap() -> None:
    first, again, other = (bootstrap_counts(9, draws=20, generator=seeded(seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
