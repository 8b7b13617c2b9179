"""Reuse of a main task with others over seeds, and its null: by hand, by enumeration, and as `HeadOverlap` has it."""

from itertools import permutations

import numpy as np
import pytest
import torch

from analyses import HeadEffects, HeadOverlap
from analyses.reuse.mean_cosine import mean_cosine, shuffled_mean_cosines
from analyses.statistics.resampling import one_sided_p
from tasks import InvalidValueError
from tests.analyses.models import effects_of, seeded


def effects(*values: float, task: str = "main", heads_per_layer: int = 2, length: int = 5) -> HeadEffects:
    """Effects with these means, of two examples that differ."""
    each = torch.tensor(values, dtype=torch.float64)[:, None] + torch.tensor([-0.5, 0.5], dtype=torch.float64)
    return effects_of(each, task=task, heads_per_layer=heads_per_layer, length=length)


MAIN, COPY, REVERSE = effects(3, 0, 0, 4), effects(1, 0, 0, 0, task="copy"), effects(0, 0, 0, 2, task="reverse")


def test_by_hand() -> None:
    # 3 / (5 * 1), and with a second task 4 * 2 / (5 * 2): the mean of .6 and .8.
    assert mean_cosine([MAIN, COPY]) == pytest.approx(0.6)
    assert mean_cosine([MAIN, COPY, REVERSE]) == pytest.approx(0.7)
    assert mean_cosine([effects(0, 0, 0, 0), COPY]) == 0


def test_null_by_enumeration() -> None:
    # The first layer's heads 3, 0 as they are or exchanged, and 0, 4 of the second: .6 or 0, and .8 or 0, so their mean
    # is 0, .3, .4 or .7, each in a quarter. Over two such seeds, shuffled apart, the mean is .7 in 1/16.
    one = shuffled_mean_cosines([[MAIN, COPY, REVERSE]], draws=4_000, generator=seeded())
    assert set(one.round(9)) == {0, 0.3, 0.4, 0.7}
    assert [(one.round(9) == value).mean() for value in (0, 0.3, 0.4, 0.7)] == pytest.approx([0.25] * 4, abs=0.03)
    two = shuffled_mean_cosines([[MAIN, COPY, REVERSE]] * 2, draws=4_000, generator=seeded())
    assert (two.round(9) == 0.7).mean() == pytest.approx(1 / 16, abs=0.015)
    assert two.mean() == pytest.approx(0.35, abs=0.01)


def test_one_shuffle_serves_all_other_tasks() -> None:
    # Two tasks with one map: their cosines go up and down together, so the null is that of one of them.
    twins = [MAIN, COPY, effects(1, 0, 0, 0, task="twin")]
    assert set(shuffled_mean_cosines([twins], draws=200, generator=seeded()).round(9)) == {0, 0.6}


def test_p_is_that_of_all_orders_within_layers() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(size=(2, 6)).tolist()
    maps = [effects(*first, heads_per_layer=3), effects(*second, task="copy", heads_per_layer=3)]
    null = shuffled_mean_cosines([maps], draws=9_000, generator=seeded())
    every = [
        np.dot([first[place] for place in (*low, *high)], second) / (np.linalg.norm(first) * np.linalg.norm(second))
        for low in permutations(range(3))
        for high in permutations(range(3, 6))
    ]
    assert set(null.round(9)) == set(np.round(every, 9))
    observed = float(np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second)))
    exact = np.mean(np.array(every) >= observed - 1e-12)
    assert one_sided_p(observed, null, alike=1) == pytest.approx(exact, abs=0.025)


def test_with_one_other_task_it_is_the_overlap_over_seeds() -> None:
    random = np.random.default_rng(0)
    runs = [[effects(*random.normal(size=8), task=task) for task in ("main", "copy")] for _ in range(3)]
    table = HeadOverlap(permutations=4_000, bootstraps=2).over_seeds(runs, generator=seeded())
    row = table[(table["measure"] == "cosine") & (table["null"] == "within_layer")].iloc[0]
    null, observed = shuffled_mean_cosines(runs, draws=4_000, generator=seeded(1)), np.mean([*map(mean_cosine, runs)])
    assert observed == pytest.approx(row["estimate"])
    assert null.mean() == pytest.approx(row["null_mean"], abs=0.02)
    assert one_sided_p(float(observed), null, alike=1) == pytest.approx(row["p"], abs=0.04)


def test_layers_of_one_head_leave_nothing_to_shuffle() -> None:
    maps = [effects(3, 1, heads_per_layer=1), effects(3, 1, task="copy", heads_per_layer=1)]
    null = shuffled_mean_cosines([maps], draws=5, generator=seeded())
    assert one_sided_p(mean_cosine(maps), null, alike=1) == 1


def test_the_same_seed_gives_the_same_shuffles() -> None:
    runs = [[effects(1, 2, 3, 4), effects(4, 3, 1, 2, task="copy")]]
    first, again, other = (shuffled_mean_cosines(runs, draws=50, generator=seeded(seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"^reuse compares a map with others. Got 1; measure another task$"):
        mean_cosine([MAIN])
    with pytest.raises(InvalidValueError, match="differ in length: 5 and 6; measure both alike$"):
        mean_cosine([MAIN, effects(1, 0, 0, 0, task="copy", length=6)])
