"""Ablation maps by length: zones and effects worked out on paper, heads needed only at transfer, errors."""

import re
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analyses import Head, HeadAblation, HeadEffects, LengthEffects, LengthMaps, only_at_transfer
from analyses.examples import Running
from analyses.journal import Journal
from analyses.reuse import transfer_heads
from analyses.reuse.length_effects import COLUMNS, Zone, zone_lengths
from tasks import InterpError, get_group, get_task
from tests.analyses.models import effects_of, hand_model, random_model, seeded
from tests.analyses.reuse.hand_tasks import EOS, A, B, First, towards_target

GROUP = get_group("copy+shift")
TASK = GROUP.main.task
MODEL = random_model(GROUP.vocabulary, n_layers=2)


# --------------------------------------------------------------------------------------------------------------- zones
@pytest.mark.parametrize(
    ("name", "lengths", "per_zone", "wanted"),
    [
        # 10 lengths in three steps of 3 1/3, rounded up; beyond: 21 to 25.
        ("shift", (10, 20), 3, {"in_range": [4, 7, 10], "transfer": [14, 17, 20], "beyond": [22, 24, 25]}),
        ("shift", (10, 20), 1, {"in_range": [10], "transfer": [20], "beyond": [25]}),
        ("shift", (3, 5), 3, {"in_range": [1, 2, 3], "transfer": [4, 5], "beyond": [6, 7]}),  # 1.25 * 5 = 6.25: 7
        ("shift", (4, 4), 9, {"in_range": [1, 2, 3, 4], "beyond": [5]}),
        ("dfs_trace", (32, 64), 2, {"in_range": [17, 32], "transfer": [48, 64]}),  # mazes have 2 to 64 nodes
        ("dfs_trace", (2, 60), 2, {"in_range": [2], "transfer": [31, 60], "beyond": [62, 64]}),  # not to 75
    ],
)
def test_zones(name: str, lengths: tuple[int, int], per_zone: int, wanted: dict[str, list[int]]) -> None:
    main, auxiliary = lengths
    found = zone_lengths(get_task(name), main_length=main, auxiliary_length=auxiliary, per_zone=per_zone)
    assert list(found.items()) == list(wanted.items())


# ------------------------------------------------------------------------------------------------------------ on paper
# `hand_model` on `a` and L - 1 times `b`, kind zero, the logit of [EOS]. At position p the mean of tokens is 4 / p, the
# mean of that over positions H = 4 (1 + 1/2 + .. + 1/L) / L; the logit is 4/L - H + 2 H.
#   without 0.0: relu(-4/L) + H       effect 4/L
#   without 0.1: 8/L - 2 H + 4 H      effect -(4/L + H)
#   without 1.0: 4/L + 2 H            effect -H
#   without 1.1: 4/L - H              effect 2 H
# On `b` alone all is 0. Of four examples two are of each kind: mean half of that, standard deviation x / sqrt(3).
HAND = First(rows=lambda length: [(A, *[B] * (length - 1), EOS), (*[B] * length, EOS)])


def by_hand(length: int) -> list[float]:
    mean = Fraction(4, length) * sum(Fraction(1, place) for place in range(1, length + 1))
    last = Fraction(4, length)
    return [float(value) for value in (last, -(last + mean), -mean, 2 * mean)]


def test_hand_worked_maps() -> None:
    maps = LengthMaps(kind="zero", metric=towards_target, per_zone=1)
    table = maps(hand_model(), HAND, main_length=1, auxiliary_length=2, n=4, generator=seeded(3))
    assert list(table.columns) == COLUMNS
    assert table["zone"].tolist() == ["in_range"] * 4 + ["transfer"] * 4 + ["beyond"] * 4
    assert table["lengths"].tolist() == ["1"] * 4 + ["2"] * 4 + ["3"] * 4
    assert table[["layer", "head"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]] * 3
    about = {"task": "first", "kind": "zero", "positions": "all", "metric": "towards_target", "n": 4, "seed": 3,
             "null": "Student's t", "family": 4, "correction": "Benjamini-Hochberg", "seeds": 1}  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    values = np.concatenate([by_hand(length) for length in (1, 2, 3)])
    np.testing.assert_allclose(table["effect"], values / 2, atol=1e-4)
    np.testing.assert_allclose(table["clean"] - table["ablated"], values / 2, atol=1e-4)
    np.testing.assert_allclose(table["stderr"], np.abs(values) / sqrt(12), atol=1e-4)
    half = scipy.stats.t.ppf(0.975, 3) * table["stderr"]
    np.testing.assert_allclose(table["high"] - table["effect"], half, atol=1e-6)
    # x, x, 0, 0: t = (x / 2) / (x / sqrt(12)) = sqrt(3), whatever x is, with its sign.
    p = scipy.stats.t.sf(sqrt(3), 3)
    np.testing.assert_allclose(table["p"], np.where(values > 0, p, 1 - p), atol=1e-4)
    # Of four heads two have this p: q = p * 4 / 2, and 1 - p for the rest.
    np.testing.assert_allclose(table["q"], np.where(values > 0, 2 * p, 1 - p), atol=1e-4)


def test_a_zone_is_the_mean_of_its_lengths() -> None:
    maps = LengthMaps(kind="zero", metric=towards_target, per_zone=2)
    found = maps.effects(hand_model(), HAND, main_length=2, auxiliary_length=2, n=4, generator=seeded(3))
    table = found.table()
    assert found.lengths == {"in_range": [1, 2], "beyond": [3]}
    first, second = np.array(by_hand(1)), np.array(by_hand(2))
    np.testing.assert_allclose(table["effect"][:4], (first + second) / 4, atol=1e-4)
    np.testing.assert_allclose(table["stderr"][:4], np.sqrt(first**2 / 12 + second**2 / 12) / 2, atol=1e-4)
    assert table["n"].tolist() == [8] * 4 + [4] * 4
    assert table["lengths"].iloc[0] == "1 2"


def test_heads_without_any_effect_have_p_and_q_1() -> None:
    zeros = First(rows=lambda length: [(*[B] * length, EOS)])
    maps = LengthMaps(kind="zero", metric=towards_target)
    found = maps.effects(hand_model(), zeros, main_length=1, auxiliary_length=2, n=4, generator=seeded())
    table, only = found.table(), only_at_transfer(found)
    assert (table[["p", "q"]] == 1).all(axis=None)
    assert (table[["effect", "stderr", "low", "high"]] == 0).all(axis=None)
    assert (only[["p", "q", "transfer_q"]] == 1).all(axis=None)
    assert not only["only"].any()


def test_maps_are_those_of_head_ablation() -> None:
    found = LengthMaps(metric="nll", per_zone=1).effects(
        MODEL, TASK, main_length=2, auxiliary_length=3, n=6, generator=seeded(1)
    )
    generator = seeded(1)
    for one in found.effects:
        alone = HeadAblation(metric="nll")(MODEL, TASK, length=one.length, n=6, generator=generator)
        np.testing.assert_allclose(one.effects.mean(dim=1), alone["effect"], atol=1e-6)


def test_same_seed_same_table_whatever_is_stored() -> None:
    maps = LengthMaps(kind="resample", metric="accuracy", positions="prompt", per_zone=2)
    found = maps.effects(MODEL, TASK, main_length=3, auxiliary_length=5, n=6, generator=seeded(1))
    again = maps(MODEL, TASK, main_length=3, auxiliary_length=5, n=6, generator=seeded(1))
    pd.testing.assert_frame_equal(found.table(), again, check_exact=True)
    back = LengthEffects.from_examples(found.examples())
    pd.testing.assert_frame_equal(found.table(), back.table(), check_exact=True)
    pd.testing.assert_frame_equal(only_at_transfer(found), only_at_transfer(back), check_exact=True)
    assert again.notna().all(axis=None)


def test_progress_counts_all_lengths_and_journals_are_removed(tmp_path: Any) -> None:
    seen: list[tuple[int, int]] = []
    running = Running(on_done=lambda *done: seen.append(done), journal=Journal(tmp_path / "x.journal", seconds=0.0))
    LengthMaps()(MODEL, TASK, main_length=3, auxiliary_length=5, n=6, generator=seeded(1), running=running)
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert list(tmp_path.iterdir()) == []


def test_task_heads_choose_the_unembedding() -> None:
    model = random_model(GROUP.vocabulary, n_layers=1, task_heads=2)
    tables = [
        LengthMaps()(model, TASK, main_length=2, auxiliary_length=3, n=6, generator=seeded(1), task_head=head)
        for head in range(2)
    ]
    assert (tables[0]["clean"] != tables[1]["clean"]).all()


# ----------------------------------------------------------------------------------- heads that only transfer needs
def simulated(means: dict[Zone, list[float]], *, n: int = 200, spread: float = 1.0, seed: int = 0) -> LengthEffects:
    """Effects of one length per zone, with these means for each head."""
    random = np.random.default_rng(seed)
    effects = tuple(
        effects_of(torch.from_numpy(random.normal(np.array(values)[:, None], spread, size=(len(values), n))), length=at)
        for at, values in enumerate(means.values(), start=3)
    )
    return LengthEffects(effects, tuple(means))


def test_a_head_is_needed_only_at_transfer_if_all_three_rules_hold() -> None:
    heads = {
        "needed at transfer only": (0, 1, True),
        "a little in range": (0.05, 1, True),
        "no effect anywhere": (0, 0, False),
        "as much in range": (1, 1, False),
        "less in range, not negligible": (0.4, 1, False),  # rules 1 and 2 hold
        "in range only": (1, 0, False),
        "harmful in range, of no use at transfer": (-1, 0, False),  # rules 2 and 3 hold
        "harmful in range, needed at transfer": (-1, 1, True),
    }
    before, transfer, wanted = zip(*heads.values(), strict=True)
    found = simulated({"in_range": list(before), "transfer": list(transfer), "beyond": [0.0] * len(heads)})
    table = only_at_transfer(found)
    assert list(table.columns) == transfer_heads.COLUMNS
    assert dict(zip(heads, table["only"], strict=True)) == dict(zip(heads, wanted, strict=True))
    # Independently: Welch's test and Student's, Benjamini-Hochberg by hand.
    first, second = (one.effects.numpy() for one in found.effects[:2])
    p = scipy.stats.ttest_ind(second, first, axis=1, equal_var=False, alternative="greater").pvalue
    np.testing.assert_allclose(table["p"], p)
    np.testing.assert_allclose(table["q"], benjamini_hochberg(p))
    own = scipy.stats.ttest_1samp(second, 0, axis=1, alternative="greater").pvalue
    np.testing.assert_allclose(table["transfer_p"], own)
    np.testing.assert_allclose(table["transfer_q"], benjamini_hochberg(own))
    about = {"null": "Welch's t", "family": 8, "correction": "Benjamini-Hochberg", "seeds": 1}
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    np.testing.assert_allclose(table["difference"], second.mean(axis=1) - first.mean(axis=1))
    assert (table["low"] <= table["difference"]).all()
    assert table[["n_in_range", "n_transfer", "negligible"]].drop_duplicates().to_numpy().tolist() == [[200, 200, 0.2]]
    strict = only_at_transfer(found, negligible=0.01)
    assert strict["only"].tolist() == [False] * 7 + [True]


def benjamini_hochberg(p: Any) -> list[float]:
    """The least over all greater p of p * m / rank."""
    order = sorted(p)
    return [min(other * len(p) / (rank + 1) for rank, other in enumerate(order) if other >= one) for one in p]


def test_too_few_examples_make_no_effect_negligible() -> None:
    # No significant effect in range: with 5 examples that says nothing, and the upper end of its interval says so.
    table = only_at_transfer(simulated({"in_range": [0.0], "transfer": [2.0]}, n=5))
    assert table["q"][0] < 0.05
    assert not table["only"][0]


def test_maps_that_are_alike_at_all_lengths_yield_no_head() -> None:
    # In no zone more than in another, half of the heads needed: of 400 such models about 1 % have a head called so,
    # less than the 5 % that rule 2 alone allows.
    alike = [0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 1.0, 3.0]
    found = [
        only_at_transfer(simulated({"in_range": alike, "transfer": alike}, seed=draw))["only"].any()
        for draw in range(400)
    ]
    assert np.mean(found) < 0.03


# --------------------------------------------------------------------------------------------------------------- errors
def one(**about: Any) -> HeadEffects:
    options: dict[str, Any] = {"metric": "nll", **about}
    return effects_of(torch.ones(4, 3), **options)


STORED = LengthEffects((one(), one(length=6)), ("in_range", "transfer")).examples()


def run(
    *, main_length: int = 2, auxiliary_length: int = 3, n: int = 4, task_head: int = 0, positions: Any = "all"
) -> pd.DataFrame:
    return LengthMaps(positions=positions)(
        MODEL, TASK, main_length=main_length, auxiliary_length=auxiliary_length, n=n, generator=seeded(),
        task_head=task_head,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LengthMaps(per_zone=0), "per_zone = 0 is not possible; allowed is 1 or more"),
        (lambda: LengthMaps(metric="loss"), "unknown metric 'loss'; .*"),
        (lambda: LengthMaps(positions="begin"), "unknown scope 'begin'; .*"),  # pyright: ignore[reportArgumentType]
        (lambda: run(main_length=0), "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
        (lambda: run(auxiliary_length=5000), "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"),
        (lambda: run(main_length=4),
         ("auxiliary_length = 3 is below main_length = 4; the auxiliary task is trained at lengths as long, or "
          "longer")),
        (lambda: run(n=1), "n = 1 examples of each length give no error; use n >= 2"),
        (lambda: run(task_head=1), "task head 1 does not exist: the model has 1, counted from 0"),
        (lambda: run(positions=(5,)), "position 5 does not exist: the examples have 0 to 3"),  # at length 1
        (lambda: LengthEffects((), ()), "0 maps and 0 zones; give one map or more, and a zone for each"),
        (lambda: LengthEffects((one(),), ()), "1 maps and 0 zones; give one map or more, and a zone for each"),
        (lambda: LengthEffects((one(), one(length=6, metric="accuracy")), ("in_range", "transfer")),
         "the maps at lengths 5 and 6 differ in metric: nll and accuracy; measure both alike"),
        (lambda: LengthEffects((one(), one(length=6, heads_per_layer=2)), ("in_range", "transfer")),
         "the maps at lengths 5 and 6 are those of different heads; ablate the same ones at every length"),
        (lambda: LengthEffects((effects_of(torch.ones(1, 3), sets=[[Head(0, 0), Head(0, 1)]]),), ("in_range",)),
         "length maps are those of single heads, not of parts or joint sets; ablate each head"),
        (lambda: LengthEffects((effects_of(torch.ones(4, 1)),), ("in_range",)),
         "1 example of a length gives no error; use 2 or more of each"),
        (lambda: LengthEffects.from_examples(pd.concat([STORED, STORED.assign(zone="beyond")])),
         "the table must be that of one seed, with each length in one zone; select one first"),
        (lambda: LengthEffects.from_examples(STORED.iloc[1:]),
         "the table must hold every example of every set once, .*"),
        (lambda: only_at_transfer(LengthEffects((one(),), ("in_range",))),
         ("there is no length in zone 'transfer', so nothing can be needed only at transfer; measure with a main "
          "length below the auxiliary length")),
        (lambda: only_at_transfer(LengthEffects.from_examples(STORED), negligible=1.0),
         "negligible = 1.0 is no share of an effect; allowed is more than 0, below 1"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InterpError) as caught:
        make()
    pattern = ".*".join(re.escape(part) for part in text.split(".*"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
