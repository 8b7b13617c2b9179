"""Presets: what they hold, what replaces their keys, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import InterpError, InvalidValueError, UnknownNameError, get_group
from training import TrainConfig, list_presets, load_preset
from training.presets import Preset

GROUP = get_group("copy+shift")


def config(preset: Preset) -> TrainConfig:
    return preset.train_config([GROUP.main, *GROUP.auxiliaries], vocabulary=GROUP.vocabulary, seed=3)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_makes_a_configuration(name: str) -> None:
    made = config(load_preset(name))
    assert made.seed == 3
    assert made.vocabulary == GROUP.vocabulary.tokens
    assert [(member.task, member.max_length) for member in made.mixture] == [("shift", 10), ("copy", 20)]
    assert made.mixture[0].parameters == {"marking": "start", "alphabet": 12, "case": "lower"}
    assert TrainConfig.read(made.model_dump(mode="json")) == made


def test_override_replaces_keys_and_leaves_the_rest() -> None:
    preset = load_preset("small")
    settings = ["optimizer.steps=7", "model.norm=LN", "measure.lengths=[1, 2]", " optimizer.learning_rate = 1e-4"]
    made, before = config(preset.override(settings)), config(preset)
    assert (made.optimizer.steps, made.model.norm, made.measure.lengths) == (7, "LN", (1, 2))
    assert made.optimizer.learning_rate == 1e-4
    assert made.model.model_copy(update={"norm": before.model.norm}) == before.model
    assert config(preset) == before, "the preset itself stays as it is"


@pytest.mark.parametrize(
    ("setting", "kind", "text"),
    [
        ("steps=5", InvalidValueError, "setting 'steps=5' is not of the form 'section.key=value'"),
        ("optimizer.steps", InvalidValueError, "setting 'optimizer.steps' is not of the form 'section.key=value'"),
        ("optimiser.steps=5", UnknownNameError, "unknown config section 'optimiser'; did you mean 'optimizer'?"),
        (
            "optimizer.stepz=5",
            UnknownNameError,
            "unknown config key 'stepz'; did you mean 'steps'? the keys are steps, ",
        ),
        ("optimizer.steps=0", InvalidValueError, "config key 'steps' = 0: input should be greater than or equal to 1"),
        ("optimizer.steps=x", InvalidValueError, "config key 'steps' = 'x': input should be a valid integer"),
        ("optimizer.beta1=1", InvalidValueError, "config key 'beta1' = 1: input should be less than 1"),
        ("model.norm=BN", InvalidValueError, "config key 'norm' = 'BN': input should be 'LN' or 'RMS'"),
        ("model.n_heads=3", InvalidValueError, "d_model 64 is not divisible by n_heads 3; choose a multiple"),
        ("model.d_vocab=3", InvalidValueError, "d_vocab 3 differs from the vocabulary's 17 tokens"),
        ("measure.lengths=5", InvalidValueError, "config key 'lengths' = 5: input should be a valid tuple"),
    ],
)
def test_settings_that_are_refused(setting: str, kind: type[InterpError], text: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}"):
        config(load_preset("small").override([setting]))


def test_unknown_preset() -> None:
    text = "unknown preset 'smal'; did you mean 'small'? the presets are "
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}.*; a path to a .toml file will do too$"):
        load_preset("smal")


def test_own_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[model]\nn_layers = 1\nn_heads = 1\nd_model = 8\n[optimizer]\nsteps = 5\n", encoding="utf-8")
    preset = load_preset(str(path))
    assert preset.name == str(path)
    assert preset.sections == {
        "model": {"n_layers": 1, "n_heads": 1, "d_model": 8},
        "optimizer": {"steps": 5},
        "measure": {},
    }
    assert config(preset).measure.checkpoints == 20


@pytest.mark.parametrize(
    ("content", "make", "text"),
    [
        (b"[model", load_preset, "is not TOML: "),
        (b"\xff\xfe", load_preset, "is not TOML: 'utf-8' codec"),
        (b"model = 3", load_preset, "model = 3 is no section; write [model] above its keys"),
        (b"[modell]\n", load_preset, "unknown config section 'modell'; did you mean 'model'? allowed are model, opt"),
        (b"", lambda path: config(load_preset(path)), "config key 'n_layers' is missing; it must be given"),
    ],
)
def test_own_file_that_is_refused(tmp_path: Path, content: bytes, make: Callable[[str], object], text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(InterpError, match=re.escape(text)):
        make(str(path))


def test_own_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown preset '.*own.toml'; .*a path to a .toml file will do too$"):
        load_preset(str(tmp_path / "own.toml"))
