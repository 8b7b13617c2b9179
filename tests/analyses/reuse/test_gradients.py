"""Cosines of gradients: counted by hand, against autograd in a plain loop, with known noise; refusals."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from analyses import GradientSimilarity, Running
from analyses.reuse.gradients import COLUMNS, MEASURES, _rows
from tasks import InvalidValueError, Task
from tests.analyses.models import random_model, seeded
from tests.analyses.reuse.task_pairs import CARRY, COPY, SHIFT, marker_model, vocabulary
from training import HookedTransformer


def estimates(table: pd.DataFrame, layer: int | None = None) -> dict[str, float]:
    rows = table[table["layer"].isna() if layer is None else table["layer"] == layer]
    return dict(zip(rows["measure"], rows["estimate"], strict=True))


def drawn(model: HookedTransformer, tasks: tuple[Task, Task], *, length: int, n: int) -> list[Any]:
    source = seeded()
    return [task.bind(model.vocabulary).sample(n, length=length, generator=source, stream="test") for task in tasks]


# ---------------------------------------------------------------------------------------------------------------- truth
def test_a_gradient_that_can_be_counted() -> None:
    # The hand-set model's W_U is 0, so all tokens are equally probable and nothing but W_U has a gradient. The stream
    # is (2^14, 0, 0, 0) wherever an answer is predicted: the gradient is 2^14 (1 / vocabulary - how often each token is
    # the answer) in W_U's first row, 0 elsewhere.
    model = marker_model()
    table = GradientSimilarity(groups=3)(model, SHIFT, COPY, length=5, n=12, generator=seeded())
    found = []
    for batch in drawn(model, (SHIFT, COPY), length=5, n=12):
        counts = np.bincount(batch.targets.numpy(), minlength=len(model.vocabulary))
        found.append(1 / len(model.vocabulary) - counts / counts.sum())
    expected = found[0] @ found[1] / np.linalg.norm(found[0]) / np.linalg.norm(found[1])
    assert estimates(table)["cosine"] == pytest.approx(expected, abs=1e-5)
    # In the layer there is no gradient: 0 by definition, and nothing to correct.
    assert estimates(table, 0) == {
        "cosine": 0, "corrected_cosine": pytest.approx(np.nan, nan_ok=True), "first_halves": 0, "second_halves": 0,
    }  # fmt: skip


def plain_gradients(
    model: HookedTransformer, batch: Any, *, groups: int, task_head: int
) -> list[dict[str, np.ndarray]]:
    """Each group's gradient by parameter: losses one example and one token at a time, `backward` on a plain loop."""
    found = []
    for rows in np.array_split(np.arange(len(batch)), groups):
        model.zero_grad()
        losses = []
        for row in rows:
            logits = model(batch.inputs[row : row + 1], task=task_head)[0]
            places = batch.predicting[row].nonzero()[:, 0]
            losses.append(torch.stack([F.cross_entropy(logits[p], batch.tokens[row, p + 1]) for p in places]).mean())
        torch.stack(losses).mean().backward()
        found.append(
            {name: value.grad.double().numpy() for name, value in model.named_parameters() if value.grad is not None}
        )
    model.zero_grad()
    return found


def by_hand(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """The measures from gradients [group, parameter]."""
    groups, means = len(first), [part.mean(axis=0) for part in (first, second)]
    pairs = list(itertools.permutations(range(groups), 2))
    p = {name: np.mean([one[a] @ two[b] for a, b in pairs])
         for name, one, two in (("11", first, first), ("22", second, second), ("12", first, second))}  # fmt: skip
    halves = []
    for part in (first, second):
        halvings = list(itertools.combinations(range(groups), groups // 2))
        ways = [(part[list(one)].mean(axis=0), np.delete(part, one, axis=0).mean(axis=0)) for one in halvings]
        halves.append(np.mean([one @ two for one, two in ways]) / np.mean([one @ one for one, _ in ways]))
    return {
        "cosine": means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1]),
        "corrected_cosine": p["12"] / np.sqrt(p["11"] * p["22"]),
        "first_halves": halves[0],
        "second_halves": halves[1],
    }


@pytest.mark.parametrize("settings", [{}, {"task_heads": 2, "biases": "all", "norm": "LN", "positions": "learned",
                                           "n_ctx": 20}, {"unembedding": "tied"}],
                         ids=["plain", "two heads", "tied"])  # fmt: skip
@pytest.mark.parametrize("budget", [1, 4096])
def test_against_autograd_in_a_plain_loop(settings: dict[str, Any], budget: int) -> None:
    words = vocabulary(SHIFT, CARRY)
    model = random_model(words, n_layers=2, **{"initializer_range": 0.05, **settings})
    heads = (0, model.config.task_heads - 1)
    table = GradientSimilarity(groups=4)(
        model, SHIFT, CARRY, length=3, n=32, generator=seeded(), task_heads=heads, running=Running(token_budget=budget)
    )
    batches = drawn(model, (SHIFT, CARRY), length=3, n=32)
    gradients = [
        plain_gradients(model, batch, groups=4, task_head=head) for batch, head in zip(batches, heads, strict=True)
    ]
    for layer in (None, 0, 1):
        flat = [
            np.array([
                np.concatenate([value.ravel() for name, value in one.items()
                                if layer is None or name.startswith(f"blocks.{layer}.")])
                for one in of_task
            ])
            for of_task in gradients
        ]  # fmt: skip
        expected, found = by_hand(*flat), estimates(table, layer)
        if np.isnan(found["corrected_cosine"]):
            expected["corrected_cosine"] = np.nan
        assert found == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert table[table["measure"] == "corrected_cosine"]["estimate"].notna().any()


# ---------------------------------------------------------------------------------------------------------------- noise
def noisy(cosine: float, *, noise: float, groups: int, draw: int) -> np.ndarray:
    """Products of two tasks' gradients of length 1, that far apart, with noise of that length in each group."""
    random, size = np.random.default_rng(draw), 300
    true = np.zeros((2, 1, size))
    true[:, 0, 0] = 1, cosine
    true[1, 0, 1] = (1 - cosine**2) ** 0.5
    vectors = (true + noise * random.normal(size=(2, groups, size)) / size**0.5).reshape(-1, size)
    return vectors @ vectors.T


def test_the_corrected_cosine_is_that_without_noise() -> None:
    # The means of 8 groups have squares 1 + 2^2 / 8, so the plain cosine shrinks to .8 / 1.5; those of 4 1 + 2^2 / 4.
    tables = [_rows(noisy(0.8, noise=2, groups=8, draw=draw), None).set_index("measure") for draw in range(200)]
    means = pd.concat([table["estimate"] for table in tables], axis=1).mean(axis=1)
    assert means["cosine"] == pytest.approx(0.8 / 1.5, abs=0.01)
    assert means["first_halves"] == pytest.approx(1 / 2, abs=0.01)
    assert means["second_halves"] == pytest.approx(1 / 2, abs=0.01)
    assert means["corrected_cosine"] == pytest.approx(0.8, abs=0.01)
    ends = np.array([table.loc[["corrected_cosine"], ["low", "high"]].to_numpy()[0] for table in tables])
    assert ((ends[:, 0] <= 0.8) & (ends[:, 1] >= 0.8)).sum() >= 184


def test_a_gradient_lost_in_noise_has_no_corrected_cosine() -> None:
    table = pd.concat([_rows(noisy(0.8, noise=100, groups=8, draw=draw), 1) for draw in range(20)])
    corrected = table["measure"] == "corrected_cosine"
    numbers = table[["estimate", "stderr", "low", "high"]]
    assert numbers[corrected].isna().all(axis=1).sum() >= 18
    assert numbers[~corrected].notna().all(axis=None)


def test_a_task_pulls_as_itself() -> None:
    model = random_model(SHIFT.vocabulary, initializer_range=0.02)
    found = estimates(GradientSimilarity()(model, SHIFT, SHIFT, length=6, n=256, generator=seeded()))
    assert found["corrected_cosine"] == pytest.approx(1, abs=0.05)
    assert found["first_halves"] > 0.9


# ---------------------------------------------------------------------------------------------------------------- table
def test_table() -> None:
    model, told = random_model(vocabulary(SHIFT, COPY), n_layers=2), []
    running = Running(on_done=lambda done, of: told.append((done, of)))
    table = GradientSimilarity(groups=3)(model, SHIFT, COPY, length=3, n=6, generator=seeded(7), running=running)
    assert told == [(done, 12) for done in (2, 4, 6, 8, 10, 12)]
    assert list(table.columns) == COLUMNS
    assert table["measure"].tolist() == [*MEASURES] * 3
    assert table["layer"].tolist() == [pd.NA] * 4 + [0] * 4 + [1] * 4
    about = {"first": "shift", "second": "copy", "length": 3, "n": 6, "groups": 3, "seeds": 1, "seed": 7}
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    again = GradientSimilarity(groups=3)(model, SHIFT, COPY, length=3, n=6, generator=seeded(7))
    pd.testing.assert_frame_equal(table, again, check_exact=True)


def test_parameters_are_left_as_they_were() -> None:
    model = random_model(vocabulary(SHIFT, COPY), n_layers=1)
    for place, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(place % 2 == 0)  # frozen ones count as well
    model.embed.W_E.grad = torch.ones_like(model.embed.W_E)
    before = {name: (value.clone(), value.requires_grad) for name, value in model.named_parameters()}
    with torch.inference_mode():  # as some callers measure
        table = GradientSimilarity(groups=3)(model, SHIFT, COPY, length=3, n=6, generator=seeded())
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name][0])
        assert value.requires_grad == before[name][1]
        assert value.grad is None or (name == "embed.W_E" and bool((value.grad == 1).all()))
    model.requires_grad_(requires_grad=True)
    again = GradientSimilarity(groups=3)(model, SHIFT, COPY, length=3, n=6, generator=seeded())
    pd.testing.assert_frame_equal(table, again)


def test_refusals() -> None:
    with pytest.raises(InvalidValueError, match=r"^groups = 2 tell nothing of noise; allowed is 3 or more$"):
        GradientSimilarity(groups=2)
    model, analysis = random_model(vocabulary(SHIFT, COPY), n_layers=1), GradientSimilarity()
    for n, allowed in ((4, "8 or 16"), (20, "16 or 24")):
        with pytest.raises(InvalidValueError) as caught:
            analysis(model, SHIFT, COPY, length=3, n=n, generator=seeded())
        assert str(caught.value) == f"n = {n} examples do not divide into 8 groups of one size; use {allowed}"
    with pytest.raises(InvalidValueError, match="task head 1 does not exist: the model has 1, counted from 0"):
        analysis(model, SHIFT, COPY, length=3, n=8, generator=seeded(), task_heads=(0, 1))
    with torch.no_grad():
        model.unembed.W_U[0, 0] = torch.nan
    with pytest.raises(InvalidValueError, match="metric 'nll' is not finite for example 0"):
        analysis(model, SHIFT, COPY, length=3, n=8, generator=seeded())
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.add_hook("hook_embed", lambda value, hook: value)
    with pytest.raises(
        InvalidValueError, match="hooks attached; remove them with model.reset_hooks.. before a gradient"
    ):
        analysis(model, SHIFT, COPY, length=3, n=8, generator=seeded())
