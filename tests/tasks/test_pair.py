"""Clean and counterfactual: rows as the docstring draws them, and what is no pair."""

import re

import pytest
import torch

from tasks import Batch, InvalidValueError, Pair, get_task


def pair_of(name: str, clean: str, other: str) -> Pair:
    task = get_task(name)
    return Pair(task.examples([clean]), task.examples([other]))


def test_docstring_draws_what_a_pair_holds() -> None:
    lines = [line.split() for line in (Pair.__doc__ or "").splitlines()]
    # Of `clean` and `differs`, the first lines; the docstring names them again below.
    drawn = {
        line[0]: line[1:] for line in reversed(lines) if line and line[0] in ("clean", "counterfactual", "differs")
    }
    task, pair = get_task("copy"), pair_of("copy", "qWe=", "qke=")
    assert task.vocabulary.split(pair.clean.tokens[0]) == tuple(drawn["clean"])
    assert task.vocabulary.split(pair.counterfactual.tokens[0]) == tuple(drawn["counterfactual"])
    assert pair.differs[0].tolist() == [mark == "x" for mark in drawn["differs"]]


def test_changed_are_the_replaced_tokens_of_the_prompt() -> None:
    # [copy] q W e = q W e [EOS]: W at place 2.
    assert pair_of("copy", "qWe=", "qke=").changed.int().tolist() == [[0, 0, 1, 0, 0, 0, 0, 0, 0]]


def test_a_shorter_answer_differs_where_both_are_scored() -> None:
    # [copy_first] 1 2 + 3 4 = 1 2 [EOS], and 1 digit less in the second: 1 + 1 1 = 1 [EOS] is as long in the prompt.
    task = get_task("copy_first")
    clean, other = task.examples(["12+3="]), task.examples(["5+34="])
    other = Batch(
        torch.nn.functional.pad(other.tokens, (0, 1), value=task.vocabulary.eos),
        torch.nn.functional.pad(other.scored, (0, 1)),
    )
    # places:    0 marker, 1..5 prompt, 6 7 8: answer 1 2 [EOS] against 5 [EOS] -
    assert Pair(clean, other).differs.int().tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 0]]


def test_other_shapes_are_refused() -> None:
    text = "clean and counterfactual must have one shape. Got (1, 7) and (1, 9)"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        pair_of("copy", "ab=", "abc=")


def test_equal_answers_are_refused() -> None:
    text = "example 0 has the same answer in both batches; it must differ somewhere"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        pair_of("copy_first", "1+2=", "1+3=")
