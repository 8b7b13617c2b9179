"""Overlap of two maps: against the exact null of top-k sets, calibrated p-values, intervals that cover."""

from dataclasses import replace
from typing import Any

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

MEASURES = [
    "mean_absolute_difference", "cosine", "spearman", "weighted_jaccard", "rank_biased_overlap", "jaccard",
    "overlap_coefficient",
]  # fmt: skip
SETS = ["jaccard", "overlap_coefficient"]


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
    expected = [(name, null) for name in MEASURES for null in ("free", "within_layer")]
    expected[-2:-2] = [("jaccard", "hypergeometric")]
    expected += [("overlap_coefficient", "hypergeometric")]
    assert list(zip(table["measure"], table["null"], strict=True)) == expected
    assert (table["k"] == np.where(table["measure"].isin(SETS), 2, 0)).all()
    about = {
        "first": "shift", "second": "copy", "length": 5, "kind": "mean", "positions": "all", "metric": "nll",
        "bootstraps": 30, "n": 12, "seeds": 1, "seed": 7, "correction": "Benjamini-Hochberg", "family": 1,
    }  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    assert (table["permutations"] == np.where(table["null"] == "hypergeometric", 0, 40)).all()
    assert (table["low"] <= table["corrected"]).all()
    assert (table["corrected"] <= table["high"]).all()
    assert (table["null_low"] <= table["null_high"]).all()
    shuffled = table[table["null"] != "hypergeometric"]
    assert shuffled["p"].between(1 / 41, 1).all()
    assert (table["q"] == table["p"]).all()  # a family of one
    # Estimate and interval belong to the measure, whatever the null.
    assert (table.groupby("measure")[["estimate", "corrected", "low", "high"]].nunique() == 1).all(axis=None)


def test_estimates_are_those_of_the_mean_maps() -> None:
    # Mean effects 2, 0, 1, 0 and 0, 2, 1, 0: |differences| 2 + 2 + 0 + 0 over 4 heads; cosine 1 / 5; ranks 4 1.5 3 1.5
    # and 1.5 4 3 1.5, centred 1.5 -1 .5 -1 and -1 1.5 .5 -1: (-1.5 - 1.5 + .25 + 1) / 4.5; minima 0 0 1 0 of maxima
    # 2 2 1 0: 1 / 5; top 2 {0, 2} and {1, 2}: 1 of 3, 1 of 2. Top 1: {0} and {1}; top 3 are (1 1/2 1 1/2) and
    # (1/2 1 1 1/2), which share 2.5; top 4 all. Weights 1 .5 .25 .125 over 1.875.
    first = effects_of(torch.tensor([[1.0, 3], [-1, 1], [1, 1], [0, 0]]))
    second = effects_of(torch.tensor([[0.0, 0], [2, 2], [0, 2], [1, -1]]))
    overlap = HeadOverlap(k=2, permutations=1, bootstraps=2, persistence=0.5)
    table = overlap(first, second, generator=seeded()).drop_duplicates("measure")
    rbo = (0 + 0.5 * 1 / 2 + 0.25 * 2.5 / 3 + 0.125) / 1.875
    assert table["estimate"].tolist() == pytest.approx([1, 1 / 5, -1.75 / 4.5, 1 / 5, rbo, 1 / 3, 1 / 2])


def test_three_tasks_make_three_pairs_and_one_family() -> None:
    tasks = [replace(maps, task=name) for maps, name in zip((*two_maps(), two_maps()[0]), "abc", strict=True)]
    table = HeadOverlap(k=2, permutations=40, bootstraps=3)(*tasks, generator=seeded())
    assert list(dict.fromkeys(zip(table["first"], table["second"], strict=True))) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    for _, rows in table.groupby(["measure", "null"]):
        assert (rows["family"] == 3).all()
        # Benjamini and Hochberg by hand: of three sorted p, min over the later ones of 3 p_i / i.
        p = np.sort(rows["p"])
        q = np.minimum.accumulate((3 * p / [1, 2, 3])[::-1])[::-1]
        assert np.sort(rows["q"]) == pytest.approx(np.minimum(q, 1))


def test_runs_of_several_seeds() -> None:
    # Cosines 1 and 0 and 1, so the mean is 2/3; each run's effects are the same for both examples, so that only seeds
    # differ. Means of three of them are 0, 1/3, 2/3 and 1, the first in 1 of 27 draws: the interval is -2/3 and +1/3,
    # times sqrt(1/3) over the draws' sqrt(2)/3, and Student's 4.30 over 1.96: beyond -1 and 1.
    axes = np.eye(8)
    runs = [[one_map(axes[0], task="a"), one_map(axes[other], task="b")] for other in (0, 1, 0)]
    table = HeadOverlap(k=1, permutations=200, bootstraps=2_000).over_seeds(runs, generator=seeded())
    row = table[(table["measure"] == "cosine") & (table["null"] == "free")].iloc[0]
    assert (row["seeds"], row["estimate"]) == (3, pytest.approx(2 / 3))
    assert (row["low"], row["high"]) == (-1, 1)  # cut off there
    # Two of three runs share their one top head of eight: 1 - P(none) - P(one) = 3 * 1/64 * 7/8 + 1/512.
    exact = table[(table["measure"] == "jaccard") & (table["null"] == "hypergeometric")].iloc[0]
    assert exact["p"] == pytest.approx(3 / 64 * 7 / 8 + 1 / 512)
    assert row["p"] == pytest.approx(exact["p"], abs=0.035)  # shuffled: the cosine of such maps is the heads shared


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
    table = HeadOverlap(k=k, permutations=10_000, bootstraps=2)(
        one_map(values, heads_per_layer=6), one_map(moved, heads_per_layer=6), generator=seeded()
    )
    row = table[(table["measure"] == "jaccard") & (table["null"] == "free")].iloc[0]
    assert row["estimate"] == pytest.approx(shared / (2 * k - shared))
    assert row["p"] == pytest.approx(p, abs=4 * (p / 10_000) ** 0.5 + 0.0005)


def test_planted_sharing_of_heads_is_found_by_both_nulls() -> None:
    random = np.random.default_rng(0)
    values = np.zeros(16)
    values[[1, 6, 11, 12]] = 5, 4, 3, 2  # one head in each layer
    first, second = (one_map(values + 0.1 * random.normal(size=16)) for _ in range(2))
    table = HeadOverlap(k=4, permutations=999, bootstraps=2)(first, second, generator=seeded())
    assert (table["p"] < 0.02).all()


def test_one_head_per_layer_leaves_nothing_to_shuffle_within() -> None:
    table = HeadOverlap(k=2, permutations=20, bootstraps=2)(
        *(replace(maps, sets=tuple((Head(layer, 0),) for layer in range(8))) for maps in two_maps()), generator=seeded()
    )
    assert (table[table["null"] == "within_layer"]["p"] == 1).all()


# ------------------------------------------------------------------------------------------------------------ intervals
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
OTHER = effects_of(torch.ones(4, 3))
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
        (HeadOverlap(), replace(FEW, model="a"), replace(OTHER, model="b"),
         ("the maps of 'shift' and 'copy' are of different models; heads of one model are not those of another, so "
          "compare maps of one model, and several models with over_seeds")),
        (HeadOverlap(), replace(OTHER, task_key="v1"), replace(OTHER, task_key="v2"),
         "the maps of 'copy' are of two versions of it, v1 and v2; measure the older one again"),
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


@pytest.mark.parametrize(("name", "least"), [("k", 1), ("permutations", 1), ("bootstraps", 2)])
def test_nothing_to_compare_or_draw_is_refused(name: str, least: int) -> None:
    with pytest.raises(InvalidValueError) as caught:
        replace(HeadOverlap(), **{name: least - 1})
    assert str(caught.value) == f"{name} = {least - 1} is not possible; allowed is {least} or more"


@pytest.mark.parametrize("persistence", [0.0, 1.0])
def test_persistence_that_gives_no_weights_is_refused(persistence: float) -> None:
    with pytest.raises(InvalidValueError) as caught:
        HeadOverlap(persistence=persistence)
    assert str(caught.value) == f"persistence = {persistence}; allowed are numbers between 0 and 1"


def test_one_map_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        HeadOverlap()(FEW, generator=seeded())
    assert str(caught.value) == "overlap compares two maps or more. Got 1; measure another task"


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([[FEW, FEW]], "an interval over seeds needs two runs or more. Got 1; train other seeds first"),
        ([[FEW, OTHER], [OTHER, FEW]],
         ("the runs have maps of shift, copy and of copy, shift; give each run's maps of the same tasks in the same "
          "order")),
        ([[FEW, OTHER], [replace(FEW, length=6), OTHER]],
         "the maps of 'shift' in two runs differ in length: 5 and 6; measure both alike"),
        ([[replace(FEW, task_key="v1"), OTHER], [replace(FEW, task_key="v2"), OTHER]],
         "the maps of 'shift' are of two versions of it, v1 and v2; measure the older one again"),
        ([[replace(FEW, model="m"), OTHER], [replace(FEW, model="m"), OTHER]],
         "two of the runs have the same weights, so they are no two seeds; name each run once"),
    ],
)  # fmt: skip
def test_runs_that_are_no_seeds_of_one_another_are_refused(runs: list[list[HeadEffects]], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        HeadOverlap().over_seeds(runs, generator=seeded())
    assert str(caught.value) == text
