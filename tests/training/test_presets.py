"""Presets: what they hold, what replaces their keys, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import InterpError, InvalidValueError, UnknownNameError, get_group
from tests.training.tiny_checkpoint import write_tiny_checkpoint
from training import TrainConfig, list_presets, load_preset
from training.optimizer import learning_rate
from training.presets import Preset

GROUP = get_group("copy+shift")


def config(preset: Preset) -> TrainConfig:
    return preset.train_config([GROUP.main, *GROUP.auxiliaries], vocabulary=GROUP.vocabulary, seed=3)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_makes_a_configuration(name: str, tmp_path: Path) -> None:
    preset = load_preset(name)
    if not preset.sections["model"]:
        preset = preset.starting(str(write_tiny_checkpoint(tmp_path)))
    made = config(preset)
    assert made.seed == 3
    assert made.vocabulary == GROUP.vocabulary.tokens
    assert [(member.task, member.max_length) for member in made.mixture] == [("shift", 10), ("copy", 20)]
    assert made.mixture[0].parameters == {"marking": "start", "alphabet": 12, "case": "lower"}
    assert TrainConfig.read(made.model_dump(mode="json")) == made


def test_presets_of_the_papers() -> None:
    # The shapes and recipes of shared facts, one line each.
    p1, nope, p2, tempered = (config(load_preset(name)) for name in ("p1", "p1-nope", "p2", "p2-tempered"))
    assert (p1.model.n_layers, p1.model.n_heads, p1.model.d_model, p1.model.d_mlp) == (6, 6, 384, 1536)
    assert (p1.model.norm, p1.model.mlp, p1.model.activation) == ("RMS", "gated", "silu")
    assert (p1.model.positions, p1.model.rotary_base) == ("rotary", 1e5)
    assert (p1.train.batch_size, p1.train.steps, p1.train.warmup) == (1024, 20_000, 2000)
    assert (p1.train.learning_rate, p1.train.beta1, p1.train.beta2) == (1e-3, 0.9, 0.98)
    rates = [learning_rate(step, p1.train) for step in (1999, 11_999, 12_000, 19_999)]
    assert rates[0] == rates[1] == 1e-3 > rates[2]
    assert rates[3] == pytest.approx(1e-4)
    assert nope.model == p1.model.model_copy(update={"positions": "none"})
    assert (nope.train, nope.measure) == (p1.train, p1.measure)
    assert (p2.model.n_layers, p2.model.d_model, p2.model.positions, p2.model.temperature) == (2, 1024, "none", "none")
    assert (p2.train.algorithm, p2.train.learning_rate, p2.train.steps) == ("Adam", 1e-5, 100_000)
    assert (p2.train.batch_size, p2.train.schedule, p2.model.task_heads) == (1024, "one_cycle", 2)
    assert tempered.model == p2.model.model_copy(update={"temperature": "log_n"})
    assert (tempered.train, tempered.measure) == (p2.train, p2.measure)


def test_one_unembedding_per_task_follows_the_mixture() -> None:
    preset = load_preset("p2")
    alone = preset.train_config([GROUP.main], vocabulary=GROUP.vocabulary, seed=0)
    assert alone.model.task_heads == 1


def test_unmarked_tasks_on_the_same_prompts_are_refused() -> None:
    group = get_group("add/carry").with_marking("none")
    text = (
        "'reverse_add' and 'no_carry' read the same prompts, and marking 'none' does not tell them apart; "
        "choose another marking, or model.task_heads = 'one per task'"
    )
    mixture = [group.main, *group.auxiliaries]
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        load_preset("small").train_config(mixture, vocabulary=group.vocabulary, seed=0)
    assert load_preset("p2").train_config(mixture, vocabulary=group.vocabulary, seed=0).model.task_heads == 3
    other = get_group("add/subtract").with_marking("none")
    mixture = [other.main, *other.auxiliaries]
    assert load_preset("small").train_config(mixture, vocabulary=other.vocabulary, seed=0).model.task_heads == 1


def test_override_replaces_keys_and_leaves_the_rest() -> None:
    preset = load_preset("small")
    settings = ["train.steps=7", "model.norm=LN", "measure.lengths=[1, 2]", " train.learning_rate = 1e-4"]
    made, before = config(preset.override(settings)), config(preset)
    assert (made.train.steps, made.model.norm, made.measure.lengths) == (7, "LN", (1, 2))
    assert made.train.learning_rate == 1e-4
    assert made.model.model_copy(update={"norm": before.model.norm}) == before.model
    assert config(preset) == before, "the preset itself stays as it is"


@pytest.mark.parametrize(
    ("setting", "kind", "text"),
    [
        ("steps=5", InvalidValueError, "setting 'steps=5' is not of the form 'section.key=value'"),
        ("train.steps", InvalidValueError, "setting 'train.steps' is not of the form 'section.key=value'"),
        ("trian.steps=5", UnknownNameError, "unknown config section 'trian'; did you mean 'train'?"),
        (
            "train.stepz=5",
            UnknownNameError,
            "unknown config key 'stepz'; did you mean 'steps'? the keys are steps, ",
        ),
        ("train.steps=0", InvalidValueError, "config key 'steps' = 0: input should be greater than or equal to 1"),
        ("train.steps=x", InvalidValueError, "config key 'steps' = 'x': input should be a valid integer"),
        ("train.beta1=1", InvalidValueError, "config key 'beta1' = 1: input should be less than 1"),
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
    path.write_text("[model]\nn_layers = 1\nn_heads = 1\nd_model = 8\n[train]\nsteps = 5\n", encoding="utf-8")
    preset = load_preset(str(path))
    assert preset.name == str(path)
    assert preset.sections == {
        "model": {"n_layers": 1, "n_heads": 1, "d_model": 8},
        "train": {"steps": 5},
        "measure": {},
    }
    assert config(preset).measure.checkpoints == 20


@pytest.mark.parametrize(
    ("content", "make", "text"),
    [
        (b"[model", load_preset, "is not TOML: "),
        (b"\xff\xfe", load_preset, "is not TOML: 'utf-8' codec"),
        (b"model = 3", load_preset, "model = 3 is no section; write [model] above its keys"),
        (b"[modell]\n", load_preset, "unknown config section 'modell'; did you mean 'model'? allowed are model, train"),
        (b"", lambda path: config(load_preset(path)), "has no section model, so it finetunes a checkpoint, and"),
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
