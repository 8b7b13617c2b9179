"""Files are whole or not there, and every damaged one is refused by a text that says which and what to do."""

import re
from pathlib import Path

import pandas as pd
import pytest
import safetensors
import torch

import training.files
from tasks import BrokenRunError, InvalidValueError
from tests.training.tiny import files
from training.files import (
    read_json,
    read_table,
    read_tensors,
    remove_parts,
    write_json,
    write_table,
    write_tensors,
    write_whole,
)

TABLE = pd.DataFrame({"a": range(1000), "b": ["x", "y"] * 500})
TENSORS = {"w": torch.arange(300.0), "step": torch.tensor(7)}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "deep" / "x.json", {"b": 1, "a": [2.5, "é"]})
    assert read_json(tmp_path / "new" / "deep" / "x.json") == {"b": 1, "a": [2.5, "é"]}
    assert read_table(write_table(tmp_path / "x.parquet", TABLE)).equals(TABLE)
    tensors = read_tensors(write_tensors(tmp_path / "x.safetensors", {**TENSORS, "turned": torch.ones(2, 3).T}))
    assert torch.equal(tensors["w"], TENSORS["w"])
    assert tensors["turned"].shape == (3, 2)
    assert sorted(files(tmp_path)) == ["new/deep/x.json", "x.parquet", "x.safetensors"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_json(tmp_path / "x.json", {"old": 1})
    before = files(tmp_path)

    def half(part: Path) -> None:
        part.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(path, half)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), safetensors.SafetensorError("No space left on device")],
    ids=["os", "safetensors"],
)
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(tensors: object, part: Path) -> None:
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(training.files, "save_file", full)
    path = tmp_path / "x.safetensors"
    text = re.escape(f"cannot write {str(path)!r}: No space left on device; choose another place")
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        write_tensors(path, TENSORS)
    assert files(tmp_path) == {}


def test_a_real_failure_of_the_tensor_writer_is_told(tmp_path: Path) -> None:
    text = "^cannot write '/proc/x.safetensors': .*; choose another place$"
    with pytest.raises(InvalidValueError, match=text):
        write_tensors(Path("/proc/x.safetensors"), TENSORS)


def test_refuses_a_place_below_a_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "file" / "x.json", tmp_path / "folder.json"):
        with pytest.raises(InvalidValueError, match=f"^cannot write {re.escape(repr(str(path)))}: .*; choose another"):
            write_json(path, {})
    assert files(tmp_path) == {"file": b""}


def test_remains_of_killed_writers_are_removed(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "x.json", {})
    (tmp_path / "deep" / ".x.json.123.part.json").write_text("{")
    (tmp_path / ".tmpAbCd").write_text("safetensors writes so")
    remove_parts(tmp_path)
    assert files(tmp_path) == {"deep/x.json": b"{}\n"}


@pytest.mark.parametrize("read", [read_json, read_table, read_tensors])
def test_missing_file(tmp_path: Path, read: object) -> None:
    assert callable(read)
    text = f"{str(tmp_path / 'x')!r} is missing: the run is not whole; remove the folder and train it again"
    with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}$"):
        read(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe{}", b"\x00" * 40, b"nonsense"])
def test_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    text = f"^{re.escape(repr(str(tmp_path / 'x')))} cannot be read .*; remove the folder and train it again$"
    with pytest.raises(BrokenRunError, match=text):
        read_json(tmp_path / "x")


def test_json_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("[1]")
    text = f"^{re.escape(repr(str(tmp_path / 'x')))} holds no JSON object; remove the folder and train it again$"
    with pytest.raises(BrokenRunError, match=text):
        read_json(tmp_path / "x")


@pytest.mark.parametrize("read", [read_table, read_tensors])
def test_truncated_at_every_place(tmp_path: Path, read: object) -> None:
    assert callable(read)
    path = tmp_path / "x"
    whole = (write_table(path, TABLE) if read is read_table else write_tensors(path, TENSORS)).read_bytes()
    counts = {
        0,
        1,
        7,
        8,
        9,
        len(whole) // 2,
        len(whole) - 9,
        len(whole) - 8,
        len(whole) - 1,
        *range(16, len(whole), 97),
    }
    text = f"^{re.escape(repr(str(path)))} is damaged .*; remove the folder and train it again$"
    for count in counts:
        path.write_bytes(whole[:count])
        with pytest.raises(BrokenRunError, match=text):
            read(path)


@pytest.mark.parametrize("read", [read_table, read_tensors])
def test_garbage(tmp_path: Path, read: object) -> None:
    assert callable(read)
    path = tmp_path / "x"
    for content in (b"nonsense" * 40, b"\x00" * 200, b"PAR1" + b"\x00" * 60 + b"PAR1", b"\xff" * 200):
        path.write_bytes(content)
        with pytest.raises(BrokenRunError, match="is damaged .*; remove the folder and train it again$"):
            read(path)


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_a_folder_in_its_place(tmp_path: Path, read: object) -> None:
    assert callable(read)
    (tmp_path / "x").mkdir()
    with pytest.raises(BrokenRunError, match="remove the folder and train it again$"):
        read(tmp_path / "x")
