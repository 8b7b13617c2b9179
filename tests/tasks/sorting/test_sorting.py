"""Number tasks: the sampler against `solve`, and cases worked out by hand."""

import re
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import Batch, Vocabulary
from tasks.sorting import Count, Fill, Min, NumberTask, Sort, Successor
from tests.tasks.drawing import drawn_rows

TASKS = [Sort, Min, Successor, Count, Fill]

# The brief's own examples, then edges: one element, all alike, the ends of the range, two-digit numbers, many gaps.
BY_HAND: list[tuple[NumberTask, str, str]] = [
    (Sort(), "[5][3][9]=", "[3][5][9]"),
    (Sort(), "[7]=", "[7]"),
    (Sort(), "[10][9][100][9]=", "[9][9][10][100]"),
    (Sort(2), "[2][1][2][1]=", "[1][1][2][2]"),
    (Sort(3, "distinct"), "[3][1][2]=", "[1][2][3]"),
    (Min(), "[5][3][9]=", "[3]"),
    (Min(), "[100]=", "[100]"),
    (Min(), "[4][10][4]=", "[4]"),
    (Successor(), "[5][3][9],[5]=", "[9]"),
    (Successor(), "[5][3][9],[3]=", "[5]"),
    (Successor(), "[1][100],[1]=", "[100]"),
    (Successor(), "[4][4][6][6][5],[4]=", "[5]"),
    (Count(), "[5][3][5],[5]=", "[2]"),
    (Count(), "[5][3][5],[3]=", "[1]"),
    (Count(2), "[2][2],[2]=", "[2]"),
    (Count(relation="smaller"), "[5][3][5],[3]=", "[0]"),
    (Count(relation="smaller"), "[5][3][5][9],[9]=", "[3]"),
    (Count(relation="larger"), "[5][3][5],[3]=", "[2]"),
    (Count(3, "distinct", "larger"), "[3][1][2],[2]=", "[1]"),
    (Fill(), "[5][3][9],[3]__=", "[5][9]"),
    (Fill(), "[7],_=", "[7]"),
    (Fill(), "[2][2][1],_[2]_=", "[1][2]"),
    (Fill(), "[10][9][100][9],____=", "[9][9][10][100]"),
    (Fill(), "[10][9][100],[9]_[100]=", "[10]"),
]


def check_rows(task: NumberTask, batch: Batch, lengths: list[int]) -> None:
    """Every row is a prompt of its length with `solve`'s answer, filled up with [EOS], rightly scored."""
    assert batch.tokens.dtype == torch.int64
    for row, marks, length in zip(batch.tokens.tolist(), batch.scored.tolist(), lengths, strict=True):
        pieces = [task.vocabulary.tokens[place] for place in row]
        prompt = pieces[1 : pieces.index("=") + 1]
        sequence = prompt[: prompt.index("," if "," in prompt else "=")]
        assert len(sequence) == length
        answer = Vocabulary.pieces(task.solve("".join(prompt)))
        expected = [task.marker, *prompt, *answer, "[EOS]"]
        rest = len(pieces) - len(expected)
        assert pieces == expected + ["[EOS]"] * rest
        assert marks == [False] * (1 + len(prompt)) + [True] * (len(answer) + 1) + [False] * rest


def draw_task(kind: type[NumberTask], data: st.DataObject) -> NumberTask:
    numbers = data.draw(st.one_of(st.integers(2, 9), st.sampled_from([100, 130]), st.integers(2, 300)))
    elements: Any = data.draw(st.sampled_from(["any", "distinct"]))
    if kind is not Count:
        return kind(numbers, elements)
    relation: Any = data.draw(st.sampled_from(["equal", "smaller", "larger"][elements == "distinct" :]))
    return Count(numbers, elements, relation)


# 150 batches of 8 and more examples for each task: half of them at one length, half at mixed lengths.


@pytest.mark.parametrize("kind", TASKS)
@settings(max_examples=150)
@given(data=st.data())
def test_sampler_agrees_with_solve(kind: type[NumberTask], data: st.DataObject) -> None:
    task = draw_task(kind, data)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    stream: Any = data.draw(st.sampled_from(["all", "train", "test"]))
    possible = st.integers(task.min_length, min(130, task.max_length))
    if data.draw(st.booleans()):
        lengths = [data.draw(possible)] * 8
        batch = task.sample(8, length=lengths[0], generator=generator, stream=stream)
    else:
        lengths = data.draw(st.lists(possible, min_size=8, max_size=12))
        batch = task.sample(len(lengths), length=torch.tensor(lengths), generator=generator, stream=stream)
    check_rows(task, batch, lengths)


@pytest.mark.parametrize(
    "task", [Sort(), Min(), Successor(), Fill(), Sort(1000, "distinct"), Count(1000), Fill(1000, "distinct")], ids=repr
)
def test_greatest_length(task: NumberTask) -> None:
    check_rows(task, task.sample(2, length=task.max_length, generator=torch.Generator()), [task.max_length] * 2)


@pytest.mark.parametrize(("task", "prompt", "answer"), BY_HAND, ids=str)
def test_case_by_hand(task: NumberTask, prompt: str, answer: str) -> None:
    assert task.solve(prompt) == answer
    batch = task.examples([prompt])
    assert task.vocabulary.decode(batch.tokens[0]) == f"[{task.name}]{prompt}{answer}[EOS]"


@pytest.mark.parametrize("kind", TASKS)
def test_case_by_hand_exists_for_every_task(kind: type[NumberTask]) -> None:
    assert any(isinstance(task, kind) for task, _, _ in BY_HAND)


@pytest.mark.parametrize("kind", TASKS)
def test_no_examples(kind: type[NumberTask]) -> None:
    task = kind()
    assert len(task.sample(0, length=2, generator=torch.Generator())) == 0
    assert len(task.sample(0, length=torch.tensor([]).long(), generator=torch.Generator())) == 0
    assert len(task.examples([])) == 0


@pytest.mark.parametrize("kind", TASKS)
def test_examples_in_docstring_and_summary_are_solved(kind: type[NumberTask]) -> None:
    texts = [str(kind.__doc__).replace("`", ""), kind.summary]
    examples = [re.findall(r"(\S+=) -> ([\[\]0-9]+)", text) for text in texts]
    assert [len(found) for found in examples] == [1, 1]
    assert all(kind().solve(prompt) == answer for ((prompt, answer),) in examples)
    assert re.fullmatch(r"\S+= -> \S+: \S.+", kind.summary)


@pytest.mark.parametrize("kind", [Sort, Successor, Count, Fill])
def test_docstring_draws_what_the_sampler_makes(kind: type[NumberTask]) -> None:
    task = kind()
    drawn = drawn_rows(sys.modules[kind.__module__].__doc__, task.marker)
    prompt, _ = task.prompt_and_answer("".join(drawn["tokens"]))
    batch = task.examples([prompt])
    assert list(task.vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert batch.scored[0].tolist() == [mark == "x" for mark in drawn["scored"]]


def test_vocabulary() -> None:
    assert Sort(3).vocabulary.tokens == ("[1]", "[2]", "[3]", "=", "[EOS]", "[sort]")
    assert Successor(2).vocabulary.tokens == ("[1]", "[2]", ",", "=", "[EOS]", "[successor]")
    assert Count(2).vocabulary.tokens == ("[1]", "[2]", "[0]", ",", "=", "[EOS]", "[count]")
    assert Fill(2).vocabulary.tokens == ("[1]", "[2]", "_", ",", "=", "[EOS]", "[fill]")
    assert Fill(2).replaceable == Count(2).replaceable == ("[1]", "[2]")


@pytest.mark.parametrize("kind", TASKS)
def test_same_seed_same_prompts_other_seed_others(kind: type[NumberTask]) -> None:
    def tokens(seed: int) -> torch.Tensor:
        return kind().sample(20, length=9, generator=torch.Generator().manual_seed(seed), stream="test").tokens

    assert torch.equal(tokens(1), tokens(1))
    assert not torch.equal(tokens(1), tokens(2))
