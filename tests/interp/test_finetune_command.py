"""`interp train --from`, and what the other commands make of a finetuned run."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from interp.cli import run
from tests.interp.conftest import Refused
from tests.training.tiny_checkpoint import write_tiny_checkpoint
from training import load_run
from training.files import write_json

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = ["--set", "train.steps=2", "measure.n=4", "measure.checkpoints=1"]


@pytest.mark.slow
def test_finetuned_by_name_and_revision_and_analysed_without_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_checkpoint(tmp_path / "family" / "step-8")
    assert run(["train", "--from", "family@step-8", *SHORT]) == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name.startswith("copy+shift-auxiliary-finetune-seed0-"), "with a digest of the checkpoint's name"
    start = load_run().config.start
    assert start is not None
    assert (start.checkpoint, start.revision, start.adaptation) == (str(tmp_path / "family"), "step-8", "full")
    shutil.rmtree(tmp_path / "family")
    assert run(["ablate", "--heads", "--length", "3", "--n", "8", "--out", "map.csv"]) == 0
    table = pd.read_csv("map.csv")
    assert set(zip(table["layer"], table["head"], strict=True)) == {
        (layer, head) for layer in (0, 1) for head in range(4)
    }


def test_lora_by_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_checkpoint(tmp_path / "tiny")
    lora = ["start.adaptation=lora", "start.rank=2", "start.adapted=all"]
    assert run(["train", "finetune", "--from", "tiny", "--name", "lora", *SHORT, *lora]) == 0
    start = load_run("lora").config.start
    assert start is not None
    assert (start.adaptation, start.rank, start.adapted) == ("lora", 2, "all")


def test_keys_that_are_set_take_the_place_of_the_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("step-0", "step-8")):
        write_tiny_checkpoint(tmp_path / "family" / name, seed=seed)
    assert run(["train", "--from", "family@step-8", "--name", "set", *SHORT, "start.revision=step-0"]) == 0
    start = load_run("set").config.start
    assert start is not None
    assert start.revision == "step-0"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["train", "--from", "no/where/at/all"],
            "no folder 'no/where/at/all'; give a checkpoint's folder, or a name .*",
        ),
        (["train", "finetune"], "preset 'finetune' has no section model, so it finetunes a checkpoint, and none is .*"),
        (
            ["train", "--from", "other"],
            "'other/config.json': field 'architectures' = .*: this architecture cannot be .*",
        ),
        (["train", "small", "--from", "tiny"], "model.n_layers = 4, but in the checkpoint '.*tiny' it is 2: with .*"),
    ],
)
def test_what_is_refused(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_checkpoint(tmp_path / "tiny")
    write_json(tmp_path / "other" / "config.json", {"architectures": ["GPT2LMHeadModel"]})
    refused(arguments, text)
