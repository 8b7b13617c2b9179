"""Patterns compared: uniform ones set by hand, the divergence against scipy's, queries in a scope."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from analyses import Running
from analyses.reuse.offset_cosines import offset_cosines
from analyses.reuse.patterns import compare_patterns, jensen_shannon, queries_of
from analyses.reuse.two_tasks import TwoTasks
from tasks import Batch, InvalidValueError
from tests.analyses.models import hand_batch, hand_model, seeded


def test_uniform_attention_differs_in_nothing() -> None:
    # The hand-set model attends to all tokens alike, whatever they are: `aa` and `ab` against `ab` and `aa`.
    batch = hand_batch()
    other = Batch(batch.tokens.flip(0), batch.scored)
    found = compare_patterns(hand_model(), TwoTasks(batch, other, aligned=True), positions="all", running=Running())
    assert found.difference.shape == found.divergence.shape == (2, 2, 2)
    assert not found.difference.any()
    assert not found.divergence.any()
    # Distance 0: queries 0 and 1 give 1 and 1/2; distance 1: query 1 gives 1/2.
    for profile in found.profiles:
        assert profile.tolist() == [[[[0.75, 0.5]] * 2] * 2] * 2
    assert offset_cosines(found.profiles, aligned=True).tolist() == pytest.approx([1] * 5)


def test_divergence_is_scipys() -> None:
    random = np.random.default_rng(0)
    first, second = random.dirichlet(np.full(6, 0.2), size=(2, 50))
    first[:20, :3] = second[:10, 4:] = 0  # keys that are not seen at all
    first, second = (rows / rows.sum(axis=1, keepdims=True) for rows in (first, second))
    found = jensen_shannon(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert found == pytest.approx(jensenshannon(first, second, axis=1) ** 2, abs=1e-9)


def test_divergence_is_exact_at_its_ends_and_stable_near_0() -> None:
    rows = torch.rand(100, 7, generator=seeded(), dtype=torch.float64)
    rows /= rows.sum(dim=1, keepdim=True)
    assert not jensen_shannon(rows, rows).any()
    apart = torch.eye(2, dtype=torch.float64)
    assert jensen_shannon(apart, apart.flip(0)).tolist() == pytest.approx([np.log(2)] * 2)
    assert jensen_shannon(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]
    tiny = torch.tensor([[1.0, 1e-45]]).double()  # the smallest float32, which a softmax can give
    assert 0 <= jensen_shannon(tiny, torch.tensor([[1.0, 0]]).double()).item() < 1e-44


def test_queries_end_at_the_last_that_predicts() -> None:
    # Two examples, the second with a shorter answer: read up to the token before its last scored one.
    tokens = torch.zeros(2, 6, dtype=torch.int64)
    scored = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]).bool()
    batch = Batch(tokens, scored)
    assert queries_of(batch, "all").tolist() == [[True] * 5, [True] * 4 + [False]]
    assert queries_of(batch, "prompt").tolist() == [[True] * 3 + [False] * 2] * 2
    assert queries_of(batch, "answer").tolist() == [[False] * 3 + [True] * 2, [False] * 3 + [True, False]]


def test_answers_that_are_not_read_are_refused() -> None:
    batch = hand_batch()  # the answer is [EOS] alone
    assert queries_of(batch, "prompt").all()
    with pytest.raises(InvalidValueError) as caught:
        queries_of(batch, "answer")
    assert str(caught.value) == (
        "example 0 has no query in positions 'answer': its answer's only token is not read; use positions 'all' or "
        "'prompt'"
    )
