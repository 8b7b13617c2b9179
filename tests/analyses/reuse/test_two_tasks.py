"""Examples of two tasks: on the same prompts where both read the same."""

import pytest
import torch

from analyses.reuse.two_tasks import TwoTasks, are_aligned
from tasks import InvalidValueError, get_task
from tests.analyses.models import random_model, seeded
from tests.analyses.reuse.task_pairs import CARRY, COPY, FIRST, SHIFT, vocabulary


def test_tasks_on_the_same_prompts_stand_side_by_side() -> None:
    model = random_model(vocabulary(CARRY, FIRST), n_layers=1)
    both = TwoTasks.drawn(model, CARRY, FIRST, length=3, n=20, generator=seeded())
    assert both.aligned
    # [carry_only] aaa+bbb= cccc [EOS], and [copy_first] with an answer of one token less.
    assert (both.width, both.first.scored.sum(dim=1).unique().tolist()) == (13, [5])
    assert both.second.scored.sum(dim=1).unique().tolist() == [4]
    assert torch.equal(both.first.tokens[:, 1:9], both.second.tokens[:, 1:9])
    assert not (both.first.tokens[:, 0] == both.second.tokens[:, 0]).any()
    assert (both.second.tokens[:, -1] == model.vocabulary.eos).all()
    alone = FIRST.bind(model.vocabulary).sample(20, length=3, generator=seeded(), stream="test")
    assert torch.equal(both.second.tokens[:, :-1], alone.tokens)


def test_tasks_on_other_prompts_are_drawn_one_after_the_other() -> None:
    model, source = random_model(vocabulary(SHIFT, CARRY), n_layers=1), seeded()
    both = TwoTasks.drawn(model, SHIFT, CARRY, length=3, n=20, generator=seeded())
    assert not both.aligned
    for task, found in ((SHIFT, both.first), (CARRY, both.second)):
        batch = task.bind(model.vocabulary).sample(20, length=3, generator=source, stream="test")
        assert torch.equal(found.tokens[:, : batch.tokens.shape[1]], batch.tokens)


def test_alignment_needs_the_same_marking() -> None:
    assert are_aligned(SHIFT, COPY, length=3)
    assert not are_aligned(SHIFT, get_task("copy", alphabet=4, case="lower", marking="repeated"), length=3)
    assert not are_aligned(SHIFT, CARRY, length=3)


def test_parts_hold_examples_of_both() -> None:
    model = random_model(vocabulary(SHIFT, COPY), n_layers=1)
    both = TwoTasks.drawn(model, SHIFT, COPY, length=3, n=5, generator=seeded())
    assert both.width == 8
    assert both.parts(32) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert both.parts(1) == [slice(i, i + 1) for i in range(5)]
    part = both.part(slice(2, 4))
    assert torch.equal(part.tokens, torch.cat((both.first.tokens[2:4], both.second.tokens[2:4])))
    assert torch.equal(part.scored, torch.cat((both.first.scored[2:4], both.second.scored[2:4])))


def test_vocabularies_without_a_task_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"the vocabulary lacks '\[copy\]', which task 'copy' needs"):
        TwoTasks.drawn(random_model(SHIFT.vocabulary), SHIFT, COPY, length=3, n=5, generator=seeded())
