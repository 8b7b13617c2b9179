"""Counterfactuals of the number tasks: always found where there is one, and with as few changes as documented."""

import itertools
import re
from typing import Any

import pytest
import torch

from tasks import InvalidValueError, Vocabulary
from tasks.pair import Pair
from tasks.sorting import Count, Fill, Min, NumberTask, Sort, Successor
from tests.tasks.prompts import accepts

ALL = [
    Sort(),
    Sort(elements="distinct"),
    Min(),
    Min(elements="distinct"),
    Successor(),
    Successor(elements="distinct"),
    Count(),
    Count(relation="smaller"),
    Count(elements="distinct", relation="larger"),
    Fill(),
    Fill(elements="distinct"),
]

# Few numbers, so that repeats, neighbours and the ends of the range are common and all prompts can be enumerated.
SMALL: list[tuple[NumberTask, int]] = [
    (Sort(3), 3),
    (Sort(5, "distinct"), 3),
    (Min(3), 3),
    (Min(4, "distinct"), 3),
    (Successor(3), 3),
    (Successor(4), 2),
    (Successor(5, "distinct"), 2),
    (Successor(5, "distinct"), 3),
    (Count(3), 3),
    (Count(3, relation="smaller"), 3),
    (Count(3, relation="larger"), 2),
    (Count(4, "distinct", "smaller"), 3),
    (Count(3, "distinct", "larger"), 3),
    (Fill(3), 3),
    (Fill(2), 3),
    (Fill(5, "distinct"), 3),
]


def prompts_of(task: NumberTask, rows: torch.Tensor) -> list[str]:
    return [task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in rows]


def distance(first: str, second: str) -> int:
    pairs = zip(Vocabulary.pieces(first), Vocabulary.pieces(second), strict=True)
    return sum(left != right for left, right in pairs)


def check_pair(task: NumberTask, pair: Pair) -> None:
    """The changed prompts are prompts, as long, with other answers as long, and the batch holds these answers."""
    clean, changed = prompts_of(task, pair.clean.tokens), prompts_of(task, pair.counterfactual.tokens)
    for first, second, row in zip(clean, changed, pair.counterfactual.tokens, strict=True):
        answer = task.solve(second)
        assert answer != task.solve(first)
        assert len(Vocabulary.pieces(answer)) == len(Vocabulary.pieces(task.solve(first)))
        assert task.vocabulary.decode(row).startswith(f"{task.marker}{second}{answer}[EOS]")
    assert pair.changed.sum(dim=1).tolist() == list(map(distance, clean, changed))


@pytest.mark.parametrize("task", ALL, ids=repr)
@pytest.mark.parametrize("length", [2, 20, 99, "mixed"])
def test_always_found(task: NumberTask, length: Any) -> None:
    generator = torch.Generator().manual_seed(8)
    lengths = torch.randint(2, 40, (200,), generator=generator) if length == "mixed" else torch.full((200,), length)
    pair = task.counterfactual(task.sample(200, length=lengths, generator=generator), generator=generator)
    check_pair(task, pair)
    if not isinstance(task, Min | Successor | Fill):
        assert bool((pair.changed.sum(dim=1) == 1).all())


@pytest.mark.parametrize("task", [Min(), Fill(), Count(1000), Successor(3), Fill(2), Min(2)], ids=repr)
def test_found_for_long_sequences_of_few_numbers(task: NumberTask) -> None:
    # Here hundreds of elements are alike: one replacement seldom alters the answer, and often cannot.
    generator = torch.Generator().manual_seed(9)
    check_pair(task, task.counterfactual(task.sample(20, length=500, generator=generator), generator=generator))


def possible_prompts(task: NumberTask, length: int) -> list[str]:
    """Every prompt of a length: the texts of its form that `solve` accepts."""
    numbers = [f"[{number}]" for number in range(1, task.numbers + 1)]
    heads = ["".join(row) for row in itertools.product(numbers, repeat=length)]
    tails = [""]
    if isinstance(task, Successor | Count):
        tails = [f",{number}" for number in numbers]
    elif isinstance(task, Fill):
        tails = ["," + "".join(row) for row in itertools.product(["_", *numbers], repeat=length)]
    return [prompt for head in heads for tail in tails if accepts(task, prompt := f"{head}{tail}=")]


def least_distances(task: NumberTask, prompts: list[str]) -> list[int]:
    """How many symbols of each prompt must change for another answer that is as long, by enumeration."""
    symbols = torch.tensor([[task.symbols.index(piece) for piece in Vocabulary.pieces(prompt)] for prompt in prompts])
    answers = [task.solve(prompt) for prompt in prompts]
    names = torch.tensor([sorted(set(answers)).index(answer) for answer in answers])
    sizes = torch.tensor([len(Vocabulary.pieces(answer)) for answer in answers])
    apart = (symbols[:, None] != symbols[None]).sum(dim=2)
    fitting = (names[:, None] != names[None]) & (sizes[:, None] == sizes[None])
    return torch.where(fitting, apart, 99).amin(dim=1).tolist()


@pytest.mark.parametrize(("task", "length"), SMALL, ids=repr)
def test_changes_are_the_fewest_possible(task: NumberTask, length: int) -> None:
    prompts = possible_prompts(task, length)
    assert len(prompts) == task.prompt_space(length)
    least = least_distances(task, prompts)
    pair = task.counterfactual(task.examples(prompts), generator=torch.Generator().manual_seed(10))
    check_pair(task, pair)
    changed = pair.changed.sum(dim=1).tolist()
    if not isinstance(task, Fill):
        assert changed == least
        return
    # Where what is shown must change as well, the fewest of some candidates is taken, not the fewest of all.
    assert [count == 1 for count in changed] == [count == 1 for count in least]


def test_changes_of_min() -> None:
    # One symbol where a number below the smallest is left or the smallest stands once; else all of the smallest.
    task, prompts = Min(9), ["[2][2][2][5]=", "[1][3][4]=", "[9]=", "[1][5][1][1]=", "[1][1]="]
    pair = task.counterfactual(task.examples(prompts * 100), generator=torch.Generator().manual_seed(11))
    assert pair.changed.sum(dim=1).tolist() == [1, 1, 1, 3, 2] * 100
    changed = prompts_of(task, pair.counterfactual.tokens)
    assert all(prompt.count("[1]") == 1 for prompt in changed[::5])
    assert {Vocabulary.pieces(prompt)[0] for prompt in changed[1::5]} == {f"[{number}]" for number in range(2, 10)}


def test_changes_of_min_of_distinct_elements() -> None:
    # [1] is the only number left, so that one of [3], [4], [5] becomes [1], or [2] becomes it.
    task = Min(5, "distinct")
    pair = task.counterfactual(task.examples(["[4][2][3][5]="] * 100), generator=torch.Generator().manual_seed(11))
    assert pair.changed.sum(dim=1).tolist() == [1] * 100
    changed = {"[1][2][3][5]=", "[4][1][3][5]=", "[4][2][1][5]=", "[4][2][3][1]="}
    assert set(prompts_of(task, pair.counterfactual.tokens)) == changed


def test_changes_of_successor() -> None:
    # The query moves to another element, or an element comes between, or the answer's element moves; 2, where the only
    # other element is the greatest number and next to the query: then both become a smaller number.
    task, prompts = Successor(9), ["[5][2][7],[2]=", "[5][7],[5]=", "[5][6],[5]=", "[8][9],[8]=", "[3][4][4],[3]="]
    pair = task.counterfactual(task.examples(prompts * 50), generator=torch.Generator().manual_seed(12))
    assert pair.changed.sum(dim=1).tolist() == [1, 1, 1, 2, 2] * 50


def test_the_only_change_of_one_symbol_is_found() -> None:
    # 1 of the 99 numbers that [99] could become alters the answer, and neither [98] nor the query can.
    task = Successor()
    pair = task.counterfactual(task.examples(["[98][99],[98]="] * 50), generator=torch.Generator().manual_seed(12))
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {"[98][100],[98]="}


def test_changes_of_fill() -> None:
    # Hidden 5 moves between the shown 3 and 9: one symbol. The hidden 3 has no room between shown 3s: all three become
    # another number, in the sequence and, two of them, in the sorted part.
    task, prompts = Fill(9), ["[5][3][9],[3]_[9]=", "[3][3][3],[3]_[3]="]
    generator = torch.Generator().manual_seed(13)
    for _ in range(20):
        pair = task.counterfactual(task.examples(prompts[:1]), generator=generator)
        (changed,) = prompts_of(task, pair.counterfactual.tokens)
        assert re.fullmatch(r"\[[3-9]\]\[3\]\[9\],\[3\]_\[9\]=", changed)
    pair = task.counterfactual(task.examples(prompts[1:]), generator=generator)
    assert pair.changed.sum(dim=1).tolist() in ([3], [4], [5])


@pytest.mark.parametrize("task", [Successor(), Count()], ids=repr)
def test_query_and_elements_change_about_equally_often(task: NumberTask) -> None:
    # Among 10 of 100 numbers nearly every prompt has both kinds; `equal` counts seldom differ between elements.
    generator = torch.Generator().manual_seed(14)
    batch = task.sample(400, length=10, generator=generator)
    query = task.counterfactual(batch, generator=generator).changed[:, 12].double().mean()
    assert (0.3 < query < 0.8) if isinstance(task, Successor) else (0.01 < query < 0.3)


NONE: list[tuple[NumberTask, str]] = [
    (Sort(4, "distinct"), "[3][1][2][4]="),
    (Min(3, "distinct"), "[3][1][2]="),
    (Successor(2), "[1][2],[1]="),
    (Successor(2, "distinct"), "[2][1],[1]="),
    (Fill(3, "distinct"), "[3][1][2],_[2]_="),
]


@pytest.mark.parametrize(("task", "prompt"), NONE, ids=repr)
def test_none_exists(task: NumberTask, prompt: str) -> None:
    length = Vocabulary.pieces(prompt).index("," if "," in prompt else "=")
    same_form = [other for other in possible_prompts(task, length) if other.count("_") == prompt.count("_")]
    gaps = [[place for place, piece in enumerate(Vocabulary.pieces(other)) if piece == "_"] for other in same_form]
    answers = {
        task.solve(other) for other, gap in zip(same_form, gaps, strict=True) if gap == gaps[same_form.index(prompt)]
    }
    assert answers == {task.solve(prompt)}
    with pytest.raises(
        InvalidValueError, match=f"^{re.escape(repr(prompt))} has no counterfactual of kind 'any' in task"
    ):
        task.counterfactual(task.examples([prompt]), generator=torch.Generator())
