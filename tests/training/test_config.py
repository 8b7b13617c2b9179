"""Configurations: what is filled in, and the exact text of every refusal."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from tasks import InvalidValueError, UnknownNameError
from training.config import MemberConfig, ModelConfig, OptimizerConfig, TrainConfig

SMALL: dict[str, Any] = {"n_layers": 2, "n_heads": 4, "d_model": 16, "d_vocab": 3}

RUN: dict[str, Any] = {
    "mixture": [{"task": "shift", "max_length": 10}, {"task": "copy", "max_length": 20}],
    "vocabulary": ["a", "b", "[EOS]"],
    "model": SMALL,
    "train": {"steps": 10},
}


def test_widths_follow_from_the_model_s() -> None:
    config = ModelConfig.read(SMALL)
    assert (config.d_head, config.d_mlp, config.n_key_value_heads) == (4, 64, 4)
    given = ModelConfig.read(SMALL | {"d_head": 6, "d_mlp": 12, "n_key_value_heads": 2})
    assert (given.d_head, given.d_mlp, given.n_key_value_heads) == (6, 12, 2)


def test_configurations_are_frozen_and_survive_json() -> None:
    config = TrainConfig.read(RUN)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.model.n_layers = 3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"d_model": 18}, "d_model 18 is not divisible by n_heads 4; choose a multiple, or give d_head"),
        ({"n_heads": 0}, "d_model 16 is not divisible by n_heads 0; choose a multiple, or give d_head"),
        (
            {"n_key_value_heads": 3},
            (
                "n_heads 4 is not divisible by n_key_value_heads 3; "
                "every key-value head serves the same number of query heads"
            ),
        ),
        ({"d_head": 5}, "rotary positions need an even d_head, got 5; change d_head or positions"),
        (
            {"positions": "learned"},
            "n_ctx 0 with positions 'learned': learned positions need n_ctx >= 1, others n_ctx = 0",
        ),
        ({"n_ctx": 8}, "n_ctx 8 with positions 'rotary': learned positions need n_ctx >= 1, others n_ctx = 0"),
        (
            {"unembedding": "tied", "task_heads": 2},
            "a tied unembedding is one for all tasks; set task_heads to 1 or unembedding to 'separate'",
        ),
        ({"n_layers": 0}, "config key 'n_layers' = 0: input should be greater than or equal to 1"),
        ({"norm_eps": 0.0}, "config key 'norm_eps' = 0.0: input should be greater than 0"),
        ({"norm": "rms"}, "config key 'norm' = 'rms': input should be 'LN' or 'RMS'"),
        ({"positions": "alibi"}, "config key 'positions' = 'alibi': input should be 'rotary', 'none' or 'learned'"),
        (
            {"d_model": "wide"},
            "config key 'd_model' = 'wide': input should be a valid integer, unable to parse string as an integer",
        ),
    ],
    ids=str,
)
def test_contradictions_of_a_model_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        ModelConfig.read(SMALL | changes)


def test_missing_keys_are_named() -> None:
    for key in SMALL:
        with pytest.raises(InvalidValueError, match=f"^config key '{key}' is missing; it must be given$"):
            ModelConfig.read({name: value for name, value in SMALL.items() if name != key})


def test_unknown_keys_are_refused_with_a_suggestion() -> None:
    listing = "the keys are " + ", ".join(ModelConfig.model_fields)
    with pytest.raises(UnknownNameError) as error:
        ModelConfig.read(SMALL | {"n_layer": 2})
    assert str(error.value) == f"unknown config key 'n_layer'; did you mean 'n_layers'? {listing}"
    listing = "the keys of 'train' are " + ", ".join(OptimizerConfig.model_fields)
    with pytest.raises(UnknownNameError) as error:
        TrainConfig.read(RUN | {"train": {"steps": 10, "learning_rat": 1e-3}})
    assert str(error.value) == f"unknown config key 'learning_rat'; did you mean 'learning_rate'? {listing}"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": SMALL | {"d_vocab": 4}}, "d_vocab 4 differs from the vocabulary's 3 tokens"),
        (
            {"model": SMALL | {"task_heads": 3}},
            "task_heads 3 with 2 tasks; allowed are 1 and the number of tasks",
        ),
        (
            {"mixture": [{"task": "copy", "max_length": 3}] * 2},
            "the mixture names a task twice: copy, copy; each may stand once",
        ),
        (
            {"train": {"steps": 10, "final": 2}},
            "config key 'train.final' = 2: input should be less than or equal",
        ),
        ({"mixture": []}, "config key 'mixture' = []: tuple should have at least 1 item after validation, not 0"),
        ({"seed": -1}, "config key 'seed' = -1: input should be greater than or equal to 0"),
        ({"model": SMALL | {"n_ctx": 8}}, "n_ctx 8 with positions 'rotary'"),
    ],
    ids=str,
)
def test_contradictions_of_a_run_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(text)):
        TrainConfig.read(RUN | changes)


def test_keys_inside_a_list_are_placed() -> None:
    with pytest.raises(InvalidValueError, match=re.escape("config key 'mixture.1.max_length' = 0")):
        TrainConfig.read(RUN | {"mixture": [RUN["mixture"][0], {"task": "copy", "max_length": 0}]})
    listing = "the keys of 'mixture.0' are " + ", ".join(MemberConfig.model_fields)
    with pytest.raises(UnknownNameError) as error:
        TrainConfig.read(RUN | {"mixture": [{"task": "copy", "max_length": 3, "maxlength": 0}]})
    assert str(error.value) == f"unknown config key 'maxlength'; did you mean 'max_length'? {listing}"
