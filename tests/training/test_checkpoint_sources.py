"""Where a checkpoint is looked for: paths with an `@`, names the hub cannot have, and folders that are no runs."""

from pathlib import Path

import pytest

from interp.runs.folders import WEIGHTS, folder_at, folders_below
from tasks import BrokenRunError, InvalidValueError
from tests.training.tiny_checkpoint import write_tiny_checkpoint
from training import list_runs
from training.config import StartConfig
from training.pretrained import load_pretrained, open_checkpoint
from training.pretrained.shards import INDEX, WHOLE
from training.pretrained.source import find_folder
from training.start import pinned


def test_a_path_may_have_an_at_sign_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "me@lab"
    write_tiny_checkpoint(home / "family" / "step-8")
    monkeypatch.chdir(home)
    for place in ("family@step-8", f"{home}/family@step-8", f"{home}/family/step-8"):
        start = pinned(StartConfig(checkpoint=place))
        assert find_folder(start.checkpoint, revision=start.revision) == home / "family" / "step-8"
        assert pinned(start.model_copy(update={"digest": ""})) == start  # what is written down is found again
    with pytest.raises(InvalidValueError, match="names revision 'step-8', and 'step-9' was asked for; give one"):
        find_folder(f"{home}/family@step-8", revision="step-9")


@pytest.mark.parametrize("name", ["foo--bar", "foo.", "-x"])
def test_a_name_that_the_hub_cannot_have(name: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^no folder '{name}', and the hub cannot have that name: "):
        open_checkpoint(name)


def test_weights_that_only_the_reader_finds_damaged(tmp_path: Path) -> None:
    file = write_tiny_checkpoint(tmp_path / "tiny") / "model.safetensors"
    file.write_bytes(file.read_bytes() + b"more")  # bytes that no tensor has
    with pytest.raises(BrokenRunError, match=r"tiny/model\.safetensors' cannot be read \(.*\); fetch the checkpoint"):
        load_pretrained(tmp_path / "tiny")


def test_a_checkpoint_under_runs_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = write_tiny_checkpoint(Path("runs") / "pretrained" / "step-8")
    assert list_runs() == []
    assert WEIGHTS == (WHOLE, INDEX)  # the command line lists runs without loading torch
    assert folder_at(place) is None
    assert folders_below() == []
    (place / "model.safetensors").rename(place / "elsewhere")
    assert list_runs() == ["pretrained/step-8"]  # a config.json alone is a run's, if a damaged one
