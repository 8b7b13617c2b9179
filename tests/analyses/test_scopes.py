"""At which positions an intervention is made."""

import pytest
import torch

from analyses.scopes import Positions, check_scope, places_of, scope_text
from tasks import Batch, InvalidValueError, UnknownNameError, get_task
from tests.analyses.models import hand_batch, seeded

#   tokens   [shift]  a  b  l  =  b  c  a  [EOS]      read are positions 0 to 7; the first scored token stands at 5
BATCH = get_task("shift").sample(3, length=3, generator=seeded())


@pytest.mark.parametrize(
    ("scope", "positions"),
    [
        ("all", (0, 1, 2, 3, 4, 5, 6, 7)),
        ("prompt", (0, 1, 2, 3, 4)),
        ("answer", (5, 6, 7)),
        ((4,), (4,)),
        ((6, 0, 3), (0, 3, 6)),
    ],
)
def test_positions_that_are_meant(scope: Positions, positions: tuple[int, ...]) -> None:
    check_scope(scope)
    assert places_of(scope, BATCH).positions == positions


def test_prompt_ends_with_the_token_that_predicts_the_first_scored_one() -> None:
    task = get_task("multiply_cot")
    batch = task.sample(5, length=2, generator=seeded())
    prompt = places_of("prompt", batch).positions
    predicts = batch.predicting.int().argmax(dim=1).tolist()
    assert predicts == [prompt[-1]] * 5
    both = prompt + places_of("answer", batch).positions
    assert both == places_of("all", batch).positions == tuple(range(batch.inputs.shape[1]))


@pytest.mark.parametrize(("scope", "text"), [("prompt", "prompt"), ((4,), "4"), ((6, 0, 3), "6 0 3")])
def test_scope_in_tables(scope: Positions, text: str) -> None:
    assert scope_text(scope) == text


# --------------------------------------------------------------------------------------------------------------- errors
def test_unknown_scope_is_refused(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        check_scope("prompts")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown scope 'prompts'; did you mean 'prompt'? the scopes are all, prompt and answer, and positions can be "
        "given by number"
    )


@pytest.mark.parametrize("positions", [(), (1, 2, 1)])
def test_no_position_or_one_twice_is_refused(positions: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_scope(positions)
    assert str(caught.value) == f"positions {positions} must be at least one, each named once"


@pytest.mark.parametrize(("positions", "wrong"), [((0, 8), 8), ((-1,), -1), ((3, 100), 100)])
def test_position_that_is_not_there_is_refused(positions: tuple[int, ...], wrong: int) -> None:
    with pytest.raises(InvalidValueError) as caught:
        places_of(positions, BATCH)
    assert str(caught.value) == f"position {wrong} does not exist: the examples have 0 to 7"


def test_empty_scope_is_refused() -> None:
    # `aa` and one scored token: what reads the answer predicts nothing.
    with pytest.raises(InvalidValueError) as caught:
        places_of("answer", hand_batch())
    assert str(caught.value) == (
        "there are no answer positions: the model reads 2 tokens and the first answer token stands at 2; "
        "use another scope"
    )


def test_scored_tokens_behind_the_first_are_answer_even_if_some_between_are_not() -> None:
    scored = torch.tensor([[False, False, True, False, True]])
    batch = Batch(torch.zeros(1, 5, dtype=torch.int64), scored)
    assert places_of("prompt", batch).positions == (0, 1)
    assert places_of("answer", batch).positions == (2, 3)
