"""A number plus one and its hint: the sampler against `solve`, cases by hand, the law of the numbers, the errors."""

import re
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks import Batch, InvalidValueError
from tasks.arithmetic.increment import DigitSuccessor, DigitTask, Increment
from tests.tasks.drawing import drawn_rows

TASKS: list[DigitTask] = [Increment(), Increment("reversed"), DigitSuccessor()]

# The brief's own examples, then edges: one digit, nines alone, nines that no carry passes, zeros.
BY_HAND: list[tuple[DigitTask, str, str]] = [
    (Increment(), "599=", "600"),
    (Increment(), "999=", "1000"),
    (Increment(), "0=", "1"),
    (Increment(), "9=", "10"),
    (Increment(), "990=", "991"),
    (Increment(), "9089=", "9090"),
    (Increment("reversed"), "995=", "006"),
    (Increment("reversed"), "999=", "0001"),
    (Increment("reversed"), "0=", "1"),
    (Increment("reversed"), "9=", "01"),
    (Increment("reversed"), "099=", "199"),
    (DigitSuccessor(), "569=", "670"),
    (DigitSuccessor(), "999=", "000"),
    (DigitSuccessor(), "0=", "1"),
    (DigitSuccessor(), "1234567890=", "2345678901"),
]


def check_rows(task: DigitTask, batch: Batch, lengths: list[int]) -> None:
    """Every row is a prompt of its length with `solve`'s answer, filled up with [EOS], rightly scored."""
    assert batch.tokens.dtype == torch.int64
    for row, marks, length in zip(batch.tokens.tolist(), batch.scored.tolist(), lengths, strict=True):
        pieces = [task.vocabulary.tokens[place] for place in row]
        prompt = "".join(pieces[1 : length + 2])
        answer = task.solve(prompt)
        rest = len(pieces) - length - len(answer) - 3
        assert pieces == [task.marker, *prompt, *answer, "[EOS]"] + ["[EOS]"] * rest
        assert marks == [False] * (length + 2) + [True] * (len(answer) + 1) + [False] * rest


@pytest.mark.parametrize("task", TASKS, ids=repr)
@settings(max_examples=150)
@given(data=st.data())
def test_sampler_agrees_with_solve(task: DigitTask, data: st.DataObject) -> None:
    # 150 batches of 8 and more examples for each task, about half of them of mixed lengths.
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    stream: Any = data.draw(st.sampled_from(["all", "train", "test"]))
    lengths = data.draw(st.one_of(st.integers(1, 130).map(lambda length: [length] * 8), MIXED))
    check_rows(
        task, task.sample(len(lengths), length=torch.tensor(lengths), generator=generator, stream=stream), lengths
    )


MIXED = st.lists(st.integers(1, 130), min_size=8, max_size=12)


@pytest.mark.parametrize("task", TASKS, ids=repr)
@given(prompts=st.lists(st.from_regex(r"[89]{1,6}|[1-9][09]{0,5}[1-9]", fullmatch=True), min_size=10, max_size=20))
def test_many_nines(task: DigitTask, prompts: list[str]) -> None:
    check_rows(task, task.examples([f"{prompt}=" for prompt in prompts]), [len(prompt) for prompt in prompts])


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_greatest_length(task: DigitTask) -> None:
    check_rows(task, task.sample(2, length=4096, generator=torch.Generator()), [4096] * 2)
    check_rows(task, task.examples(["9" * 4096 + "="]), [4096])


@given(number=st.integers(0, 10**40))
def test_solve_adds_one(number: int) -> None:
    assert Increment().solve(f"{number}=") == str(number + 1)
    assert Increment("reversed").solve(f"{number}"[::-1] + "=") == str(number + 1)[::-1]


@pytest.mark.parametrize(("task", "prompt", "answer"), BY_HAND, ids=str)
def test_case_by_hand(task: DigitTask, prompt: str, answer: str) -> None:
    assert task.solve(prompt) == answer
    assert task.vocabulary.decode(task.examples([prompt]).tokens[0]) == f"[{task.name}]{prompt}{answer}[EOS]"


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_no_examples(task: DigitTask) -> None:
    assert len(task.sample(0, length=2, generator=torch.Generator())) == 0
    assert len(task.sample(0, length=torch.tensor([]).long(), generator=torch.Generator())) == 0
    assert len(task.examples([])) == 0


@pytest.mark.parametrize("task", [Increment(), DigitSuccessor()], ids=repr)
def test_examples_in_docstring_and_summary_are_solved(task: DigitTask) -> None:
    for text in (str(type(task).__doc__).replace("`", ""), task.summary):
        ((prompt, answer),) = re.findall(r"(\d+=) -> (\d+)", text)
        assert task.solve(prompt) == answer
    assert re.fullmatch(r"\S+= -> \S+: \S.+", task.summary)


def test_docstring_draws_what_the_sampler_makes() -> None:
    task = Increment()
    drawn = drawn_rows(sys.modules[Increment.__module__].__doc__, "[increment]")
    batch = task.examples(["599="])
    assert list(task.vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert batch.scored[0].tolist() == [mark == "x" for mark in drawn["scored"]]


def test_vocabulary_and_prompt_space() -> None:
    assert Increment().vocabulary.tokens == (*"0123456789", "=", "[EOS]", "[increment]")
    assert [DigitSuccessor().prompt_space(length) for length in (1, 2, 5)] == [10, 90, 90000]
    assert Increment().replaceable == tuple("0123456789")


@pytest.mark.parametrize("task", TASKS, ids=repr)
@pytest.mark.parametrize("lengths", [[1], [2], [3], [1, 2, 3, 9]], ids=str)
def test_numbers_are_uniform(task: DigitTask, lengths: list[int]) -> None:
    # All numbers of the first length: 10, 90 or 900 of them, 20 draws and more for each.
    asked = torch.tensor(lengths).repeat(18000)
    batch = task.sample(len(asked), length=asked, generator=torch.Generator().manual_seed(1))
    length = lengths[0]
    digits = batch.tokens[asked == length, 1 : length + 1]
    if task == Increment("reversed"):
        digits = digits.flip(1)
    numbers = (digits * 10 ** torch.arange(length - 1, -1, -1)).sum(dim=1)
    first = 0 if length == 1 else 10 ** (length - 1)
    counts = numbers.bincount(minlength=10**length)
    assert not counts[:first].any()
    assert chisquare(counts[first:].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("stream", ["train", "test"])
def test_digits_are_uniform_in_streams(stream: Any) -> None:
    batch = Increment().sample(6000, length=7, generator=torch.Generator().manual_seed(2), stream=stream)
    counts = torch.stack([column.bincount(minlength=10)[:10] for column in batch.tokens[:, 1:8].T])
    assert counts[0, 0] == 0
    assert chisquare(counts[0, 1:].numpy()).pvalue > 1e-3
    assert chisquare(counts[1:].numpy(), axis=1).pvalue.min() > 1e-3


@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_hint_and_main_task_draw_the_same_prompts(stream: Any) -> None:
    tokens = [
        task.sample(50, length=6, generator=torch.Generator().manual_seed(3), stream=stream).tokens[:, 1:8]
        for task in (Increment(), DigitSuccessor())
    ]
    assert torch.equal(*tokens)


def test_what_the_main_task_is_tested_on_the_hint_is_not_trained_on() -> None:
    generator = torch.Generator().manual_seed(3)
    tested = Increment().sample(300, length=6, generator=generator, stream="test").tokens[:, 1:8]
    trained = DigitSuccessor().sample(20000, length=6, generator=generator, stream="train").tokens[:, 1:8]
    assert not {tuple(row) for row in tested.tolist()} & {tuple(row) for row in trained.tolist()}


def test_same_seed_same_prompts_other_seed_others() -> None:
    def tokens(seed: int) -> torch.Tensor:
        return Increment().sample(20, length=9, generator=torch.Generator().manual_seed(seed), stream="test").tokens

    assert torch.equal(tokens(1), tokens(1))
    assert not torch.equal(tokens(1), tokens(2))


# ---------------------------------------------------------------------------------------------------- counterfactuals


@pytest.mark.parametrize("task", TASKS, ids=repr)
@pytest.mark.parametrize("length", [1, 2, 20, 100])
def test_one_digit_changes_the_answer(task: DigitTask, length: int) -> None:
    generator = torch.Generator().manual_seed(4)
    batch = task.sample(300, length=length, generator=generator)
    pair = task.counterfactual(batch, generator=generator)
    assert pair.changed.sum(dim=1).tolist() == [1] * 300
    check_rows(task, pair.counterfactual, [length] * 300)
    for clean, changed in zip(batch.tokens, pair.counterfactual.tokens, strict=True):
        answers = [task.solve(task.prompt_and_answer(task.vocabulary.decode(row))[0]) for row in (clean, changed)]
        assert answers[0] != answers[1]
        # Only nines alone have an answer of their length plus one; every neighbour's is shorter.
        assert len(answers[0]) == len(answers[1]) or int(answers[0][:: 1 if task == TASKS[0] else -1]) == 10**length


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_one_digit_may_become_zero_and_a_leading_one_not(task: DigitTask) -> None:
    generator = torch.Generator().manual_seed(6)
    pair = task.counterfactual(task.examples(["5=", "55="] * 200), generator=generator)
    changed = {task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in pair.counterfactual.tokens}
    zero = "50=" if task != Increment("reversed") else "05="
    assert {prompt for prompt in changed if "0" in prompt} == {"0=", zero}


@pytest.mark.parametrize(("order", "shorter"), [("plain", r"\d99|9\d9|99\d"), ("reversed", r"\d99|9\d9|99\d")])
def test_nines_alone_have_shorter_counterfactuals(order: Any, shorter: str) -> None:
    task = Increment(order)
    pair = task.counterfactual(task.examples(["999="]), generator=torch.Generator().manual_seed(5))
    prompt, answer = task.prompt_and_answer(task.vocabulary.decode(pair.counterfactual.tokens[0]))
    assert re.fullmatch(f"({shorter})=", prompt)
    assert answer == task.solve(prompt)
    assert len(answer) == 3


# ------------------------------------------------------------------------------------------------------------- errors


def test_impossible_order_is_refused(unchecked: None) -> None:
    expected = "order 'backwards' is not possible for 'increment'; allowed is 'plain' or 'reversed'"
    with pytest.raises(InvalidValueError, match=f"^{expected}$"):
        Increment("backwards")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("length", [0, 4097])
def test_impossible_length_is_refused(length: int) -> None:
    expected = f"length {length} is not possible for task 'digit_successor'; allowed are 1 to 4096"
    with pytest.raises(InvalidValueError, match=f"^{expected}$"):
        DigitSuccessor().sample(1, length=length, generator=torch.Generator())


REFUSED = [
    *((prompt, f"{prompt!r} is no prompt of '{{name}}'; one looks like 599=") for prompt in ["", "=", "12", "12=3"]),
    *(
        (f"1{symbol}=", f"{symbol!r} is not a digit of '{{name}}'; its digits are 0 to 9")
        for symbol in ["a", " ", "=", "-", "²", "٣", "\n"]
    ),
]
LEADING = "'{prompt}' has a leading zero; {count} digits must {end} with 1 to 9"


@pytest.mark.parametrize("task", TASKS, ids=repr)
@pytest.mark.parametrize(("prompt", "expected"), REFUSED, ids=repr)
def test_solve_refuses_what_is_no_number(task: DigitTask, prompt: str, expected: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected.format(name=task.name))}$"):
        task.solve(prompt)


@pytest.mark.parametrize(
    ("task", "prompt", "count", "end"),
    [
        (Increment(), "012=", 3, "begin"),
        (Increment("reversed"), "210=", 3, "end"),
        (Increment("reversed"), "00=", 2, "end"),
        (DigitSuccessor(), "00=", 2, "begin"),
    ],
    ids=str,
)
def test_solve_refuses_leading_zeros(task: DigitTask, prompt: str, count: int, end: str) -> None:
    expected = LEADING.format(prompt=prompt, count=count, end=end)
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        task.solve(prompt)
