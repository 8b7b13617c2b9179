"""The batch: its rows stand as its docstring draws them."""

import re

import pytest
import torch

from tasks import Batch, InvalidValueError, get_task
from tests.tasks.drawing import drawn_rows

# Two examples of `copy` on the letters 0 and 1 with = 2, [EOS] 3, [copy] 4; the second one letter shorter:
#   tokens   [copy] a b = a b [EOS]          [copy] b = b [EOS] [EOS] [EOS]
TOKENS = torch.tensor([[4, 0, 1, 2, 0, 1, 3], [4, 1, 2, 1, 3, 3, 3]])
SCORED = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]]).bool()


def test_docstring_draws_what_a_batch_holds() -> None:
    drawn = drawn_rows(Batch.__doc__, "[shift]")
    task = get_task("shift", alphabet=12, case="lower")
    tokens = task.vocabulary.ids(drawn["tokens"])
    batch = Batch(tokens[None], torch.tensor([[mark == "x" for mark in drawn["scored"]]]))
    assert [mark == "^" for mark in drawn["logits"]] == [*batch.predicting[0].tolist(), False]
    prompt, answer = task.prompt_and_answer(task.vocabulary.decode(tokens))
    assert task.solve(prompt) == answer


def test_inputs_are_all_tokens_but_the_last() -> None:
    batch = Batch(TOKENS, SCORED)
    assert batch.inputs.tolist() == [[4, 0, 1, 2, 0, 1], [4, 1, 2, 1, 3, 3]]


def test_predicting_stands_one_before_scored() -> None:
    batch = Batch(TOKENS, SCORED)
    assert batch.predicting.int().tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]]


def test_targets_are_in_the_order_of_predicting_logits() -> None:
    batch = Batch(TOKENS, SCORED)
    assert batch.targets.tolist() == [0, 1, 3, 1, 3]
    # "Logits" that name the token right of their position: a model that is always right.
    perfect = batch.tokens[:, 1:]
    assert perfect[batch.predicting].tolist() == batch.targets.tolist()


def test_slice_takes_examples() -> None:
    batch = Batch(TOKENS, SCORED)
    assert len(batch) == 2
    assert batch[1:].tokens.tolist() == [[4, 1, 2, 1, 3, 3, 3]]
    assert batch[1:].targets.tolist() == [1, 3]
    assert len(batch[:0]) == 0


def test_empty_batch_is_allowed() -> None:
    empty = Batch(torch.zeros(0, 5, dtype=torch.int64), torch.zeros(0, 5, dtype=torch.bool))
    assert len(empty) == 0
    assert empty.inputs.shape == (0, 4)
    assert empty.targets.shape == (0,)


def test_scored_first_token_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="^scored marks position 0, but no token precedes it to predict it$"):
        Batch(TOKENS, SCORED | torch.tensor([1, 0, 0, 0, 0, 0, 0]).bool())


@pytest.mark.parametrize("width", [0, 7])
def test_example_without_scored_token_is_refused(width: int) -> None:
    with pytest.raises(InvalidValueError, match="^an example has no scored token; every example needs at least one$"):
        Batch(TOKENS[:, :width], torch.zeros(2, width, dtype=torch.bool))


def test_unequal_shapes_are_refused(unchecked: None) -> None:
    text = "tokens and scored must have one shape. Got (2, 7) and (2, 6)"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        Batch(TOKENS, SCORED[:, 1:])
