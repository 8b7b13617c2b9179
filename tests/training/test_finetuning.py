"""Finetuning a pretrained checkpoint: what it starts from, what a run keeps, how it goes on, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks import InterpError, InvalidValueError, UnknownNameError, get_group
from tests.training.tiny import StopError, numbers, stop_at, tiny_config
from tests.training.tiny_checkpoint import SHAPE, finetuning, write_tiny_checkpoint
from training import Grid, TrainConfig, evaluate, load_preset, load_run, named_generator, run_sweep, train
from training.config import StartConfig
from training.files import read_json, write_json
from training.presets import Preset
from training.pretrained import load_for_tasks, load_pretrained, save_pretrained
from training.runs import fresh_model
from training.start import pinned, start_model
from training.sweep.cells import cell_name

pytestmark = pytest.mark.usefixtures("one_thread")

GROUP = get_group("copy+shift")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("pretrained") / "tiny")


def config_of(preset: Preset) -> TrainConfig:
    return preset.train_config([GROUP.main, *GROUP.auxiliaries], vocabulary=GROUP.vocabulary, seed=0)


def test_it_starts_from_the_checkpoint(checkpoint: Path) -> None:
    config = finetuning(checkpoint)
    model, whole = fresh_model(config), load_pretrained(checkpoint).model
    loaded = load_for_tasks(checkpoint, model.vocabulary, generator=named_generator(0, "weights"))
    assert all(torch.equal(weight, loaded.model.state_dict()[name]) for name, weight in model.state_dict().items())
    # An independent way to the logits of letters: the whole vocabulary, in the checkpoint's own ids.
    text = torch.tensor([model.vocabulary.index[letter] for letter in "abca=bcdb"])
    ids = loaded.tokens.to_checkpoint(text)
    letters = [model.vocabulary.index[letter] for letter in "abc"]  # ids 1 to 3 in the checkpoint
    torch.testing.assert_close(model(text[None])[..., letters], whole(ids[None])[..., 1:4], atol=1e-5, rtol=1e-5)


def test_the_run_needs_its_checkpoint_no_more(checkpoint: Path, tmp_path: Path) -> None:
    gone = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, gone)
    run = train(finetuning(gone), tmp_path / "run")
    shutil.rmtree(gone)
    again = load_run(tmp_path / "run")
    start = again.config.start
    assert start is not None
    assert (start.checkpoint, start.revision, len(start.digest)) == (str(gone.resolve()), "main", 16)
    model = again.model()
    assert (model.config.n_key_value_heads, model.config.unembedding, model.config.d_vocab) == (2, "tied", 8)
    assert not any(bool(buffer.any()) for buffer in model.buffers())
    table = evaluate(model, again.task("copy"), lengths=[2], n=8, generator=named_generator(0, "test"))
    assert 0 <= float(table["accuracy"].iloc[0]) <= 1
    kept = run.metrics[(run.metrics["weights"] == "raw") & (run.metrics["task"] == "copy")]
    assert kept["loss"].iloc[-1] < kept["loss"].iloc[0], "it learns"
    assert train(again.config, tmp_path / "run").path == run.path, "a finished run is found"


@pytest.mark.parametrize("adaptation", ["full", "lora"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16_weights"])
def test_stopped_and_continued_equals_never_stopped(
    checkpoint: Path, tmp_path: Path, adaptation: str, precision: str
) -> None:
    config = finetuning(checkpoint, start={"adaptation": adaptation}, train={"precision": precision, "steps": 8})
    train(config, tmp_path / "whole")
    with pytest.raises(StopError):
        train(config, tmp_path / "run", on_step=stop_at(6))
    train(config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_factors_are_kept_in_the_state_and_merged_in_checkpoints(checkpoint: Path, tmp_path: Path) -> None:
    config = finetuning(checkpoint, start={"adaptation": "lora", "rank": 2, "adapted": "all"})
    run = train(config, tmp_path / "run")
    last, first = run.model(weights="raw"), start_model(config)
    changed = {
        name
        for name, weight in last.named_parameters()
        if not torch.equal(weight, dict(first.named_parameters())[name])
    }
    assert changed == {
        f"blocks.{layer}.{map_}"
        for layer in (0, 1)
        for map_ in ("attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O", "mlp.W_gate", "mlp.W_in", "mlp.W_out")
    }
    assert torch.linalg.matrix_rank(last.blocks[0].mlp.W_in - first.blocks[0].mlp.W_in, rtol=1e-4) == 2


def test_a_checkpoint_that_changed_or_is_gone_stops_a_continued_run(checkpoint: Path, tmp_path: Path) -> None:
    copied = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copied)
    config = finetuning(copied)
    with pytest.raises(StopError):
        train(config, tmp_path / "run", on_step=stop_at(5))
    write_tiny_checkpoint(copied, seed=1)
    with pytest.raises(InvalidValueError, match=r"'main' has changed: its digest was '\w+' .* bring the old one back"):
        train(config, tmp_path / "run")
    with pytest.raises(InvalidValueError, match=r"another configuration \(start.digest is \w+ there, \w+ here\)"):
        train(finetuning(copied), tmp_path / "run")
    shutil.rmtree(copied)
    with pytest.raises(InvalidValueError, match=f"no folder {str(copied.resolve())!r}; give a checkpoint's folder"):
        train(config, tmp_path / "run")
    shutil.copytree(checkpoint, copied)
    assert train(config, tmp_path / "run").steps == [4, 8, 12]


def test_the_digest_is_of_weights_shape_and_tokenizer(checkpoint: Path, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return pinned(StartConfig(checkpoint=str(folder))).digest

    copied = tmp_path / "elsewhere"
    shutil.copytree(checkpoint, copied)
    (copied / "README.md").write_text("none of the model")
    assert digest(copied) == digest(checkpoint)
    write_json(copied / "config.json", {**read_json(copied / "config.json"), "rope_theta": 500.0})
    assert digest(copied) != digest(checkpoint)
    write_tiny_checkpoint(copied)
    assert digest(copied) == digest(checkpoint)
    tokenizer = (copied / "tokenizer.json").read_text()
    (copied / "tokenizer.json").write_text(tokenizer.replace('"<|end|>"', '"<|stop|>"'))
    assert digest(copied) != digest(checkpoint)


def test_a_path_is_kept_whole(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint.parent.parent)
    start = pinned(StartConfig(checkpoint=f"{checkpoint.parent.name}@{checkpoint.name}"))
    assert (start.checkpoint, start.revision) == (str(checkpoint.parent.resolve()), checkpoint.name)
    assert start.digest == pinned(StartConfig(checkpoint=str(checkpoint))).digest


def test_a_sweep_over_checkpoints(checkpoint: Path, tmp_path: Path) -> None:
    family = tmp_path / "family"
    for step in (1000, 2000):
        write_tiny_checkpoint(family / f"step-{step}", seed=step)
    grid = Grid.read(
        {
            "name": "family",
            "fixed": {
                "group": "copy+shift",
                "preset": "finetune",
                "start": {"checkpoint": str(family)},
                "train": {"steps": 2},
                "measure": {"n": 4, "checkpoints": 1},
            },
            "axes": {"start.revision": ["step-1000", "step-2000"], "start.adaptation": ["full", "lora"]},
        }
    )
    names = [cell.name for cell in grid.cells()]
    for step in (1000, 2000):
        for adaptation in ("full", "lora"):
            (name,) = (one for one in names if f"family-step-{step}-{adaptation}-seed0" in one)
            assert re.fullmatch(r"shift10\+copy20-family-step-\d+-\w+-seed0-[0-9a-f]{10}", name)
    result = run_sweep(grid, tmp_path / "sweep")
    assert list(result.status["status"]) == ["finished"] * 4
    losses = result.table.groupby(["start.revision", "start.adaptation"])["nll"].mean()
    assert losses.nunique() == 4


def test_configurations_without_a_checkpoint_are_what_they_were() -> None:
    config = tiny_config()
    assert cell_name(config) == "shift3+copy5-1x2x16-rotary-seed0-097bd2e1a0", "written before there was finetuning"
    values = config.model_dump(mode="json")
    assert values.pop("start") is None
    del values["train"]["recompute"]
    assert TrainConfig.read(values) == config


def test_presets_for_finetuning(checkpoint: Path) -> None:
    small, large = (config_of(load_preset(name).starting(str(checkpoint))) for name in ("finetune", "finetune-360m"))
    assert (small.model.d_model, small.model.n_layers, small.train.learning_rate) == (16, 2, 3e-4)
    assert (large.train.precision, large.train.recompute, large.train.batch_size) == ("bfloat16_weights", "blocks", 32)
    assert large.train.learning_rate < small.train.learning_rate < config_of(load_preset("small")).train.learning_rate
    lora = load_preset("finetune").override(["start.adaptation=lora", "start.rank=2"]).starting(f"{checkpoint}")
    start = config_of(lora).start
    assert start is not None
    assert (start.adaptation, start.rank, start.adapted) == ("lora", 2, "attention")
    agreeing = load_preset("finetune").override(["model.n_layers=2", "model.norm=RMS"]).starting(str(checkpoint))
    assert config_of(agreeing) == small


def _set(*settings: str) -> Callable[[Path], object]:
    return lambda checkpoint: config_of(load_preset("finetune").override(settings).starting(str(checkpoint)))


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda checkpoint: config_of(load_preset("small").starting(str(checkpoint))),
            InvalidValueError,
            r"model.n_layers = 4, but in the checkpoint '.*tiny' it is 2: with start .* as the preset 'finetune' does",
        ),
        (
            _set("model.task_heads=one per task"),
            InvalidValueError,
            r"model.task_heads = 2, but in the checkpoint '.*' it is 1: with start the shape is the checkpoint's",
        ),
        (_set("model.layers=2"), UnknownNameError, "unknown config key 'layers'; did you mean 'n_layers'"),
        (
            lambda _: config_of(load_preset("finetune")),
            InvalidValueError,
            "preset 'finetune' has no section model, .* none is given; give one with 'interp train --from FOLDER' or",
        ),
        (
            lambda _: config_of(load_preset("small").override(["start.adaptation=lora"])),
            InvalidValueError,
            "preset 'small' has a section start that names no checkpoint; give one with 'interp train --from FOLDER'",
        ),
        (_set("start.adaptation=norm"), InvalidValueError, "'adaptation' = 'norm': input should be 'full' or 'lora'"),
        (_set("start.adaptation=lora", "start.rank=0"), InvalidValueError, "config key 'rank' = 0: input should be gr"),
        (
            _set("start.adaptation=lora", "start.rank=9"),
            InvalidValueError,
            "start.rank 9 is more than the rank of the narrowest adapted map, 8; choose less, or start.adaptation 'ful",
        ),
        (_set("start.adaptation=lora", "start.adapted=norms"), InvalidValueError, "'adapted' = 'norms': input should"),
        (
            _set("start.rank=4"),
            InvalidValueError,
            "start.rank = 4 with start.adaptation = 'full', which trains every weight; leave it out, or set",
        ),
        (_set("start.ranks=4"), UnknownNameError, "unknown config key 'ranks'; did you mean 'rank'"),
        (_set("start.digest=0123"), InvalidValueError, "has changed: its digest was '0123' when the run was made"),
    ],
)
def test_what_is_refused(checkpoint: Path, make: Callable[[Path], object], kind: type[InterpError], text: str) -> None:
    with pytest.raises(kind, match=text):
        make(checkpoint)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, r"field 'architectures' .*: this architecture cannot be loaded"),
        ({"vocab_size": 7}, r"config.json': field 'vocab_size' = 7: 'model.embed_tokens.weight' in .* has \d+ rows"),
    ],
)
def test_what_the_loader_refuses_is_told_before_training(
    checkpoint: Path, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    write_json(tmp_path / "other" / "config.json", {**read_json(checkpoint / "config.json"), **changes})
    with pytest.raises(InvalidValueError, match=text):
        config_of(load_preset("finetune").starting(str(tmp_path / "other")))


def test_a_lacking_character_is_told_before_training(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    tokenizer = tmp_path / "other" / "tokenizer.json"
    values = json.loads(tokenizer.read_text())
    values["model"]["vocab"]["(other)"] = values["model"]["vocab"].pop("=")
    tokenizer.write_text(json.dumps(values))
    with pytest.raises(InvalidValueError, match="has no token that is the character '=' alone"):
        config_of(load_preset("finetune").starting(str(tmp_path / "other")))


def test_one_unembedding_for_each_task_is_refused(checkpoint: Path) -> None:
    values = finetuning(checkpoint).model_dump(mode="json")
    values["model"] |= {"task_heads": 2, "unembedding": "separate"}
    with pytest.raises(InvalidValueError, match="task_heads 2 with start: a checkpoint has one unembedding for all"):
        TrainConfig.read(values)


def test_a_shape_that_is_not_the_checkpoints_is_refused(checkpoint: Path) -> None:
    config = finetuning(checkpoint)
    other = config.model_copy(update={"model": config.model.model_copy(update={"rotary_base": 500.0})})
    with pytest.raises(InvalidValueError, match="model.rotary_base = 500.0, but in the checkpoint '.*' it is 10000.0"):
        start_model(other)
    with pytest.raises(InvalidValueError, match="the configuration has no start; give start.checkpoint"):
        start_model(tiny_config())


def test_a_finetuned_model_goes_back_to_a_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    run = train(finetuning(checkpoint, train={"steps": 2}), tmp_path / "run")
    model, generator = run.model(), named_generator(run.config.seed, "weights")
    loaded = load_for_tasks(checkpoint, model.vocabulary, generator=generator)
    save_pretrained(replace(loaded, model=model), tmp_path / "saved")
    again = load_for_tasks(tmp_path / "saved", model.vocabulary, generator=generator).model
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in again.state_dict().items())


def test_qwen_like_biases_are_trained_and_kept(tmp_path: Path) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "qwen", shape={**SHAPE, "biases": "qkv", "unembedding": "separate"})
    run = train(finetuning(checkpoint, train={"steps": 3}), tmp_path / "run")
    assert bool(run.model().blocks[0].attn.b_Q.any())
