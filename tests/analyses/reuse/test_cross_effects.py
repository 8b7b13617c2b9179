"""The statistics of cross-task ablation, without any model: calibrated p-values, intervals that cover, storage."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analyses import CrossTaskEffects, Head, HeadEffects, double_dissociation
from tasks import InterpError
from tests.analyses.models import effects_of


def simulated(effects: np.ndarray, *, bootstraps: int = 1, seed: int = 0) -> CrossTaskEffects:
    """Effects with these values [task, set, example], as many sets for each task."""
    sets = [(Head(0, place),) for place in range(effects.shape[1])]
    scored = tuple(
        effects_of(torch.from_numpy(values), task=f"task {place}", sets=sets) for place, values in enumerate(effects)
    )
    controls = effects.shape[1] // len(effects) - 1
    return CrossTaskEffects(scored, (controls,) * len(effects), bootstraps, seed)


def assert_uniform(p: list[float], *, steps: int) -> None:
    """p comes in 1 / steps, each equally probable: spread within its step, it is uniform on [0, 1]."""
    spread = np.array(p) - np.random.default_rng(1).uniform(0, 1 / steps, len(p))
    assert scipy.stats.kstest(spread, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_p_values_are_uniform_where_top_heads_are_as_any_others() -> None:
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {"own": [], "other": [], "specificity": [], "pair": []}
    both = []
    for draw in range(1_000):
        true = random.normal(size=(2, 40, 1)) + random.normal(size=(1, 40, 1))  # a set costs both tasks, or neither
        effects = simulated(true + random.normal(size=(2, 40, 6)), seed=draw)
        table, pair = effects.table(), double_dissociation(effects).iloc[0]
        for name, value in (("own", table["p"][0]), ("other", table["p"][1])):
            found[name].append(value)
        found["specificity"].append(table["specificity_p"][1])
        found["pair"].append(pair["p"])
        both.append(pair["p_both"])
    for p in found.values():
        assert_uniform(p, steps=20)
    assert (np.array(both) <= 0.1).mean() < 0.02  # each is below .1 with probability .1, both with .01


@pytest.mark.slow
def test_one_special_set_is_no_double_dissociation() -> None:
    # Task 0's heads are very specific, task 1's are as any others: p_both keeps its word, p need not.
    random = np.random.default_rng(0)
    p, p_both = [], []
    for draw in range(1_000):
        effects = random.normal(size=(2, 40, 6)) + random.normal(size=(2, 40, 1))
        effects[0, 0] += 20
        row = double_dissociation(simulated(effects, seed=draw)).iloc[0]
        p.append(row["p"])
        p_both.append(row["p_both"])
    assert_uniform(p_both, steps=20)
    assert (np.array(p) <= 0.05).mean() > 0.1


@pytest.mark.slow
def test_pairs_of_listed_controls_are_calibrated_too() -> None:
    # Both tasks' heads are two of the same eight: their controls are the 27 other twos, listed in one order for both.
    random = np.random.default_rng(0)
    p = []
    for draw in range(1_000):
        values = random.normal(size=(2, 28))
        places = [int(random.integers(28)), int(random.integers(28))]
        order = [one for place in places for one in (place, *(other for other in range(28) if other != place))]
        p.append(double_dissociation(simulated(values[:, np.array(order), None].repeat(2, axis=2), seed=draw))["p"][0])
    assert_uniform(p, steps=28)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "second"), [("normal", 0.4), ("exact match", 0.2)])
def test_intervals_cover(noise: str, second: float) -> None:
    # M = .5 and .1, .5 - second and .5: specificities .4 and `second`, so the dissociation is `second`.
    random, truth = np.random.default_rng(0), np.array([[0.5, 0.1], [0.5 - second, 0.5]])
    covered: dict[str, list[bool]] = {"effect": [], "specificity": [], "dissociation": []}
    for draw in range(700):
        shared = random.uniform(size=(2, 1, 250))  # matched prompts: what is hard is hard for both tasks
        if noise == "normal":
            values = truth.T[:, :, None] + scipy.stats.norm.ppf(shared) + random.normal(size=(2, 2, 250))
        else:
            values = (shared < truth.T[:, :, None]).astype(float)
        effects = simulated(values, bootstraps=500, seed=draw)
        table, pair = effects.table(), double_dissociation(effects).iloc[0]
        wanted = truth.flatten()
        covered["effect"] += ((table["low"] <= wanted) & (wanted <= table["high"])).tolist()
        specific = np.array([0.4, second])
        off = table.iloc[[1, 2]]
        covered["specificity"] += (
            (off["specificity_low"] <= specific) & (specific <= off["specificity_high"])
        ).tolist()
        covered["dissociation"].append(pair["low"] <= second <= pair["high"])
    for name, hits in covered.items():
        assert 0.93 <= np.mean(hits) <= 0.97, (name, np.mean(hits))


def test_every_p_is_corrected_within_the_table() -> None:
    # A task with itself has no specificity to test: of three tasks' nine rows, six count; and three pairs of tasks.
    effects = simulated(np.random.default_rng(0).normal(size=(3, 30, 4)) + np.eye(3).repeat(10, axis=1)[:, :, None])
    table, pairs = effects.table(), double_dissociation(effects)
    np.testing.assert_allclose(table["q"], scipy.stats.false_discovery_control(table["p"]))
    others = table["ablated"] != table["scored"]
    own = table.loc[others, "specificity_p"]
    np.testing.assert_allclose(table.loc[others, "specificity_q"], scipy.stats.false_discovery_control(own))
    assert (table.loc[~others, ["specificity_p", "specificity_q"]] == 1).all(axis=None)
    assert set(zip(table["family"], table["specificity_family"], strict=True)) == {(9, 6)}
    for p, q in (("p", "q"), ("p_both", "q_both")):
        np.testing.assert_allclose(pairs[q], scipy.stats.false_discovery_control(pairs[p]))
        assert (pairs[q] > pairs[p]).any()
    assert set(pairs["family"]) == {3}


# --------------------------------------------------------------------------------------------------------------- errors
def scored(**about: Any) -> HeadEffects:
    options: dict[str, Any] = {"task": "shift", **about}
    return effects_of(torch.ones(4, 3), **options)


STORED = CrossTaskEffects((scored(), scored(task="copy")), (1, 1)).examples()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CrossTaskEffects((scored(),), (3,)),
         "cross-task ablation compares two or more tasks, got shift; name at least two"),
        (lambda: CrossTaskEffects((), ()),
         "cross-task ablation compares two or more tasks, got none; name at least two"),
        (lambda: CrossTaskEffects((scored(), scored()), (1, 1)), "task 'shift' is named twice; name each task once"),
        (lambda: CrossTaskEffects((scored(), scored(task="copy", metric="accuracy")), (1, 1)),
         "the effects on 'shift' and 'copy' differ in metric: nll and accuracy; measure both alike"),
        (lambda: CrossTaskEffects((scored(), scored(task="copy", length=6)), (1, 1)),
         "the effects on 'shift' and 'copy' differ in length: 5 and 6; measure both alike"),
        (lambda: CrossTaskEffects((scored(), scored(task="copy", heads_per_layer=2)), (1, 1)),
         "the effects on 'shift' and 'copy' are those of different sets of heads; ablate the same ones for both"),
        (lambda: CrossTaskEffects((scored(), effects_of(torch.ones(4, 2), task="copy")), (1, 1)),
         ("the effects on 'shift' and 'copy' are those of 3 and 2 examples; use equally many, since examples are drawn "
          "anew together")),
        (lambda: CrossTaskEffects(tuple(effects_of(torch.ones(4, 1), task=name) for name in ("a", "b")), (1, 1)),
         "1 example gives no interval; use 2 or more"),
        (lambda: CrossTaskEffects((scored(), scored(task="copy")), (1, 2)),
         ("4 sets cannot be those of 2 tasks with (1, 2) controls; each task has one set of top heads and its "
          "controls")),
        (lambda: CrossTaskEffects((scored(), scored(task="copy")), (1, 1), 0),
         "bootstraps = 0 is not possible; allowed is 1 or more"),
        (lambda: CrossTaskEffects.from_examples(STORED, bootstraps=0),
         "bootstraps = 0 is not possible; allowed is 1 or more"),
        (lambda: CrossTaskEffects.from_examples(STORED.iloc[1:]),
         ("the table must hold every example of every set and task once, for one length, kind, scope, metric and seed; "
          "it has 1 of those and 23 rows for 2 tasks, 4 sets and 3 examples; select one first")),
        (lambda: CrossTaskEffects.from_examples(pd.concat([STORED, STORED.assign(length=9)])),
         ("the table must hold every example of every set and task once, for one length, kind, scope, metric and seed; "
          "it has 2 of those and 48 rows for 2 tasks, 4 sets and 3 examples; select one first")),
        (lambda: CrossTaskEffects.from_examples(STORED.assign(metric="mine")), "unknown metric 'mine'; .*"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InterpError) as caught:
        make()
    pattern = ".*".join(re.escape(part) for part in text.split(".*"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
