"""Counterfactuals of the tasks on two numbers: prompts like the first ones, other answers, no more changed than needed.

What a change of kind `carry` or `digit` may do is checked on the digit strings, by a loop.
"""

import re
from itertools import product
from typing import Any

import pytest
import torch

from tasks import InvalidValueError, Pair, UnknownNameError
from tasks.arithmetic import CarryOnly, CopyFirst, MultiplyCot, NoCarry, ReverseAdd, ReverseSubtract
from tasks.arithmetic.operands import OperandTask
from tests.tasks.prompts import accepts

ADDITIONS = [ReverseAdd(), NoCarry(), CarryOnly(), CopyFirst()]
KINDS: list[tuple[OperandTask, str]] = [
    *((task, change) for task in ADDITIONS for change in task.changes),
    *((task, "any") for task in (ReverseSubtract(), MultiplyCot(), MultiplyCot(2), MultiplyCot(2, 37))),
]


def prompts_of(task: OperandTask, tokens: torch.Tensor) -> list[str]:
    return [task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in tokens]


def chains(prompt: str) -> dict[int, int]:
    """The carry chains of an addition: where each begins, and into how many places it runs."""
    first, second = prompt.removesuffix("=").split("+")
    places = max(len(first), len(second))
    pairs = zip(first.ljust(places, "0"), second.ljust(places, "0"), strict=True)
    sums = [int(one) + int(other) for one, other in pairs] + [0]
    found = {}
    for place, total in enumerate(sums):
        if total >= 10:
            found[place] = 1
            while sums[place + found[place]] == 9:
                found[place] += 1
    return found


def carried(prompt: str) -> set[int]:
    """The places that receive a carry."""
    return {place + step for place, run in chains(prompt).items() for step in range(1, run + 1)}


def fits(task: OperandTask, first: str, second: str, change: str) -> bool:
    """Whether the second prompt is a counterfactual of that kind to the first, with an answer as long."""
    try:
        one, other = task.solve(first), task.solve(second)
    except InvalidValueError:
        return False
    if [len(part) for part in first.split(task.sign)] != [len(part) for part in second.split(task.sign)]:
        return False
    if one == other or len(one) != len(other):
        return False
    if change == "digit":
        return carried(first) == carried(second)
    return change == "any" or len(chains(first).items() ^ chains(second).items()) == 1


def neighbours(prompt: str) -> list[str]:
    """All texts that differ from a prompt in one digit."""
    places = [place for place, symbol in enumerate(prompt) if symbol.isdigit()]
    return [prompt[:place] + new + prompt[place + 1 :] for place in places for new in "0123456789"]


def distance(first: str, second: str) -> int:
    return sum(one != other for one, other in zip(first, second, strict=True))


def check_pair(task: OperandTask, pair: Pair, *, change: str = "any") -> list[int]:
    """Every changed prompt fits, and where two digits are changed, one does not suffice; how many are changed."""
    clean, changed = prompts_of(task, pair.clean.tokens), prompts_of(task, pair.counterfactual.tokens)
    apart = [distance(first, second) for first, second in zip(clean, changed, strict=True)]
    for first, second, row, count in zip(clean, changed, pair.counterfactual.tokens, apart, strict=True):
        assert fits(task, first, second, change)
        assert task.vocabulary.decode(row).startswith(f"{task.marker}{second}{task.solve(second)}[EOS]")
        assert count == 1 or not any(fits(task, first, other, change) for other in neighbours(first))
    assert pair.changed.sum(dim=1).tolist() == apart
    assert bool(pair.differs.any(dim=1).all())
    return apart


def test_this_file_s_own_loop() -> None:
    # 567 + 89: 16, 14, 5: two chains of one. 999 + 1: one of three. 45 + 54: sums 9, 9. 5 + 5: out of the last place.
    assert chains("765+98=") == {0: 1, 1: 1}
    assert chains("999+1=") == {0: 3}
    assert chains("54+45=") == {}
    assert chains("5+5=") == {0: 1}
    assert carried("999+1=") == {1, 2, 3}
    assert fits(CarryOnly(), "999+1=", "999+0=", "carry")
    assert not fits(CarryOnly(), "999+1=", "989+1=", "carry")
    assert not fits(ReverseAdd(), "999+1=", "989+1=", "digit")
    assert fits(ReverseAdd(), "765+98=", "764+98=", "digit")
    assert not fits(ReverseAdd(), "765+98=", "760+98=", "digit")


@pytest.mark.parametrize(("task", "change"), KINDS, ids=repr)
def test_all_lengths(task: OperandTask, change: str) -> None:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.arange(160) % 40 + 1
    batch = task.sample(160, length=lengths, generator=generator)
    if isinstance(task, CarryOnly) or change == "carry":
        # One prompt in a hundred of length 1 needs two digits, and some of length 2.
        assert max(check_pair(task, task.counterfactual(batch, generator=generator, change=change), change=change)) <= 2
    else:
        pair = task.counterfactual(batch, generator=generator, change=change)
        apart = check_pair(task, pair, change=change)
        assert isinstance(task, MultiplyCot) or apart == [1] * 160


@pytest.mark.parametrize(("task", "change"), [case for case in KINDS if case[0] in (*ADDITIONS, ReverseSubtract())])
def test_unequal_operands(task: OperandTask, change: str) -> None:
    # With a short operand few digits can alter a carry, or the copy of the first operand.
    generator = torch.Generator().manual_seed(2)
    lengths = torch.arange(160) % 40 + 1
    batch = task.sample(160, length=lengths, generator=generator, stream="train")
    check_pair(task, task.counterfactual(batch, generator=generator, change=change), change=change)
    sign = task.sign
    for prompt in ["1" * 400 + f"{sign}5=", f"5{sign}" + "1" * 400 + "=", "9" * 400 + f"{sign}1=", f"9{sign}1="]:
        pair = task.counterfactual(task.examples([prompt] * 3), generator=generator, change=change)
        # Another first operand than 9 or 99...9 loses a carry of + 1, unless the second changes with it.
        two = task == CopyFirst() and change == "digit" and prompt[0] == "9"
        assert check_pair(task, pair, change=change) == [2 if two else 1] * 3


def test_factors_of_unequal_length() -> None:
    # A second operand of 0 needs a longer answer; see below.
    task, generator = MultiplyCot(), torch.Generator().manual_seed(3)
    batch = task.sample(200, length=torch.arange(200) % 40 + 1, generator=generator, stream="train")
    prompts = [prompt for prompt in prompts_of(task, batch.tokens) if not prompt.endswith("*0=")]
    check_pair(task, task.counterfactual(task.examples(prompts), generator=generator))


@pytest.mark.parametrize(
    ("task", "change"), [case for case in KINDS if case[0].sign != "*"] + [(MultiplyCot(1), "any")], ids=repr
)
def test_fewest_changes_of_all_one_digit_prompts(task: OperandTask, change: str) -> None:
    prompts = [f"{first}{task.sign}{second}=" for first, second in product(range(10), repeat=2)]
    least = [
        min(distance(first, second) for second in prompts if fits(task, first, second, change)) for first in prompts
    ]
    assert set(least) <= {1, 2}
    pair = task.counterfactual(task.examples(prompts * 3), generator=torch.Generator().manual_seed(4), change=change)
    assert check_pair(task, pair, change=change) == least * 3


@pytest.mark.parametrize("change", ["any", "carry"])
def test_two_zeros_need_two_digits_for_a_carry(change: str) -> None:
    # 0 + b has no carry: both must be replaced, by two that sum to 10 or more.
    pair = CarryOnly().counterfactual(
        CarryOnly().examples(["0+0="] * 50), generator=torch.Generator().manual_seed(5), change=change
    )
    assert check_pair(CarryOnly(), pair, change=change) == [2] * 50
    for prompt in prompts_of(CarryOnly(), pair.counterfactual.tokens):
        assert int(prompt[0]) + int(prompt[2]) >= 10


@pytest.mark.parametrize(("task", "change"), [case for case in KINDS if case[0] in ADDITIONS], ids=repr)
def test_fewest_changes_of_prompts_of_two_digits_and_one(task: OperandTask, change: str) -> None:
    # Every second of the 900 prompts; one change suffices wherever a neighbour fits.
    prompts = [f"{low}{high}+{other}=" for high, low, other in product(range(1, 10), range(10), range(10))][::2]
    pair = task.counterfactual(task.examples(prompts), generator=torch.Generator().manual_seed(6), change=change)
    assert set(check_pair(task, pair, change=change)) <= {1, 2}


# ------------------------------------------------------------------------------------------------------ marks, by hand


def test_marks_of_one_pair() -> None:
    # 567 + 89 = 656 and 567 + 81 = 648: the 9 of the ones becomes 1, and the sums differ in ones and tens.
    #   [reverse_add]  7  6  5  +  9  8  =  6  5  6  0  [EOS]
    #   [reverse_add]  7  6  5  +  1  8  =  8  4  6  0  [EOS]
    examples = ReverseAdd().examples(["765+98=", "765+18="])
    pair = Pair(examples[:1], examples[1:])
    assert pair.changed.int().tolist() == [[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert pair.differs.int().tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]]


def test_carry_by_hand() -> None:
    # 99 + 1: one chain of two. It goes if the 1 becomes 0, or the first 9 becomes less than 9 (8 + 1 = 9 begins none);
    # the second 9 would only cut it. So the answer, the carries 011, becomes 000.
    #   [carry_only]  9  9  +  1  =  0  1  1  [EOS]
    task = CarryOnly()
    pair = task.counterfactual(
        task.examples(["99+1="] * 60), generator=torch.Generator().manual_seed(7), change="carry"
    )
    found = set(prompts_of(task, pair.counterfactual.tokens))
    assert found <= {"99+0=", *(f"{first}9+1=" for first in range(9))}
    assert len(found) >= 3
    assert pair.differs.int().tolist() == [[0, 0, 0, 0, 0, 0, 0, 1, 1, 0]] * 60
    places = {tuple(row) for row in pair.changed.int().tolist()}
    assert places == {(0, 1, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0, 0, 0, 0, 0)}


def test_digit_by_hand() -> None:
    # 5 + 4 = 9, no carry: 5 may become 0 to 4, and 4 may become 0 to 3; so the sum is 4 to 8. With 6 the 4 has a carry.
    #   [reverse_add]  5  +  4  =  9  0  [EOS]
    task = ReverseAdd()
    pair = task.counterfactual(
        task.examples(["5+4="] * 300), generator=torch.Generator().manual_seed(8), change="digit"
    )
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {
        *(f"{first}+4=" for first in range(5)),
        *(f"5+{second}=" for second in range(4)),
    }
    assert pair.differs.int().tolist() == [[0, 0, 0, 0, 0, 1, 0, 0]] * 300
    assert {tuple(row) for row in pair.changed.int().tolist()} == {(0, 1, 0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0, 0, 0)}


def test_copy_by_hand() -> None:
    # The copied 5 becomes any other digit, and the second operand stays. `digit`: 4 + b with no carry, so 0 to 5.
    task, generator = CopyFirst(), torch.Generator().manual_seed(9)
    pair = task.counterfactual(task.examples(["5+4="] * 300), generator=generator)
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {f"{first}+4=" for first in "012346789"}
    assert pair.differs.int().tolist() == [[0, 0, 0, 0, 0, 1, 0]] * 300
    pair = task.counterfactual(task.examples(["5+4="] * 300), generator=generator, change="digit")
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {f"{first}+4=" for first in "01234"}
    pair = task.counterfactual(task.examples(["5+4="] * 300), generator=generator, change="carry")
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {f"{first}+4=" for first in "6789"}


def test_subtraction_by_hand() -> None:
    # 1 - 1 = 00. 1 - b: 1 (10) or -1 to -8 (1- to 8-); a - 1: 1 to 8 (10 to 80), or 0 - 1 = -1 (1-).
    task = ReverseSubtract()
    pair = task.counterfactual(task.examples(["1-1="] * 300), generator=torch.Generator().manual_seed(10))
    others = "023456789"
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {
        *(f"1-{b}=" for b in others),
        *(f"{a}-1=" for a in others),
    }
    for marks, changed in zip(pair.differs, prompts_of(task, pair.counterfactual.tokens), strict=True):
        assert marks.int().tolist() == [0, 0, 0, 0, 0, 1, int(int(changed[0]) < int(changed[2])), 0]


def test_multiplication_by_hand() -> None:
    # 3 * 3 = 9, and 90 as the product: one-digit partial products are 0, 3 and 6, and 9 is taken.
    task = MultiplyCot(1)
    pair = task.counterfactual(task.examples(["3*3="] * 100), generator=torch.Generator().manual_seed(11))
    assert set(prompts_of(task, pair.counterfactual.tokens)) == {"0*3=", "1*3=", "2*3=", "3*0=", "3*1=", "3*2="}
    assert pair.differs.int().tolist() == [[0, 0, 0, 0, 0, 1, 0, 1, 0, 0]] * 100


def test_fixed_factor_stays() -> None:
    task, generator = MultiplyCot(2, 37), torch.Generator().manual_seed(12)
    pair = task.counterfactual(task.sample(100, length=6, generator=generator), generator=generator)
    assert all(prompt.endswith("*73=") for prompt in prompts_of(task, pair.counterfactual.tokens))


@pytest.mark.parametrize(("prompt", "digits"), [("76*0=", 1), ("765*0=", 3)])
def test_a_product_with_zero_gets_a_longer_answer(prompt: str, digits: int) -> None:
    # Two digits and more times 0 is 0; times another digit it is longer; another first operand times 0 is 0 again.
    task, answer = MultiplyCot(digits), MultiplyCot(digits).solve(prompt)
    twice = {other for near in neighbours(prompt) for other in neighbours(near) if accepts(task, other)}
    assert all(task.solve(other) == answer or len(task.solve(other)) > len(answer) for other in twice)
    pair = task.counterfactual(task.examples([prompt] * 9), generator=torch.Generator().manual_seed(15))
    # The digit behind `*` alone is changed; the clean batch is filled up behind to the longer answers.
    behind = prompt.index("*") + 1
    assert prompts_of(task, pair.clean.tokens) == [prompt] * 9
    for clean, row in zip(pair.clean.tokens, pair.counterfactual.tokens, strict=True):
        changed, written = task.prompt_and_answer(task.vocabulary.decode(row))
        assert re.fullmatch(f"{re.escape(prompt[:behind])}[1-9]=", changed)
        assert written == task.solve(changed)
        assert re.fullmatch(rf"{re.escape(f'{task.marker}{prompt}{answer}')}(\[EOS\])+", task.vocabulary.decode(clean))
    assert set(pair.changed.nonzero()[:, 1].tolist()) == {behind + 1}


def test_longer_operand_keeps_its_leading_digit() -> None:
    task, generator = CopyFirst(), torch.Generator().manual_seed(13)
    pair = task.counterfactual(task.sample(500, length=2, generator=generator), generator=generator)
    assert all(prompt[1] != "0" != prompt[4] for prompt in prompts_of(task, pair.counterfactual.tokens))


@pytest.mark.parametrize("task", [ReverseAdd(), ReverseSubtract()], ids=repr)
def test_every_digit_may_be_replaced(task: OperandTask) -> None:
    # Operands of one length: each of the 8 digits about equally often, in 4,000 pairs (500 +- 22 each).
    generator = torch.Generator().manual_seed(14)
    pair = task.counterfactual(task.sample(4000, length=4, generator=generator), generator=generator)
    counts = pair.changed.sum(dim=0)
    places = [1, 2, 3, 4, 6, 7, 8, 9]
    assert int(counts.sum()) == int(counts[places].sum()) == 4000
    assert all(380 < count < 620 for count in counts[places].tolist())


def test_unknown_kind_is_refused() -> None:
    for task, kinds in [(ReverseAdd(), "any, carry, digit"), (CarryOnly(), "any, carry"), (ReverseSubtract(), "any")]:
        expected = f"unknown kind of change 'sign'; task {task.name!r} has {kinds}"
        change: Any = "sign"
        with pytest.raises(UnknownNameError, match=f"^{re.escape(expected)}$"):
            task.counterfactual(task.examples([f"1{task.sign}1="]), generator=torch.Generator(), change=change)
