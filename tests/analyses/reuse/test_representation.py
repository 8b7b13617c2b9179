"""Likeness of residual streams: against U-centred Gram matrices in numpy, invariances, intervals, refusals."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analyses import RepresentationSimilarity, Running
from analyses.reuse.representation import COLUMNS
from tasks import InvalidValueError, Task, UnknownNameError
from tests.analyses.models import random_model, seeded
from tests.analyses.reuse.task_pairs import CARRY, COPY, FIRST, SHIFT, marker_model, vocabulary
from tests.analyses.reuse.test_likeness import u_centred
from training import HookedTransformer

LEAST = RepresentationSimilarity(groups=4)


def streams_of(model: HookedTransformer, tasks: list[Task], *, length: int, n: int, tokens: int) -> np.ndarray:
    """The stream after each layer where the first scored tokens are predicted. [task, layer, token, batch, d_model]"""
    found = []
    for task in tasks:
        batch = task.bind(model.vocabulary).sample(n, length=length, generator=seeded(), stream="test")
        with torch.no_grad():
            _, cache = model.run_with_cache(batch.inputs)
        start = int(batch.scored[0].int().argmax()) - 1
        of_layers = [cache[f"blocks.{layer}.hook_resid_post"] for layer in range(model.config.n_layers)]
        found.append(torch.stack(of_layers)[:, :, start : start + tokens].transpose(1, 2))
    return torch.stack(found).double().numpy()


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Debiased linear CKA of [token, batch, d_model], sums over tokens before the ratio."""
    sums = np.zeros(3)
    for x, y in zip(first, second, strict=True):
        one, two = u_centred(x @ x.T), u_centred(y @ y.T)
        sums += (one * two).sum(), (one * one).sum(), (two * two).sum()
    return sums[0] / (sums[1] * sums[2]) ** 0.5


@pytest.mark.parametrize(("first", "second", "tokens"), [(SHIFT, COPY, 4), (CARRY, FIRST, 4)], ids=["equal", "unequal"])
def test_cka_is_that_of_u_centred_grams(first: Task, second: Task, tokens: int) -> None:
    model = random_model(vocabulary(first, second))
    length, n, groups = 3, 14, 4
    table = LEAST(model, first, second, length=length, n=n, generator=seeded(), running=Running(token_budget=60))
    streams = streams_of(model, [first, second], length=length, n=n, tokens=tokens)
    table = table[table["measure"] == "cka"]
    expected = [cka(x, y) for x, y in zip(*streams, strict=True)]
    assert table["estimate"].tolist() == pytest.approx([*expected, np.mean(expected)], abs=1e-5)
    assert set(table["tokens"]) == {tokens}
    left = []
    for group in range(groups):
        rows = np.arange(n) % groups != group
        values = [cka(x[:, rows], y[:, rows]) for x, y in zip(*streams, strict=True)]
        left.append([*values, np.mean(values)])
    stderr = ((groups - 1) * np.var(left, axis=0)) ** 0.5
    assert table["stderr"].tolist() == pytest.approx(stderr, abs=1e-5)
    half = scipy.stats.t.ppf(0.975, 3) * stderr
    assert (table["high"] - table["estimate"]).to_numpy() == pytest.approx(half, abs=1e-4)
    assert (table["estimate"] - table["low"]).to_numpy() == pytest.approx(half, abs=1e-4)


def test_a_task_is_like_itself() -> None:
    table = LEAST(random_model(COPY.vocabulary), COPY, COPY, length=3, n=12, generator=seeded())
    assert table["estimate"].to_numpy() == pytest.approx(1)
    assert table["stderr"].to_numpy() == pytest.approx(0, abs=1e-6)


def test_what_each_measure_sees() -> None:
    # Turned by 90 degrees each example keeps its neighbours, but varies in other directions; drawn anew the reverse.
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 2)) * [3, 0.3]
    turned, anew = x @ [[0, 1], [-1, 0]], random.normal(size=(400, 2)) * [3, 0.3]
    for other, expected in ((turned, [1, 2 * 0.81 / (81 + 0.0081)]), (anew, [0, 1])):
        streams = torch.from_numpy(np.stack([x, other]))[:, None]
        found = LEAST._likeness(streams, ("cka", "covariance_cosine"))
        assert found[:, 0] == pytest.approx(expected, abs=0.02)


def test_streams_that_do_not_vary_are_like_nothing() -> None:
    # The hand-set model writes nothing, and its stream is the same at every token but the marker.
    table = LEAST(marker_model(), SHIFT, COPY, length=3, n=12, generator=seeded())
    assert (table[["estimate", "stderr", "low", "high"]] == 0).all(axis=None)


def test_intervals_cover() -> None:
    # Unrelated streams, for which a bootstrap never covers 0: its copies of examples are alike in both.
    random, hits = np.random.default_rng(0), np.zeros(2)
    analysis = RepresentationSimilarity(groups=20)
    for _ in range(100):
        streams = random.normal(size=(2, 1, 40, 8)) * np.arange(1, 9) ** 0.5
        values = analysis._likeness(torch.from_numpy(streams), ("cka", "covariance_cosine"))
        stderr = (19 * values[:, 1:].var(axis=1)) ** 0.5
        hits += np.abs(values[:, 0] - [0, 1]) < scipy.stats.t.ppf(0.975, 19) * stderr
    assert (hits >= 88).all()


def test_tasks_on_other_prompts_have_covariances_only() -> None:
    model = random_model(vocabulary(SHIFT, CARRY))
    table = LEAST(model, SHIFT, CARRY, length=4, n=12, generator=seeded())
    assert table["measure"].tolist() == ["covariance_cosine"] * 4
    assert not table["aligned"].any()
    assert set(table["tokens"]) == {5}  # 4 letters and [EOS], and as many of 5 digits and [EOS]


def test_table() -> None:
    model, told = random_model(vocabulary(SHIFT, COPY), n_layers=2), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    running = Running(token_budget=96, on_done=lambda done, of: told.append((done, of)))  # 6 examples of both
    table = LEAST(model, SHIFT, COPY, length=3, n=9, generator=seeded(7), running=running)
    assert told == [(6, 9), (9, 9)]
    assert list(table.columns) == COLUMNS
    assert table["measure"].tolist() == ["cka"] * 3 + ["covariance_cosine"] * 3
    assert table["layer"].tolist() == [0, 1, pd.NA] * 2
    about = {
        "first": "shift", "second": "copy", "length": 3, "aligned": True, "tokens": 4, "n": 9, "groups": 4,
        "seeds": 1, "seed": 7,
    }  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    whole = LEAST(model, SHIFT, COPY, length=3, n=9, generator=seeded(7))
    pd.testing.assert_frame_equal(table, whole)
    one = RepresentationSimilarity(measures=("cka",), groups=4)(model, SHIFT, COPY, length=3, n=9, generator=seeded(7))
    pd.testing.assert_frame_equal(one, whole[:3])
    assert not model.is_hooked
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"groups": 1}, "groups = 1 cannot be left out in turn; allowed is 2 or more"),
        ({"measures": ("cka", "cka")}, "measure 'cka' is named twice; name each measure once"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        RepresentationSimilarity(**settings)
    assert str(caught.value) == text


@pytest.mark.usefixtures("unchecked")
def test_unknown_measures_are_refused() -> None:
    measures: Any = ("rsa",)
    with pytest.raises(UnknownNameError, match="unknown measure 'rsa'; the measures are cka, covariance_cosine"):
        RepresentationSimilarity(measures=measures)


def test_what_cannot_be_compared_is_refused() -> None:
    model = random_model(vocabulary(SHIFT, CARRY))
    for analysis, n, allowed in ((LEAST, 7, 8), (RepresentationSimilarity(), 19, 20)):
        with pytest.raises(InvalidValueError) as caught:
            analysis(model, SHIFT, SHIFT, length=3, n=n, generator=seeded())
        assert str(caught.value) == (
            f"n = {n} examples cannot be left out in {analysis.groups} groups; allowed is {allowed} or more"
        )
    with pytest.raises(InvalidValueError) as caught:
        RepresentationSimilarity(measures=("cka",), groups=4)(model, SHIFT, CARRY, length=3, n=9, generator=seeded())
    assert str(caught.value) == (
        "measure 'cka' pairs examples of one prompt, and tasks 'shift' and 'carry_only' do not read the same prompts "
        "at the same positions; use covariance_cosine, which needs no pairs"
    )
    model.add_hook("hook_embed", lambda value, hook: value)
    with pytest.raises(
        InvalidValueError, match="hooks attached; remove them with model.reset_hooks.. before two tasks"
    ):
        LEAST(model, SHIFT, CARRY, length=3, n=9, generator=seeded())
