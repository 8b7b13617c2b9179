"""Counterfactuals, for every task: prompts as long, changed little, with other answers, as `solve` has them."""

import re

import pytest
import torch

from tasks import Batch, InvalidValueError, Pair, Task, UnknownNameError, get_task, list_tasks

NAMES = list_tasks()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(task: Task, batch: Batch) -> list[tuple[str, str]]:
    """Prompt and answer of each example."""
    return [task.prompt_and_answer(task.vocabulary.decode(row)) for row in batch.tokens]


def check_pair(task: Task, pair: Pair, *, most_changed: int) -> None:
    """Other answers, right ones; prompts as long, with few changes; the differing places as the texts have them."""
    assert pair.counterfactual.tokens.shape == pair.clean.tokens.shape
    for place, (old, new) in enumerate(zip(texts(task, pair.clean), texts(task, pair.counterfactual), strict=True)):
        pieces = [task.vocabulary.pieces(prompt) for prompt in (old[0], new[0])]
        assert len(pieces[0]) == len(pieces[1])
        assert 1 <= sum(one != other for one, other in zip(*pieces, strict=True)) <= most_changed
        assert task.solve(old[0]) == old[1] != new[1] == task.solve(new[0])
        rows = [
            [token if scored else None for token, scored in zip(side.tokens[place], side.scored[place], strict=True)]
            for side in (pair.clean, pair.counterfactual)
        ]
        differ = [
            one is not None and other is not None and bool(one != other) for one, other in zip(*rows, strict=True)
        ]
        assert pair.differs[place].tolist() == differ


@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_counterfactuals_of_every_task(name: str, marking: str) -> None:
    task = get_task(name, marking=marking)
    lengths = torch.randint(2, 34, (200,), generator=seeded())  # at length 1 every answer of `count` is 1
    batch = task.sample(200, length=lengths, generator=seeded(), stream="train")
    # mqar and fill show a changed symbol again, in any of 8 queries or in the sorted part; min has every smallest one
    # changed where the smallest number stands several times.
    most = {"mqar": 9, "fill": 40, "min": 5}.get(name, 2)
    check_pair(task, task.counterfactual(batch, generator=seeded(1)), most_changed=most)


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_state_same_counterfactual(name: str) -> None:
    task = get_task(name)
    batch = task.sample(20, length=8, generator=seeded())
    first, again, other = (task.counterfactual(batch, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.counterfactual.tokens, again.counterfactual.tokens)
    assert not torch.equal(first.counterfactual.tokens, other.counterfactual.tokens)
    assert torch.equal(first.clean.tokens, batch.tokens)


@pytest.mark.parametrize("name", NAMES)
def test_global_randomness_is_neither_read_nor_written(name: str) -> None:
    task, drawn = get_task(name), []
    batch = task.sample(5, length=6, generator=seeded())
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            drawn.append(task.counterfactual(batch, generator=seeded()).counterfactual.tokens)
            assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*drawn)


def test_one_letter_becomes_another_uniformly() -> None:
    # `copy` of 4 letters from 3: 4 places x 2 other letters, each in 8 of 8,000; binomial deviation 30.
    task = get_task("copy", alphabet=3, case="lower")
    batch = task.examples(["abca="] * 8000)
    pair = task.counterfactual(batch, generator=seeded())
    places = pair.changed.int().argmax(dim=1)
    assert (pair.changed.sum(dim=1) == 1).all()
    tokens = pair.counterfactual.tokens.gather(1, places[:, None])[:, 0]
    counts = (places * 3 + tokens).bincount()
    assert len(counts[counts > 0]) == 8
    assert (counts[counts > 0] - 1000).abs().max() < 150


@pytest.mark.parametrize("name", NAMES)
def test_no_examples_have_no_counterfactuals(name: str) -> None:
    task = get_task(name)
    pair = task.counterfactual(task.sample(0, length=4, generator=seeded()), generator=seeded())
    assert len(pair.clean) == len(pair.counterfactual) == 0


def test_prompt_without_counterfactual_is_refused() -> None:
    # All three numbers are in the prompt: any sequence of three different ones sorts into 1 2 3.
    task = get_task("sort", numbers=3, elements="distinct")
    text = (
        "'[2][1][3]=' has no counterfactual of kind 'any' in task 'sort': no small change of "
        "it has another answer; choose longer prompts, more symbols, or another kind of change"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        task.counterfactual(task.examples(["[2][1][3]="]), generator=seeded())


def test_unknown_kind_of_change_is_refused() -> None:
    task = get_task("reverse_add")
    text = "unknown kind of change 'cary'; did you mean 'carry'? task 'reverse_add' has any, carry, digit"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        task.counterfactual(task.examples(["1+2="]), generator=seeded(), change="cary")


@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
@pytest.mark.parametrize(("name", "other"), [("copy", "reverse"), ("copy", "sort"), ("no_carry", "reverse_add")])
def test_examples_of_another_task_are_refused(name: str, other: str, marking: str) -> None:
    # Bound to one vocabulary, and each to its own, where equal numbers stand for other tokens.
    task, foreign = get_task(name, marking=marking), get_task(other, marking=marking)
    both = task.vocabulary.union(foreign.vocabulary)
    for mine, theirs in ((task.bind(both), foreign.bind(both)), (task, foreign)):
        batch = theirs.sample(30, length=4, generator=seeded())
        if int(batch.tokens.max()) < len(mine.vocabulary):
            with pytest.raises(InvalidValueError, match=f" is no example of '{name}'"):
                mine.counterfactual(batch, generator=seeded())


def test_what_the_task_would_write_is_named() -> None:
    task = get_task("no_carry", marking="none")
    batch = get_task("reverse_add", marking="none").examples(["9+1="])
    text = (
        "'[BOS]9+1=01[EOS]' is no example of 'no_carry', which would write '[BOS]9+1=00[EOS]'; "
        "give examples of this task"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        task.counterfactual(batch, generator=seeded())


def test_how_many_have_none_is_said() -> None:
    task = get_task("sort", numbers=3, elements="distinct")
    batch = task.examples(["[2][1]=", "[2][1][3]=", "[3][1][2]="])
    with pytest.raises(InvalidValueError, match=r"^'\[2\]\[1\]\[3\]=' \(and 1 more of 3\) has no counterfactual"):
        task.counterfactual(batch, generator=seeded())


def test_equally_long_answers_come_before_fewer_changes() -> None:
    # dfs_trace on 3 nodes in a line, 1 - 2 - 3: of the queries that change one end of 1 > 3 (answer 1 2 3), none has an
    # answer of three nodes (2 > 3: 2 1 2 3 or 2 3; 1 > 2: 1 2); 3 > 1 has, with both ends changed.
    task = get_task("dfs_trace", rows=1, columns=3)
    batch = task.examples(["[1]:[2];[2]:[3][1];[3]:[2];[1]>[3]="] * 20)
    pair = task.counterfactual(batch, generator=seeded())
    answers = {task.prompt_and_answer(task.vocabulary.decode(row))[1] for row in pair.counterfactual.tokens}
    assert answers == {"[3][2][1]"}
    assert (pair.changed.sum(dim=1) == 2).all()
