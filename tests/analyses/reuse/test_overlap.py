"""Overlap of two maps: against the exact null of top-k sets, calibrated p-values, intervals that cover."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analyses import Head, HeadEffects, HeadOverlap
from analyses.reuse.overlap import COLUMNS
from tasks import InvalidValueError
from tests.analyses.models import effects_of, seeded
from training import named_generator

MEASURES = ["mean_absolute_difference", "cosine", "spearman", "jaccard"]


def one_map(values: np.ndarray, **about: Any) -> HeadEffects:
    """Effects that are the same for both examples, so that the map is exactly these values."""
    return effects_of(torch.from_numpy(np.stack([values, values], axis=1)), **about)


def two_maps() -> tuple[HeadEffects, HeadEffects]:
    """Twelve examples of eight heads in two layers, the second task like the first."""
    true = torch.tensor([3.0, 0, 1, 0, 2, 0, 0, -1])[:, None]
    noise = torch.randn(2, 8, 12, generator=seeded())
    return effects_of(true + noise[0], task="shift"), effects_of(true + noise[1], task="copy")


def test_table() -> None:
    overlap = HeadOverlap(k=2, permutations=40, bootstraps=30)
    table = overlap(*two_maps(), generator=seeded(7))
    assert list(table.columns) == COLUMNS
    assert table["measure"].tolist() == [measure for measure in MEASURES for _ in range(2)]
    assert table["null"].tolist() == ["free", "within_layer"] * 4
    assert table["k"].tolist() == [0] * 6 + [2] * 2
    about = {
        "first": "shift", "second": "copy", "length": 5, "kind": "mean", "metric": "nll", "permutations": 40,
        "bootstraps": 30, "n": 12, "seed": 7,
    }  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    assert (table["low"] <= table["high"]).all()
    assert (table["null_low"] <= table["null_mean"]).all()
    assert (table["null_mean"] <= table["null_high"]).all()
    assert table["p"].between(1 / 41, 1).all()
    # Estimate and interval belong to the measure, whatever the null.
    halves = table[["measure", "estimate", "low", "high"]]
    assert (halves[::2].to_numpy() == halves[1::2].to_numpy()).all()


def test_estimates_are_those_of_the_mean_maps() -> None:
    # Mean effects 2, 0, 1, 0 and 0, 2, 1, 0: |differences| 2 + 2 + 0 + 0 over 4 heads; cosine 1 / 5; ranks 4 1.5 3 1.5
    # and 1.5 4 3 1.5, centred 1.5 -1 .5 -1 and -1 1.5 .5 -1: (-1.5 - 1.5 + .25 + 1) / 4.5; top 2 {0, 2} and {1, 2}.
    first = effects_of(torch.tensor([[1.0, 3], [-1, 1], [1, 1], [0, 0]]))
    second = effects_of(torch.tensor([[0.0, 0], [2, 2], [0, 2], [1, -1]]))
    table = HeadOverlap(k=2, permutations=1, bootstraps=1)(first, second, generator=seeded())
    assert table["estimate"][::2].tolist() == pytest.approx([1, 1 / 5, -1.75 / 4.5, 1 / 3])


def test_same_seed_same_table_and_the_table_names_the_seed() -> None:
    overlap, maps = HeadOverlap(k=2, permutations=40, bootstraps=30), two_maps()
    table = overlap(*maps, generator=seeded(7))
    again = overlap(*maps, generator=seeded(int(table["seed"][0])))
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    other = overlap(*maps, generator=seeded(8))
    assert (table["null_mean"] != other["null_mean"]).any()


def test_seeds_of_named_generators_survive_in_one_table() -> None:
    overlap, maps = HeadOverlap(k=2, permutations=3, bootstraps=3), two_maps()
    generators = [named_generator(0, "overlap", place) for place in range(8)]
    assert len({generator.initial_seed() < 2**63 for generator in generators}) == 2  # both halves of the range
    table = pd.concat([overlap(*maps, generator=generator) for generator in generators])
    assert table["seed"].dtype == np.int64
    seeds = [seeded(seed).initial_seed() for seed in table["seed"].unique().tolist()]
    assert seeds == [generator.initial_seed() for generator in generators]


# ---------------------------------------------------------------------------------------------------------------- nulls
# 36 heads (DESIGN): how many of two top-k sets must be shared, and how likely that is by chance, exactly.
@pytest.mark.parametrize(("k", "shared", "p"), [(3, 2, 0.014), (5, 3, 0.013), (8, 5, 0.006), (12, 7, 0.031)])
def test_free_null_of_top_k_is_hypergeometric(k: int, shared: int, p: float) -> None:
    def at_least(count: int) -> float:
        return float(scipy.stats.hypergeom.sf(count - 1, 36, k, k))

    assert round(at_least(shared), 3) == p
    assert at_least(shared - 1) > 0.05
    values = np.arange(36.0)[::-1].copy()  # the top k are the first k heads
    moved = np.roll(values, k - shared)  # the top k are k heads further on, so that `shared` remain
    table = HeadOverlap(k=k, permutations=10_000, bootstraps=1)(
        one_map(values, heads_per_layer=6), one_map(moved, heads_per_layer=6), generator=seeded()
    )
    row = table[(table["measure"] == "jaccard") & (table["null"] == "free")].iloc[0]
    assert row["estimate"] == pytest.approx(shared / (2 * k - shared))
    assert row["p"] == pytest.approx(p, abs=4 * (p / 10_000) ** 0.5 + 0.0005)


def p_values(*, shared_layers: float, draws: int = 300) -> pd.DataFrame:
    """p-values of pairs of maps, four layers of four heads, whose heads are independent.

    Args:
        shared_layers: How strongly each layer as a whole matters, to both tasks alike.
        draws: How many pairs.
    """
    random = np.random.default_rng(0)
    overlap = HeadOverlap(k=4, permutations=99, bootstraps=1)
    tables = []
    for draw in range(draws):
        layers = shared_layers * random.normal(size=4).repeat(4)
        first, second = (one_map(layers + random.normal(size=16)) for _ in range(2))
        tables.append(overlap(first, second, generator=seeded(draw)))
    return pd.concat(tables).set_index(["measure", "null"])["p"]


def assert_uniform(p: np.ndarray) -> None:
    """p comes in hundredths, each equally probable: spread within its hundredth, it is uniform on [0, 1]."""
    spread = p - np.random.default_rng(1).uniform(0, 0.01, len(p))
    assert scipy.stats.kstest(spread, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_p_values_of_unrelated_maps_are_uniform() -> None:
    p = p_values(shared_layers=0)
    for null in ("free", "within_layer"):
        for measure in ("mean_absolute_difference", "cosine"):
            assert_uniform(p[measure, null].to_numpy())
        for measure in ("spearman", "jaccard"):  # tied values make p greater, never smaller
            assert (p[measure, null] <= 0.05).mean() < 0.05 + 4 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.slow
def test_layers_that_matter_as_a_whole_deceive_the_free_null_only() -> None:
    p = p_values(shared_layers=2)
    for measure in MEASURES:
        assert (p[measure, "free"] <= 0.05).mean() > 0.25
        assert (p[measure, "within_layer"] <= 0.05).mean() < 0.05 + 4 * (0.05 * 0.95 / 300) ** 0.5
    for measure in ("mean_absolute_difference", "cosine"):
        assert_uniform(p[measure, "within_layer"].to_numpy())


def test_planted_sharing_of_heads_is_found_by_both_nulls() -> None:
    random = np.random.default_rng(0)
    values = np.zeros(16)
    values[[1, 6, 11, 12]] = 5, 4, 3, 2  # one head in each layer
    first, second = (one_map(values + 0.1 * random.normal(size=16)) for _ in range(2))
    table = HeadOverlap(k=4, permutations=999, bootstraps=1)(first, second, generator=seeded())
    assert (table["p"] < 0.02).all()


def test_one_head_per_layer_leaves_nothing_to_shuffle_within() -> None:
    table = HeadOverlap(k=2, permutations=20, bootstraps=1)(
        *(replace(maps, sets=tuple((Head(layer, 0),) for layer in range(8))) for maps in two_maps()), generator=seeded()
    )
    assert (table[table["null"] == "within_layer"]["p"] == 1).all()


# ------------------------------------------------------------------------------------------------------------ intervals
FIRST = np.array([2.0, 0.5, 1, 0, -1, 0, 3, 0])
SECOND = np.array([1.0, 1.5, 0, 1, -2, 1, 1.5, -1])


@pytest.mark.slow
@pytest.mark.parametrize("resample", ["together", "separately"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(resample: Literal["together", "separately"]) -> None:
    # 100 examples whose effects scatter by 1 around the true maps; on matched prompts mostly in common.
    truth = {
        "mean_absolute_difference": float(np.abs(FIRST - SECOND).mean()),
        "cosine": float(FIRST @ SECOND / np.linalg.norm(FIRST) / np.linalg.norm(SECOND)),
    }
    random = np.random.default_rng(0)
    overlap = HeadOverlap(permutations=1, bootstraps=200, resample=resample)
    covered = dict.fromkeys(truth, 0)
    for draw in range(200):
        own = random.normal(size=(2, 8, 100))
        noise = 0.9 * own[:1] + 0.44 * own if resample == "together" else own
        first, second = (
            effects_of(torch.from_numpy(true[:, None] + part))
            for true, part in zip((FIRST, SECOND), (noise[0], noise[1]), strict=True)
        )
        table = overlap(first, second, generator=seeded(draw)).drop_duplicates("measure")
        intervals = {measure: (low, high) for measure, low, high in table[["measure", "low", "high"]].to_numpy()}
        for measure, value in truth.items():
            low, high = intervals[measure]
            covered[measure] += int(low <= value <= high)
    assert all(0.88 <= count / 200 <= 0.99 for count in covered.values()), covered


def test_examples_resampled_together_cancel_what_they_have_in_common() -> None:
    first, _ = two_maps()
    apart = effects_of(first.effects + 1, task="copy")  # the same example by example, but for a constant
    tables = [
        HeadOverlap(permutations=1, bootstraps=50, resample=resample)(first, apart, generator=seeded())
        for resample in ("together", "separately")
    ]
    together, separately = (table.set_index("measure").loc["mean_absolute_difference"].iloc[0] for table in tables)
    assert (together["low"], together["high"]) == pytest.approx((1, 1))
    assert separately["high"] - separately["low"] > 0.1


# --------------------------------------------------------------------------------------------------------------- errors
FEW = effects_of(torch.ones(4, 3), task="shift")
JOINT = effects_of(torch.ones(1, 3), sets=[(Head(0, 1), Head(1, 0))])


@pytest.mark.parametrize(
    ("overlap", "first", "second", "text"),
    [
        (HeadOverlap(), FEW, effects_of(torch.ones(3, 3)),
         ("the maps of 'shift' and 'copy' differ in sets: 4 sets (0.0, 0.1, 0.2, 0.3) and 3 sets (0.0, 0.1, 0.2); "
          "measure both alike")),
        (HeadOverlap(), FEW, effects_of(torch.ones(4, 3), kind="zero"),
         "the maps of 'shift' and 'copy' differ in kind: mean and zero; measure both alike"),
        (HeadOverlap(), FEW, effects_of(torch.ones(4, 3), metric="accuracy"),
         "the maps of 'shift' and 'copy' differ in metric: nll and accuracy; measure both alike"),
        (HeadOverlap(), FEW, effects_of(torch.ones(4, 3), length=6),
         "the maps of 'shift' and 'copy' differ in length: 5 and 6; measure both alike"),
        (HeadOverlap(), effects_of(torch.ones(36, 2)), effects_of(torch.ones(36, 2), heads_per_layer=6),
         ("the maps of 'copy' and 'copy' differ in sets: "
          "36 sets (0.0, 0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 1.3, 2.0, 2.1, 2.2, ...) and "
          "36 sets (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 1.1, 1.2, 1.3, 1.4, ...); measure both alike")),
        (HeadOverlap(k=1), JOINT, JOINT,
         "overlap needs maps of single heads, not of a joint set; ablate the heads singly"),
        (HeadOverlap(k=5), FEW, FEW, "k = 5 top heads of 4; allowed are 1 to 4"),
        (HeadOverlap(resample="together"), FEW, effects_of(torch.ones(4, 2)),
         "examples resampled together must be equally many; use resample='separately'"),
    ],
)  # fmt: skip
def test_refused(overlap: HeadOverlap, first: HeadEffects, second: HeadEffects, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        overlap(first, second, generator=seeded())
    assert str(caught.value) == text


@pytest.mark.parametrize("name", ["k", "permutations", "bootstraps"])
def test_nothing_to_compare_or_draw_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        replace(HeadOverlap(), **{name: 0})
    assert str(caught.value) == f"{name} = 0 is not possible; allowed is 1 or more"
