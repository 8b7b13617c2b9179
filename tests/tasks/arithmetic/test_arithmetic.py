"""Tasks on two numbers: the sampler against `solve`, cases worked out by hand, the law of the operands, the errors."""

import re
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks import Batch, InvalidValueError, Member
from tasks.arithmetic import CarryOnly, CopyFirst, MultiplyCot, NoCarry, ReverseAdd, ReverseSubtract
from tasks.arithmetic.operands import OperandTask

ADDITIONS = [ReverseAdd(), NoCarry(), CarryOnly(), CopyFirst()]
ALL: list[OperandTask] = [*ADDITIONS, ReverseSubtract(), MultiplyCot()]
PARSED = re.compile(r"([0-9]+)([+*-])([0-9]+)=")

# The paper's own examples first (shared/PAPERS.md: a = 567, b = 89), then zeros, nines and unequal lengths.
BY_HAND: list[tuple[OperandTask, str, str]] = [
    # 567 + 89 = 656.
    (ReverseAdd(), "765+98=", "6560"),
    # 0 + 0 = 0 in two digits; 9 + 9 = 18; 999 + 1 = 1000; 1 + 999; 999 + 999 = 1998; 0 + 10 = 10; 100 + 900 = 1000.
    (ReverseAdd(), "0+0=", "00"),
    (ReverseAdd(), "9+9=", "81"),
    (ReverseAdd(), "999+1=", "0001"),
    (ReverseAdd(), "1+999=", "0001"),
    (ReverseAdd(), "999+999=", "8991"),
    (ReverseAdd(), "0+01=", "010"),
    (ReverseAdd(), "001+009=", "0001"),
    # 7 + 9 = 16, 6 + 8 = 14, 5 + 0 = 5: 6, 4, 5, then the 0.
    (NoCarry(), "765+98=", "6450"),
    (NoCarry(), "0+0=", "00"),
    (NoCarry(), "9+9=", "80"),
    (NoCarry(), "999+1=", "0990"),
    (NoCarry(), "1+999=", "0990"),
    (NoCarry(), "555+555=", "0000"),
    # None into the ones; 16 into the tens; 14 + 1 into the hundreds; 5 + 1 into the thousands none.
    (CarryOnly(), "765+98=", "0110"),
    (CarryOnly(), "0+0=", "00"),
    (CarryOnly(), "9+9=", "01"),
    (CarryOnly(), "999+1=", "0111"),
    (CarryOnly(), "1+999=", "0111"),
    (CarryOnly(), "999+0=", "0000"),
    (CarryOnly(), "54+54=", "010"),
    (CopyFirst(), "765+98=", "765"),
    (CopyFirst(), "0+0=", "0"),
    (CopyFirst(), "9+99=", "9"),
    (CopyFirst(), "001+9=", "001"),
    # 567 - 89 = 478; 89 - 567 = -478.
    (ReverseSubtract(), "765-98=", "8740"),
    (ReverseSubtract(), "98-765=", "874-"),
    # Equal numbers: 0 in so many digits, no sign; 1000 - 999 = 1; 999 - 1000 = -1; 0 - 9 = -9; 100 - 1 = 99.
    (ReverseSubtract(), "765-765=", "0000"),
    (ReverseSubtract(), "0-0=", "00"),
    (ReverseSubtract(), "0001-999=", "10000"),
    (ReverseSubtract(), "999-0001=", "1000-"),
    (ReverseSubtract(), "0-9=", "9-"),
    (ReverseSubtract(), "001-1=", "9900"),
    # 567 * 891: 567 * 1 = 567; 567 * 9 = 5103, one place up; 567 * 8 = 4536, two places up; 505197 in all.
    (MultiplyCot(), "765*198=", "765+03015+006354=791505"),
    # 67 * 31: 67; 67 * 3 = 201, one place up; 2077. 67 * 1 = 67 in three digits.
    (MultiplyCot(), "76*13=", "76+0102=7702"),
    (MultiplyCot(), "76*1=", "76=760"),
    # 5 * 0 = 0; 0 * 321 = 0 three times, in four digits; 5 * 204: 20, then 0, then 10; 99 * 99 = 891 + 8910 = 9801.
    (MultiplyCot(), "5*0=", "0=00"),
    (MultiplyCot(), "0*123=", "0+00+000=0000"),
    (MultiplyCot(), "5*402=", "02+00+0001=0201"),
    (MultiplyCot(), "99*99=", "198+0198=1089"),
    # 99 * 1 has fewer digits than 2 + 1; 25 * 4 = 100; 10 * 100: 0 is 0 in any place.
    (MultiplyCot(1), "99*1=", "99=990"),
    (MultiplyCot(1), "52*4=", "001=001"),
    (MultiplyCot(), "01*001=", "0+00+0001=00010"),
    # "Multiply by 3": 14 * 3 = 42; 567 * 3 = 1701.
    (MultiplyCot(1, 3), "41*3=", "24=240"),
    (MultiplyCot(1, 3), "765*3=", "1071=1071"),
]

# Nine digits in one place: 2 * 123456789, the partial products 18, 16, 14, ... 2 (reversed 81, 61, 41, 21, 01, 8, ...),
# each a place further up; together 246913578.
NINE_DIGITS = (
    MultiplyCot(9),
    "2*987654321=",
    "81+061+0041+00021+000001+000008+0000006+00000004+000000002=8753196420",
)


def truth(task: OperandTask, first: int, second: int, places: int) -> str:
    """The answer in integers: `places` are the digits of the longer operand."""
    match task:
        case ReverseAdd():
            return reverse(first + second, places + 1)
        case NoCarry():
            return "".join(str((digit(first, at) + digit(second, at)) % 10) for at in range(places)) + "0"
        case CarryOnly():
            # What the digit of the sum has beyond the two digits' own sum.
            total = first + second
            return "".join(
                str((digit(total, at) - digit(first, at) - digit(second, at)) % 10) for at in range(places + 1)
            )
        case CopyFirst():
            return reverse(first, 1)
        case ReverseSubtract():
            return reverse(abs(first - second), places) + ("-" if first < second else "0")
        case _:
            raise AssertionError


def digit(number: int, place: int) -> int:
    return number // 10**place % 10


def reverse(number: int, places: int) -> str:
    return "".join(reversed(f"{number:0{places}d}"))


def check_rows(task: OperandTask, batch: Batch, lengths: list[int]) -> list[tuple[str, str]]:
    """Every row is a prompt of its length with `solve`'s answer, filled up with [EOS], rightly scored; its operands."""
    operands = []
    assert batch.tokens.dtype == torch.int64
    for row, marks, length in zip(batch.tokens.tolist(), batch.scored.tolist(), lengths, strict=True):
        pieces = [task.vocabulary.tokens[place] for place in row]
        prompt = "".join(pieces[1 : pieces.index("=") + 1])
        parsed = PARSED.fullmatch(prompt)
        assert parsed
        assert parsed[2] == task.sign
        operands.append((parsed[1], parsed[3]))
        assert length == (len(parsed[1]) if task.name == "multiply_cot" else max(len(parsed[1]), len(parsed[3])))
        assert all(len(number) == 1 or number[-1] != "0" for number in operands[-1])
        answer = task.solve(prompt)
        rest = len(pieces) - 2 - len(prompt) - len(answer)
        assert pieces == [task.marker, *prompt, *answer, "[EOS]"] + ["[EOS]"] * rest
        assert marks == [False] * (1 + len(prompt)) + [True] * (len(answer) + 1) + [False] * rest
    return operands


# --------------------------------------------------------------------------------------------- sampler against `solve`

LENGTHS = st.one_of(
    st.integers(1, 70).map(lambda length: [length] * 8), st.lists(st.integers(1, 70), min_size=8, max_size=12)
)


@pytest.mark.parametrize("task", [*ADDITIONS, ReverseSubtract()], ids=repr)
@settings(max_examples=130)
@given(lengths=LENGTHS, seed=st.integers(0, 2**32), stream=st.sampled_from(["all", "train", "test"]))
def test_sampler_agrees_with_solve(task: OperandTask, lengths: list[int], seed: int, stream: Any) -> None:
    # 130 batches of 8 and more examples for each task, about half of them of mixed lengths.
    check_rows(task, draw(task, lengths, seed=seed, stream=stream), lengths)


@settings(max_examples=150)
@given(data=st.data(), lengths=LENGTHS, seed=st.integers(0, 2**32), stream=st.sampled_from(["all", "train", "test"]))
def test_multiplication_agrees_with_solve(data: st.DataObject, lengths: list[int], seed: int, stream: Any) -> None:
    digits = data.draw(st.integers(1, 9))
    drawn = st.integers(10 ** (digits - 1), 10**digits - 1)
    task = MultiplyCot(digits, data.draw(st.one_of(st.just(0), drawn)))
    operands = check_rows(task, draw(task, lengths, seed=seed, stream=stream), lengths)
    for _, second in operands:
        assert len(second) <= digits if stream == "train" else len(second) == digits
        assert not task.fixed or second[::-1] == str(task.fixed)


def draw(task: OperandTask, lengths: list[int], *, seed: int, stream: Any = "all") -> Batch:
    generator = torch.Generator().manual_seed(seed)
    if len(set(lengths)) == 1:
        return task.sample(len(lengths), length=lengths[0], generator=generator, stream=stream)
    return task.sample(len(lengths), length=torch.tensor(lengths), generator=generator, stream=stream)


@pytest.mark.parametrize("task", [*ALL, MultiplyCot(9), MultiplyCot(2, 99)], ids=repr)
def test_greatest_length(task: OperandTask) -> None:
    check_rows(task, draw(task, [4096] * 2, seed=1), [4096] * 2)
    check_rows(task, draw(task, [4096, 3], seed=1, stream="train"), [4096, 3])


@pytest.mark.parametrize("task", ADDITIONS, ids=repr)
def test_long_carries(task: OperandTask) -> None:
    # No random prompt has them: one through all places, two that meet, one that a short operand begins.
    nines, halves = "9" * 600, "45" * 300
    prompts = [f"{nines}+1=", f"{nines}+{nines}=", f"{halves}+{halves}=", f"5{nines}+5=", f"{halves}4+{halves}6="]
    check_rows(task, task.examples(prompts), [600, 600, 600, 601, 601])


@pytest.mark.parametrize("task", [*ALL, MultiplyCot(1, 7)], ids=repr)
def test_no_examples(task: OperandTask) -> None:
    for stream in ("all", "train", "test"):
        assert len(task.sample(0, length=2, generator=torch.Generator(), stream=stream)) == 0
        assert len(task.sample(0, length=torch.tensor([]).long(), generator=torch.Generator(), stream=stream)) == 0
    assert len(task.examples([])) == 0


# --------------------------------------------------------------------------------------------------- `solve` and cases


@pytest.mark.parametrize(("task", "prompt", "answer"), [*BY_HAND, NINE_DIGITS], ids=str)
def test_case_by_hand(task: OperandTask, prompt: str, answer: str) -> None:
    assert task.solve(prompt) == answer
    batch = task.examples([prompt])
    assert task.vocabulary.decode(batch.tokens[0]) == f"[{task.name}]{prompt}{answer}[EOS]"
    assert task.prompt_and_answer(task.vocabulary.decode(batch.tokens[0])) == (prompt, answer)


def test_cases_by_hand_in_one_batch() -> None:
    for task in {case[0] for case in BY_HAND}:
        prompts = [case[1] for case in BY_HAND if case[0] == task]
        answers = [case[2] for case in BY_HAND if case[0] == task]
        texts = [task.vocabulary.decode(row) for row in task.examples(prompts).tokens]
        assert [task.prompt_and_answer(text) for text in texts] == list(zip(prompts, answers, strict=True))


@pytest.mark.parametrize("task", [*ADDITIONS, ReverseSubtract()], ids=repr)
@settings(max_examples=100)
@given(first=st.integers(0, 10**40), second=st.one_of(st.integers(0, 10**40), st.integers(0, 10**4)))
def test_solve_is_integer_arithmetic(task: OperandTask, first: int, second: int) -> None:
    prompt = f"{reverse(first, 1)}{task.sign}{reverse(second, 1)}="
    assert task.solve(prompt) == truth(task, first, second, max(len(str(first)), len(str(second))))


@settings(max_examples=100)
@given(first=st.integers(0, 10**40), second=st.integers(0, 999))
def test_partial_products_sum_to_the_product(first: int, second: int) -> None:
    answer = MultiplyCot().solve(f"{reverse(first, 1)}*{reverse(second, 1)}=")
    partial, result = answer.split("=")
    assert len(result) == len(str(first)) + len(str(second))
    assert int(result[::-1]) == first * second == sum(int(piece[::-1]) for piece in partial.split("+"))
    for place, piece in enumerate(partial.split("+")):
        assert piece == "0" * place + reverse(first * digit(second, place), 1)


@pytest.mark.parametrize("task", [*ADDITIONS, ReverseSubtract()], ids=repr)
def test_every_short_prompt(task: OperandTask) -> None:
    pairs = list(product([*range(40), *range(85, 105)], repeat=2))
    prompts = [f"{reverse(a, 1)}{task.sign}{reverse(b, 1)}=" for a, b in pairs]
    lengths = [max(len(str(a)), len(str(b))) for a, b in pairs]
    expected = [truth(task, a, b, places) for (a, b), places in zip(pairs, lengths, strict=True)]
    assert [task.solve(prompt) for prompt in prompts] == expected
    check_rows(task, task.examples(prompts), lengths)


def test_every_short_product() -> None:
    pairs = [(a, b) for a, b in product(range(30), range(120)) if b < 30 or b >= 95]
    prompts = [f"{reverse(a, 1)}*{reverse(b, 1)}=" for a, b in pairs]
    check_rows(MultiplyCot(), MultiplyCot().examples(prompts), [len(str(a)) for a, _ in pairs])


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_examples_in_docstring_and_summary_are_solved(task: OperandTask) -> None:
    text = f"{type(task).__doc__} {task.summary}".replace("`", "")
    examples = re.findall(r"([0-9]+[-+*][0-9]+=) -> ([-+=0-9]+)", text)
    assert len(examples) >= (1 if task.name == "copy_first" else 2)
    assert all(task.solve(prompt) == answer for prompt, answer in examples)
    assert re.fullmatch(r"\S+= -> \S+: \S.+", task.summary)


@pytest.mark.parametrize("module", ["addition", "subtraction", "multiplication"])
def test_docstring_draws_what_the_sampler_makes(module: str) -> None:
    tasks = {task.marker: task for task in ALL}
    text = sys.modules[f"tasks.arithmetic.{module}"].__doc__ or ""
    drawn = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["tokens"]]
    (marks,) = (line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["scored"])
    assert len(drawn) == sum(type(task).__module__.endswith(module) for task in ALL)
    for place, row in enumerate(drawn):
        pieces = row[: row.index("[EOS]") + 1]
        task = tasks[pieces[0]]
        batch = task.examples(["".join(pieces[1 : pieces.index("=") + 1])])
        assert list(task.vocabulary.split(batch.tokens[0])) == pieces
        assert place or batch.scored[0].tolist() == [mark == "x" for mark in marks]


def test_vocabulary_and_prompt_space() -> None:
    assert ReverseAdd().vocabulary.tokens == (*"0123456789", "+", "=", "[EOS]", "[reverse_add]")
    assert ReverseSubtract().vocabulary.tokens == (*"0123456789", "-", "=", "[EOS]", "[reverse_subtract]")
    assert MultiplyCot().vocabulary.tokens == (*"0123456789", "*", "+", "=", "[EOS]", "[multiply_cot]")
    # 10 * 10 pairs of one-digit numbers; 90 * 90; 900 * 900. Products: with 900 numbers of three digits, or with one.
    assert [ReverseAdd().prompt_space(length) for length in (1, 2, 3)] == [100, 8100, 810000]
    assert [MultiplyCot().prompt_space(length) for length in (1, 2)] == [9000, 81000]
    assert [MultiplyCot(1).prompt_space(length) for length in (1, 2)] == [100, 900]
    assert [MultiplyCot(3, 999).prompt_space(length) for length in (1, 2)] == [10, 90]
    assert [task.divided_from for task in ALL] == [2, 2, 2, 2, 2, 1]
    assert [MultiplyCot(1).divided_from, MultiplyCot(1, 3).divided_from] == [3, 4]


# ------------------------------------------------------------------------------------------------- the law of operands


def operands(task: OperandTask, lengths: int | torch.Tensor, *, n: int, seed: int, stream: Any) -> list[list[str]]:
    """The two numbers of each example drawn."""
    generator = torch.Generator().manual_seed(seed)
    rows = task.sample(n, length=lengths, generator=generator, stream=stream).tokens
    texts = ("".join(task.vocabulary.split(row)) for row in rows)
    return [text[len(task.marker) : text.index("=")].split(task.sign) for text in texts]


def counts_of(values: list[Any], cells: list[Any]) -> list[int]:
    """How often each cell occurs; nothing else may occur."""
    counted = Counter(values)
    assert counted.keys() <= set(cells)
    return [counted[cell] for cell in cells]


@pytest.mark.parametrize("longest", [2, 6])
@pytest.mark.parametrize("task", [ReverseAdd(), ReverseSubtract()], ids=repr)
def test_lengths_in_training_are_independent_and_uniform(task: OperandTask, longest: int) -> None:
    quantiles = torch.rand(9000, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    lengths = Member(task, longest).lengths_at(quantiles)
    pairs = operands(task, lengths, n=9000, seed=5, stream="train")
    assert [max(map(len, pair)) for pair in pairs] == lengths.tolist()
    cells = list(product(range(1, longest + 1), repeat=2))
    counts = counts_of([(len(first), len(second)) for first, second in pairs], cells)
    assert chisquare(counts).pvalue > 1e-3


def test_lengths_of_factors_in_training_are_independent_and_uniform() -> None:
    task = MultiplyCot(4)
    quantiles = torch.rand(9000, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    lengths = Member(task, 6).lengths_at(quantiles)
    pairs = operands(task, lengths, n=9000, seed=7, stream="train")
    cells = list(product(range(1, 7), range(1, 5)))
    assert chisquare(counts_of([(len(first), len(second)) for first, second in pairs], cells)).pvalue > 1e-3


@pytest.mark.parametrize("stream", ["all", "test"])
@pytest.mark.parametrize("task", [*ALL, MultiplyCot(2), MultiplyCot(2, 31)], ids=repr)
def test_lengths_in_tests_are_exact(task: OperandTask, stream: Any) -> None:
    for length in (1, 2, 9):
        second = task.digits if isinstance(task, MultiplyCot) else length
        pairs = operands(task, length, n=100, seed=8, stream=stream)
        assert {(len(one), len(other)) for one, other in pairs} == {(length, second)}


@pytest.mark.parametrize("stream", ["all", "train", "test"])
@pytest.mark.parametrize("task", [CarryOnly(), MultiplyCot()], ids=repr)
def test_digits_are_uniform(task: OperandTask, stream: Any) -> None:
    pairs = operands(task, 4, n=6000, seed=9, stream=stream)
    for which in (0, 1):
        for length in {len(pair[which]) for pair in pairs}:
            numbers = [pair[which] for pair in pairs if len(pair[which]) == length]
            for place in range(length):
                cells = list("0123456789" if place < length - 1 or length == 1 else "123456789")
                assert chisquare(counts_of([number[place] for number in numbers], cells)).pvalue > 1e-3


def test_all_pairs_of_two_digit_numbers_are_equally_likely() -> None:
    # 90 * 90 pairs, about 3 of each, in 90 cells by their sum modulo 90 (any pair's second number decides it).
    pairs = operands(ReverseAdd(), 2, n=25000, seed=10, stream="all")
    sums = [(int(first[::-1]) + int(second[::-1])) % 90 for first, second in pairs]
    assert chisquare(counts_of(sums, list(range(90)))).pvalue > 1e-3
    assert len({tuple(pair) for pair in pairs}) > 7600  # 8,100 (1 - e^-3.09) = 7,730 on average


def test_the_fixed_operand_is_the_only_one() -> None:
    for stream in ("all", "train", "test"):
        assert {second for _, second in operands(MultiplyCot(2, 30), 4, n=200, seed=11, stream=stream)} == {"03"}


def chain_lengths(first: str, second: str) -> list[int]:
    """How far the carry that arises at each place runs, 0 where none does, by a loop over the digits."""
    sums = [int(one) + int(other) for one, other in zip(first, second, strict=True)]
    lengths = []
    for place, total in enumerate(sums):
        run = 0
        if total >= 10:
            run = 1
            while place + run < len(sums) and sums[place + run] == 9:
                run += 1
        lengths.append(run)
    return lengths


@pytest.mark.parametrize("stream", ["all", "test"])
def test_carry_chains_are_those_of_random_digits(stream: Any) -> None:
    chains = [chain_lengths(*pair) for pair in operands(ReverseAdd(), 4, n=25000, seed=12, stream=stream)]
    # Of the 100 pairs of digits 45 sum to 10 and more, 10 to 9. Of the 81 pairs without 0, at the last place, 45 and 8.
    begins = [0.55, 0.45 * 0.9, 0.45 * 0.1 * 0.9, 0.45 * 0.01 * 73 / 81, 0.45 * 0.01 * 8 / 81]
    check_frequencies([row[0] for row in chains], begins)
    check_frequencies([row[1] for row in chains], [0.55, 0.45 * 0.9, 0.45 * 0.1 * 73 / 81, 0.45 * 0.1 * 8 / 81])
    check_frequencies([row[3] for row in chains], [36 / 81, 45 / 81])
    # Carries into places 1 to 4: each place passes on its own or, of sum 9, the one it gets.
    carried = [carries_of(row) for row in chains]
    for place, share in enumerate([0.45, 0.495, 0.4995, (45 + 8 * 0.4995) / 81], start=1):
        check_frequencies([row[place] for row in carried], [1 - share, share])


def carries_of(chains: list[int]) -> list[int]:
    """The carry into each place, from the chains that begin before it."""
    places = range(len(chains) + 1)
    return [int(any(at < place <= at + run for at, run in enumerate(chains))) for place in places]


def check_frequencies(values: list[int], shares: list[float]) -> None:
    expected = [share * len(values) for share in shares]
    assert chisquare(counts_of(values, list(range(len(shares)))), expected).pvalue > 1e-3


# -------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("task", [ReverseAdd(), ReverseSubtract(), MultiplyCot(), MultiplyCot(1, 3)], ids=repr)
def test_streams_are_disjoint(task: OperandTask) -> None:
    length = task.divided_from
    tested = {tuple(pair) for pair in operands(task, length, n=1000, seed=13, stream="test")}
    trained = {tuple(pair) for pair in operands(task, length, n=20000, seed=14, stream="train")}
    assert tested
    assert not tested & trained


def test_additions_are_tested_on_the_same_prompts_that_none_is_trained_on() -> None:
    tested = {tuple(pair) for pair in operands(ReverseAdd(), 2, n=2000, seed=15, stream="test")}
    for task in ADDITIONS[1:]:
        assert not tested & {tuple(pair) for pair in operands(task, 2, n=9000, seed=16, stream="train")}
        assert tested == {tuple(pair) for pair in operands(task, 2, n=2000, seed=15, stream="test")}


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_same_seed_same_prompts_other_seed_others(task: OperandTask) -> None:
    for stream in ("all", "train", "test"):
        same = [draw(task, [9] * 20, seed=seed, stream=stream).tokens for seed in (1, 1, 2)]
        assert torch.equal(same[0], same[1])
        assert not torch.equal(same[0], same[2])


# --------------------------------------------------------------------------------------------------------------- errors


def refuses(call: Callable[[], object], expected: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        call()


@pytest.mark.parametrize("task", ALL, ids=repr)
@pytest.mark.parametrize(
    "prompt",
    ["", "=", "{s}=", "1{s}=", "{s}1=", "1{s}1", "11=", "1{s}1=2", "1{s}1{s}1=", "a{s}1=", "1:1=", "1 {s}1=", "1{s}٣="],
)
def test_solve_refuses_what_is_no_prompt(task: OperandTask, prompt: str) -> None:
    prompt = prompt.format(s=task.sign)
    expected = f"{prompt!r} is no prompt of {task.name!r}; one looks like 765{task.sign}98="
    refuses(lambda: task.solve(prompt), expected)
    refuses(lambda: task.examples([prompt]), expected)


@pytest.mark.parametrize("task", ALL, ids=repr)
@pytest.mark.parametrize(("first", "second", "wrong"), [("10", "1", "10"), ("1", "00", "00"), ("0", "760", "760")])
def test_solve_refuses_leading_zeros(task: OperandTask, first: str, second: str, wrong: str) -> None:
    prompt = f"{first}{task.sign}{second}="
    expected = f"{prompt!r} is no prompt of {task.name!r}: {wrong!r}, written backwards, has a leading zero"
    refuses(lambda: task.solve(prompt), expected)


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_impossible_lengths_are_refused(task: OperandTask) -> None:
    expected = "length {} is not possible for task {!r}; allowed are 1 to 4096"
    for length in (0, 4097):
        text = expected.format(length, task.name)
        refuses(lambda length=length: task.sample(1, length=length, generator=torch.Generator()), text)
    for length in (4097, 5000):  # beyond 4,300 digits Python would refuse the number itself
        refuses(lambda length=length: task.solve("1" * length + f"{task.sign}1="), expected.format(length, task.name))


@pytest.mark.parametrize(
    ("task", "prompt", "has"),
    [
        (MultiplyCot(), "765*1111=", "1 to 3 digits"),
        (MultiplyCot(1), "765*98=", "1 to 1 digits"),
        (MultiplyCot(1, 3), "765*4=", "the operand '3'"),
        (MultiplyCot(2, 30), "765*3=", "the operand '03'"),
        (MultiplyCot(2, 30), "765*033=", "the operand '03'"),
    ],
    ids=str,
)
def test_solve_refuses_other_second_operands(task: MultiplyCot, prompt: str, has: str) -> None:
    refuses(lambda: task.solve(prompt), f"{prompt!r} is no prompt of 'multiply_cot': behind '*' it has {has}")


@pytest.mark.parametrize("digits", [-1, 0, 10, 2.0, "3"])
def test_impossible_digits_are_refused(digits: Any, unchecked: None) -> None:
    expected = f"digits = {digits!r} is not possible for 'multiply_cot'; allowed are 1 to 9"
    refuses(lambda: MultiplyCot(digits), expected)


@pytest.mark.parametrize(("digits", "fixed"), [(3, 3), (1, 10), (2, 9), (3, -100), (3, 100.0), (3, "100")])
def test_impossible_fixed_operand_is_refused(digits: int, fixed: Any, unchecked: None) -> None:
    expected = (
        f"fixed = {fixed!r} is not possible for 'multiply_cot' with digits = {digits}; "
        f"allowed are 0 (drawn) and numbers of {digits} digits"
    )
    refuses(lambda: MultiplyCot(digits, fixed), expected)
