"""String tasks: the sampler against `solve`, cases worked out by hand, and the distribution of the words."""

import itertools
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks import Batch, InvalidValueError, Ragged, Task, get_task
from tasks.strings import words as module
from tasks.strings.words import StringTask
from tests.tasks.drawing import drawn_rows

NAMES = ["copy", "shift", "reverse", "capitalize", "capitalize_reverse"]

# The paper's own examples, shared/PAPERS.md, and our edges: one letter, the end of the alphabet, doubled letters.
BY_HAND = [
    ("copy", {}, "qWe=", "qWe"),
    ("copy", {}, "z=", "z"),
    ("copy", {}, "aaB=", "aaB"),
    ("reverse", {}, "qWe=", "eWq"),
    ("reverse", {}, "z=", "z"),
    ("reverse", {}, "aabC=", "Cbaa"),
    ("capitalize", {}, "qWe=", "QwE"),
    ("capitalize", {}, "Z=", "z"),
    ("capitalize_reverse", {}, "qWe=", "EwQ"),
    ("capitalize_reverse", {}, "aB=", "bA"),
    ("shift", {}, "qWz=", "rXa"),
    ("shift", {}, "zZaA=", "aAbB"),
    ("shift", {"alphabet": 12, "case": "lower"}, "abl=", "bca"),
    ("shift", {"alphabet": 12}, "lLk=", "aAl"),
    ("shift", {"alphabet": 2, "case": "lower"}, "abba=", "baab"),
    ("reverse", {"alphabet": 2, "case": "lower"}, "abb=", "bba"),
]


def cases_of(name: str) -> tuple[str, ...]:
    task = get_task(name)
    assert isinstance(task, StringTask)
    return task.cases


def batch_of(task: Task, prompt: str) -> Batch:
    """The sampler's example for a given prompt: what it would make, had it drawn that prompt."""
    values = torch.tensor([[task.symbols.index(symbol) for symbol in prompt]])
    prompts = Ragged(values, torch.tensor([len(prompt)]))
    return task._frame.write(task.layout(prompts))


def check_rows(task: Task, batch: Batch, lengths: list[int]) -> None:
    """Every row is `[marker] word = answer [EOS]`, with `solve`'s answer, filled up with [EOS], rightly scored."""
    assert batch.tokens.dtype == torch.int64
    assert batch.tokens.shape == (len(lengths), 2 * max(lengths) + 3)
    for row, marks, length in zip(batch.tokens.tolist(), batch.scored.tolist(), lengths, strict=True):
        pieces = [task.vocabulary.tokens[place] for place in row]
        prompt = "".join(pieces[1 : length + 2])
        expected = [task.marker, *prompt, *task.solve(prompt), "[EOS]"]
        rest = len(pieces) - len(expected)
        assert pieces == expected + ["[EOS]"] * rest
        assert marks == [False] * (length + 2) + [True] * (length + 1) + [False] * rest


# 125 batches of 8 and more examples: at least 1,000 of one length and 1,000 of mixed lengths for each task.


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=125)
@given(data=st.data())
def test_sampler_agrees_with_solve_at_one_length(name: str, data: st.DataObject) -> None:
    task, generator, stream = draw_task(name, data)
    length = data.draw(st.integers(1, 40))
    check_rows(task, task.sample(8, length=length, generator=generator, stream=stream), [length] * 8)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=125)
@given(data=st.data())
def test_sampler_agrees_with_solve_at_ragged_lengths(name: str, data: st.DataObject) -> None:
    task, generator, stream = draw_task(name, data)
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=8, max_size=12))
    batch = task.sample(len(lengths), length=torch.tensor(lengths), generator=generator, stream=stream)
    check_rows(task, batch, lengths)


def draw_task(name: str, data: st.DataObject) -> tuple[Task, torch.Generator, Any]:
    task = get_task(name, alphabet=data.draw(st.integers(2, 26)), case=data.draw(st.sampled_from(cases_of(name))))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    return task, generator, data.draw(st.sampled_from(["all", "train", "test"]))


@pytest.mark.parametrize(("name", "parameters", "prompt", "answer"), BY_HAND)
def test_case_by_hand(name: str, parameters: dict[str, object], prompt: str, answer: str) -> None:
    task = get_task(name, **parameters)
    assert task.solve(prompt) == answer
    batch = batch_of(task, prompt)
    assert task.vocabulary.decode(batch.tokens[0]) == f"[{name}]{prompt}{answer}[EOS]"


@pytest.mark.parametrize("name", NAMES)
def test_by_hand_has_cases_of_every_task(name: str) -> None:
    assert any(case[0] == name for case in BY_HAND)


def test_docstring_draws_what_the_sampler_makes() -> None:
    drawn = drawn_rows(module.__doc__, "[capitalize_reverse]")
    batch = batch_of(get_task("capitalize_reverse"), "qWe=")
    assert list(get_task("capitalize_reverse").vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert batch.scored[0].tolist() == [mark == "x" for mark in drawn["scored"]]


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstring_and_summary_are_solved(name: str) -> None:
    task = get_task(name)
    text = f"{task.__doc__} {task.summary}".replace("`", "")
    examples = re.findall(r"(\w+=) -> (\w+)", text)
    assert len(examples) == 2
    assert all(task.solve(prompt) == answer for prompt, answer in examples)


@pytest.mark.parametrize("name", NAMES)
def test_solve_and_sampler_agree_on_every_short_word(name: str) -> None:
    task = get_task(name, alphabet=3)
    for length in (1, 2, 3):
        words = torch.cartesian_prod(*[torch.arange(6)] * length).view(-1, length)
        values = torch.cat([words, torch.full((len(words), 1), 6)], dim=1)
        lengths = torch.full((len(words),), length)
        prompts = Ragged(values, lengths + 1)
        check_rows(task, task._frame.write(task.layout(prompts)), [length] * len(words))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_every_short_word_is_drawn(name: str, stream: Any) -> None:
    # 4 letters, 64 words of length 3: in 2,000 draws each is missed with probability (63/64)^2000 < 1e-13.
    task = get_task(name, alphabet=2)
    batch = task.sample(2000, length=3, generator=torch.Generator().manual_seed(1), stream=stream)
    prompts = {task.vocabulary.decode(row[1:4]) for row in batch.tokens}
    assert prompts == {"".join(letters) for letters in itertools.product("abAB", repeat=3)}


@pytest.mark.parametrize("case", ["both", "lower"])
@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_letters_are_uniform_at_every_position(case: str, stream: Any) -> None:
    task = get_task("copy", alphabet=12, case=case)
    batch = task.sample(6000, length=6, generator=torch.Generator().manual_seed(2), stream=stream)
    words = batch.tokens[:, 1:7]
    letters = 24 if case == "both" else 12
    counts = torch.stack([column.bincount(minlength=letters) for column in words.T])
    assert counts.shape == (6, letters)
    assert chisquare(counts.numpy(), axis=1).pvalue.min() > 1e-3
    pairs = (words[:, :-1] * letters + words[:, 1:]).flatten().bincount(minlength=letters**2)
    assert chisquare(pairs.numpy()).pvalue > 1e-3


def test_letters_are_uniform_at_ragged_lengths() -> None:
    task = get_task("reverse", alphabet=26)
    lengths = torch.arange(4000) % 20 + 1
    batch = task.sample(4000, length=lengths, generator=torch.Generator().manual_seed(3), stream="train")
    in_word = torch.arange(1, batch.tokens.shape[1]) <= lengths[:, None]
    counts = batch.tokens[:, 1:][in_word].bincount()
    assert counts.shape == (52,)
    assert chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("alphabet", "case", "letters"), [(2, "lower", "ab"), (3, "both", "abcABC")])
def test_letters_in_use(alphabet: int, case: str, letters: str) -> None:
    task = get_task("copy", alphabet=alphabet, case=case)
    assert task.symbols == (*letters, "=")
    assert task.vocabulary.tokens == (*letters, "=", "[EOS]", "[copy]")
    assert [task.prompt_space(length) for length in (1, 2, 5)] == [len(letters) ** length for length in (1, 2, 5)]


@pytest.mark.parametrize("alphabet", [-1, 0, 1, 27, 3.0, "12"])
def test_impossible_alphabet_is_refused(alphabet: object, unchecked: None) -> None:
    text = f"alphabet {alphabet!r} is not possible for 'shift'; allowed are 2 to 26"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("shift", alphabet=alphabet)


def test_impossible_case_is_refused(unchecked: None) -> None:
    text = "case 'upper' is not possible for 'copy'; allowed is 'both' or 'lower'"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        get_task("copy", case="upper")


@pytest.mark.parametrize("name", ["capitalize", "capitalize_reverse"])
def test_flipping_case_needs_both_cases(name: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^case 'lower' is not possible for '{name}'; allowed is 'both'$"):
        get_task(name, case="lower")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prompt", ["", "=", "abc", "abc=x"])
def test_solve_refuses_what_is_no_prompt(name: str, prompt: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{prompt!r} is no prompt of '{name}'; one looks like abc=$"):
        get_task(name).solve(prompt)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("prompt", "letter"), [("abC=", "C"), ("a b=", " "), ("a==", "="), ("é=", "é")])
def test_solve_refuses_other_letters(name: str, prompt: str, letter: str) -> None:
    task = get_task(name, alphabet=2)
    with pytest.raises(InvalidValueError, match=f"^'{letter}' is not in the alphabet of '{name}', 'abAB'$"):
        task.solve(prompt)
