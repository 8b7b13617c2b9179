"""Number tasks: which prompts there are, and how likely each is, compared with an enumeration in plain Python."""

import itertools
from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from tasks.sorting import Count, Fill, Min, NumberTask, Sort, Successor
from tests.tasks.prompts import accepts

SMALL: list[NumberTask] = [
    Sort(3),
    Sort(4, "distinct"),
    Min(3),
    Min(4, "distinct"),
    Successor(3),
    Successor(4, "distinct"),
    Count(3),
    Count(3, relation="larger"),
    Count(4, "distinct", "smaller"),
    Fill(3),
    Fill(4, "distinct"),
]


def sequences(task: NumberTask, length: int) -> list[tuple[int, ...]]:
    numbers = range(1, task.numbers + 1)
    if task.elements == "distinct":
        return list(itertools.permutations(numbers, length))
    return list(itertools.product(numbers, repeat=length))


def text(numbers: tuple[int, ...]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def law(task: NumberTask, length: int) -> dict[str, float]:
    """The probability of every prompt of a length, by enumeration in plain Python."""
    weights: defaultdict[str, float] = defaultdict(float)
    for sequence in sequences(task, length):
        if isinstance(task, Successor | Count):
            places = [number for number in sequence if isinstance(task, Count) or number < max(sequence)]
            for number in places:
                weights[f"{text(sequence)},[{number}]="] += 1 / len(places)
        elif isinstance(task, Fill):
            for hidden in list(itertools.product([False, True], repeat=length))[1:]:
                places = zip(sorted(sequence), hidden, strict=True)
                weights[f"{text(sequence)},{''.join('_' if gap else f'[{number}]' for number, gap in places)}="] += 1
        else:
            weights[f"{text(sequence)}="] += 1
    return {prompt: weight / sum(weights.values()) for prompt, weight in weights.items()}


@pytest.mark.parametrize("task", SMALL, ids=repr)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_prompt_space_counts_what_solve_accepts(task: NumberTask, length: int) -> None:
    # Every text of the right form, prompts and others: sequences, and behind the comma a number, or numbers and gaps.
    heads = ["".join(row) for row in itertools.product([f"[{k}]" for k in range(1, task.numbers + 1)], repeat=length)]
    tails = [""]
    if isinstance(task, Successor | Count):
        tails = [f",[{number}]" for number in range(1, task.numbers + 1)]
    elif isinstance(task, Fill):
        symbols = ["_", *(f"[{number}]" for number in range(1, task.numbers + 1))]
        tails = ["," + "".join(row) for row in itertools.product(symbols, repeat=length)]
    accepted = {prompt for head in heads for tail in tails if accepts(task, prompt := f"{head}{tail}=")}
    expected = set() if length < task.min_length else set(law(task, length))
    assert accepted == expected
    assert length < task.min_length or task.prompt_space(length) == len(accepted)


@pytest.mark.parametrize("task", SMALL, ids=repr)
@pytest.mark.parametrize("length", [2, 3])
def test_every_small_prompt_has_its_answer(task: NumberTask, length: int) -> None:
    prompts = list(law(task, length))
    texts = [task.vocabulary.decode(row) for row in task.examples(prompts).tokens]
    answers = [task.solve(prompt) for prompt in prompts]
    assert [task.prompt_and_answer(text) for text in texts] == list(zip(prompts, answers, strict=True))


@pytest.mark.parametrize("task", SMALL, ids=repr)
@pytest.mark.parametrize("lengths", [[3], [1, 2, 3]], ids=str)
def test_law_of_the_prompts(task: NumberTask, lengths: list[int]) -> None:
    # With mixed lengths, those of length 3 must have the same law: 30 draws and more for every prompt.
    lengths = [length for length in lengths if length >= task.min_length]
    expected = law(task, 3)
    n = 60 * len(expected) * len(lengths)
    asked = torch.tensor(lengths).repeat(n // len(lengths))
    batch = task.sample(n, length=asked, generator=torch.Generator().manual_seed(4))
    drawn = Counter(
        task.prompt_and_answer(task.vocabulary.decode(row))[0]
        for row, length in zip(batch.tokens, asked.tolist(), strict=True)
        if length == 3
    )
    assert set(drawn) == set(expected)
    wanted = [probability * drawn.total() for probability in expected.values()]
    assert chisquare([drawn[prompt] for prompt in expected], wanted).pvalue > 1e-3


@pytest.mark.parametrize("elements", ["any", "distinct"])
@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_elements_are_uniform_at_every_place(elements: Any, stream: Any) -> None:
    batch = Sort(40, elements).sample(4000, length=6, generator=torch.Generator().manual_seed(5), stream=stream)
    sequence = batch.tokens[:, 1:7]
    counts = torch.stack([column.bincount(minlength=40) for column in sequence.T])
    assert chisquare(counts.numpy(), axis=1).pvalue.min() > 1e-3
    differences = ((sequence[:, 1:] - sequence[:, :-1]) % 40).flatten().bincount(minlength=40)
    assert chisquare(differences[elements == "distinct" :].numpy()).pvalue > 1e-3
    assert (differences[0] == 0) == (elements == "distinct")


@pytest.mark.parametrize("task", [Successor(100), Count(100), Count(100, "distinct", "larger")], ids=repr)
def test_query_is_uniform_over_its_places(task: NumberTask) -> None:
    # At length 8 of 100 numbers: where the query stands, for sequences without repeats, the largest element left out.
    batch = task.sample(8000, length=8, generator=torch.Generator().manual_seed(6))
    sequence, query = batch.tokens[:, 1:9], batch.tokens[:, 10:11]
    ranks = sequence.argsort(dim=1).argsort(dim=1)
    single = (sequence.sort(dim=1).values.diff(dim=1) > 0).all(dim=1)
    counts = ranks[(sequence == query) & single[:, None]].bincount(minlength=8)
    if isinstance(task, Successor):
        assert counts[7] == 0
        counts = counts[:7]
    assert chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("length", [1, 2, 5, 60])
def test_places_of_the_gaps(length: int) -> None:
    # A place is hidden with probability 1/2 / (1 - 2**-length); the sum over places and rows is compared, 5 sigma.
    batch = Fill().sample(2000, length=length, generator=torch.Generator().manual_seed(7))
    gaps = batch.tokens[:, length + 2 : 2 * length + 2] == Fill().vocabulary.index["_"]
    assert bool(gaps.any(dim=1).all())
    share = 0.5 / (1 - 2**-length)
    assert (gaps.double().mean(dim=0) - share).abs().max() < 5 * (0.25 / 2000) ** 0.5
