"""Components by name, and which of them overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses import Head, Part
from analyses.components import Component, all_parts, check_components, parse_component
from analyses.interventions import Edit
from analyses.interventions.places import Places
from analyses.interventions.sites import edits_of
from tasks import InvalidValueError
from training import ModelConfig

CONFIG = ModelConfig.read({"n_layers": 2, "n_heads": 3, "d_model": 6, "d_vocab": 4})


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("0.3", Head(0, 3)),
        ("0.mlp", Part(0, "mlp")),
        ("12.attn", Part(12, "attn")),
        (" 2.layer\n", Part(2, "layer")),
    ],
)
def test_parse(text: str, component: Component) -> None:
    found = parse_component(text)
    assert found == component
    assert type(found) is type(component)
    assert str(found) == text.strip()


@given(layer=st.integers(0, 200), kind=st.sampled_from(["mlp", "attn", "layer"]))
def test_name_is_read_back(layer: int, kind: str) -> None:
    part = Part(layer, kind)  # pyright: ignore[reportArgumentType]
    assert parse_component(str(part)) == part


@pytest.mark.parametrize("text", ["0.head", "1.m", "0.mlps"])
def test_unknown_part_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_component(text)
    assert str(caught.value) == (
        f"component {text!r} is unknown; allowed are heads as '0.3', the heads of a key-value head as '0.kv1', and "
        "parts of layers as '0.mlp', '0.attn' and '0.layer'"
    )


@pytest.mark.parametrize("text", ["", "mlp", "0.", "0.3.mlp", "0 mlp", "-1.mlp", "0.MLP"])
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_component(text)
    assert str(caught.value) == f"head {text!r} is not of the form 'layer.head', as in '0.3' (layer 0, head 3)"


def test_all_parts_go_layer_by_layer() -> None:
    assert " ".join(map(str, all_parts(CONFIG, "mlp"))) == "0.mlp 1.mlp"
    assert " ".join(map(str, all_parts(CONFIG, "layer"))) == "0.layer 1.layer"


@pytest.mark.parametrize(
    "names",
    ["0.0 0.1 0.2 0.mlp", "0.attn 0.mlp 1.attn 1.mlp", "0.layer 1.0 1.mlp", "0.layer 1.layer", ""],
)
def test_components_that_do_not_overlap_pass(names: str) -> None:
    check_components([parse_component(name) for name in names.split()], CONFIG)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        ("0.mlp 0.mlp", "0.mlp and 0.mlp"),
        ("0.0 0.attn", "0.0 and 0.attn"),
        ("1.attn 0.0 1.2", "1.attn and 1.2"),
        ("0.layer 0.mlp", "0.layer and 0.mlp"),
        ("0.1 0.2 0.layer", "0.1 and 0.layer"),
        ("1.layer 0.layer 1.attn", "1.layer and 1.attn"),
        ("0.layer 0.layer", "0.layer and 0.layer"),
    ],
)
def test_components_that_overlap_are_refused(names: str, pair: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_components([parse_component(name) for name in names.split()], CONFIG)
    assert str(caught.value) == f"components {pair} overlap; name each part of the model once"


@pytest.mark.parametrize("part", [Part(2, "mlp"), Part(-1, "attn"), Part(7, "layer")])
def test_part_that_is_not_there_is_refused(part: Part) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_components([Head(0, 0), part], CONFIG)
    assert str(caught.value) == f"component {part} does not exist: the model has layers 0 to 1"


def test_heads_are_checked_as_ever() -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_components([Part(0, "mlp"), Head(0, 3)], CONFIG)
    assert str(caught.value) == "head 0.3 does not exist: the model has layers 0 to 1 of heads 0 to 2, so 0.0 to 1.2"
    with pytest.raises(InvalidValueError) as caught:
        check_components([Head(1, 1), Head(1, 1)], CONFIG)
    assert str(caught.value) == "head 1.1 is named twice; name each head once"


def test_edits_that_remove_a_component() -> None:
    places = Places.of([1, 3])
    assert edits_of(Head(1, 2), places) == [Edit("z", 1, places, 2)]
    assert edits_of(Part(0, "mlp"), places) == [Edit("mlp_out", 0, places)]
    assert edits_of(Part(1, "attn"), places) == [Edit("attn_out", 1, places)]
    assert edits_of(Part(1, "layer"), places) == [Edit("attn_out", 1, places), Edit("mlp_out", 1, places)]
