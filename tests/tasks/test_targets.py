"""Shuffled targets: the prompt of one example with the answer of another."""

import pytest
import torch

from tasks import Batch, Member, UnknownNameError, get_task
from tasks.targets import answered_by

MAZE = "[1]:[2];[2]:[1][3];[3]:[2];{}>{}="


def examples(task: str, *prompts: str) -> Batch:
    return get_task(task).examples(prompts)


def texts(task: str, batch: Batch) -> list[str]:
    return [get_task(task).vocabulary.decode(row) for row in batch.tokens]


def eos(task: str) -> int:
    return get_task(task).vocabulary.eos


def test_a_whole_answer_goes_along_with_its_length() -> None:
    # Least significant digit first, padded to one digit more than the longer operand: 3 is 30, 59 + 8 = 67 is 760.
    batch, other = examples("reverse_add", "1+2=", "95+8=", "1+2="), examples("reverse_add", "95+8=", "1+2=", "3+3=")
    found = answered_by(batch, other, eos=eos("reverse_add"))
    assert texts("reverse_add", found) == [
        "[reverse_add]1+2=760[EOS][EOS]",
        "[reverse_add]95+8=30[EOS][EOS]",
        "[reverse_add]1+2=60[EOS][EOS][EOS]",
    ]
    assert found.scored.int().tolist() == [
        # marker, prompt, answer and [EOS], behind
        [0] + [0] * 4 + [1] * 4 + [0],
        [0] + [0] * 5 + [1] * 3 + [0],
        [0] + [0] * 4 + [1] * 3 + [0] * 2,
    ]


def test_a_block_grows_where_a_longer_answer_stands_behind_a_longer_prompt() -> None:
    batch, other = examples("dfs_trace", MAZE.format("[1]", "[2]")), examples("dfs_trace", MAZE.format("[1]", "[3]"))
    found = answered_by(batch, other, eos=eos("dfs_trace"))
    assert texts("dfs_trace", batch) == ["[dfs_trace]" + MAZE.format("[1]", "[2]") + "[1][2][EOS]"]
    assert texts("dfs_trace", found) == ["[dfs_trace]" + MAZE.format("[1]", "[2]") + "[1][2][3][EOS]"]


def test_what_is_given_between_scattered_answers_stays() -> None:
    # Queries qW and We of qWeT are answered e and T; ab of abcd is answered c, so the second query has c again.
    batch, other = examples("mqar", "qWeT=qW,We"), examples("mqar", "abcd=ab")
    assert texts("mqar", batch) == ["[mqar]qWeT=qWe,WeT[EOS]"]
    found = answered_by(batch, other, eos=eos("mqar"))
    assert texts("mqar", found) == ["[mqar]qWeT=qWc,Wec[EOS]"]
    assert torch.equal(found.scored, batch.scored)
    # The other way round, one query takes the first of two answers.
    found = answered_by(other, batch, eos=eos("mqar"))
    assert texts("mqar", found) == ["[mqar]abcd=abe[EOS]"]
    assert torch.equal(found.scored, other.scored)


@pytest.mark.parametrize(
    ("name", "length"), [("copy", 6), ("reverse_subtract", 5), ("dfs_trace", 7), ("multiply_cot", 4), ("sort", 5)]
)
@pytest.mark.parametrize("marking", ["start", "repeated"])
def test_as_written_out_by_hand(name: str, length: int, marking: str) -> None:
    task = get_task(name, marking=marking)
    draws = [
        task.sample(40, length=length, generator=torch.Generator().manual_seed(seed), stream="train")
        for seed in range(2)
    ]
    found = answered_by(*draws, eos=task.vocabulary.eos)
    for place, (row, scored) in enumerate(zip(found.tokens.tolist(), found.scored.tolist(), strict=True)):
        first, answer = draws[0].scored[place].tolist().index(True), draws[1].tokens[place][draws[1].scored[place]]
        prompt = draws[0].tokens[place].tolist()[:first]
        expected = prompt + answer.tolist()
        assert row == expected + [task.vocabulary.eos] * (len(row) - len(expected))
        assert scored == [first <= at < len(expected) for at in range(len(row))]


@pytest.mark.usefixtures("unchecked")
def test_other_names_are_refused() -> None:
    with pytest.raises(
        UnknownNameError, match="^unknown targets 'shufled'; did you mean 'shuffled'\\? they are true, s"
    ):
        Member(get_task("copy"), 4, targets="shufled")  # pyright: ignore[reportArgumentType]
