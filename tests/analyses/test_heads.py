"""Heads by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses import Head
from analyses.heads import all_heads, check_heads
from tasks import InvalidValueError
from training import ModelConfig

CONFIG = ModelConfig.read({"n_layers": 2, "n_heads": 3, "d_model": 6, "d_vocab": 4})


@pytest.mark.parametrize(
    ("text", "head"), [("0.3", Head(0, 3)), ("2.1", Head(2, 1)), (" 10.12\n", Head(10, 12)), ("00.01", Head(0, 1))]
)
def test_parse(text: str, head: Head) -> None:
    assert Head.parse(text) == head


@given(layer=st.integers(0, 200), head=st.integers(0, 200))
def test_name_is_read_back(layer: int, head: int) -> None:
    assert Head.parse(str(Head(layer, head))) == Head(layer, head)


@pytest.mark.parametrize("text", ["", "3", "1.", ".1", "1,2", "-1.0", "0.3.1", "L0H3", "0.3 2.1"])
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Head.parse(text)
    assert str(caught.value) == f"head {text!r} is not of the form 'layer.head', as in '0.3' (layer 0, head 3)"


def test_all_heads_go_layer_by_layer() -> None:
    assert " ".join(map(str, all_heads(CONFIG))) == "0.0 0.1 0.2 1.0 1.1 1.2"
    check_heads(all_heads(CONFIG), CONFIG)


@pytest.mark.parametrize("head", [Head(2, 0), Head(0, 3), Head(-1, 0), Head(0, -1)])
def test_head_that_is_not_there_is_refused(head: Head) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_heads([Head(0, 0), head], CONFIG)
    assert str(caught.value) == (
        f"head {head} does not exist: the model has layers 0 to 1 of heads 0 to 2, so 0.0 to 1.2"
    )


def test_head_named_twice_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_heads([Head(1, 1), Head(0, 0), Head(1, 1)], CONFIG)
    assert str(caught.value) == "head 1.1 is named twice; name each head once"
