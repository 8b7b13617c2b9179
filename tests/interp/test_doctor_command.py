"""`interp doctor`: what it looks at, what it says is missing and how to get it, and its exit code."""

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

from interp.cli import run
from interp.doctor import checkup, installed


def found(capsys: pytest.CaptureFixture[str], *, code: int = 0) -> dict[str, dict[str, str]]:
    """The findings by what they are about."""
    capsys.readouterr()
    assert run(["doctor", "--json"]) == code
    return {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without runs, on a machine with all that is needed and none of the extras."""
    monkeypatch.chdir(tmp_path)
    needed, extras = installed.requirements()
    plain = {one.name for one in needed}
    assert plain.isdisjoint({"ray", "anywidget"})
    assert {"notebook", "ray", "dev"} <= set(extras)

    def version_of(name: str) -> str:
        if name in plain:
            return "2.13.0+cpu" if name == "torch" else "9999.1"
        raise PackageNotFoundError(name)

    monkeypatch.setattr("interp.doctor.installed.version", version_of)
    return tmp_path


def test_all_that_it_looks_at(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = found(capsys)
    expected = [
        "python",
        "system",
        "cores",
        "memory",
        "torch",
        "threads",
        "devices",
        "writing runs",
        "free disk",
        "runs",
    ]
    assert [name for name in table if not name.startswith(("package", "extra"))] == expected
    assert "package pandas" in table
    assert table["torch"]["found"].startswith(torch.__version__)
    assert table["threads"]["found"].split(",")[0] == str(torch.get_num_threads())
    assert table["devices"]["found"].startswith("cpu")
    assert table["writing runs"]["found"] == str(healthy / "runs")
    assert list(healthy.iterdir()) == []


def test_packages_stand_beside_the_tested_versions(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = found(capsys)
    lines = (installed.CHECKOUT / "constraints.txt").read_text().splitlines()
    (tested,) = [line.removeprefix("pandas==") for line in lines if line.startswith("pandas==")]
    row = table["package pandas"]
    assert (row["state"], row["found"]) == ("note", "9999.1")
    assert row["wanted"].endswith(f"or newer, tested {tested}")
    assert table["package torch"]["state"] == "ok", "+cpu is the same version"


def test_an_extra_that_is_missing_and_the_command_that_gets_it(
    healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = found(capsys)
    row = table["extra ray"]
    assert (row["state"], row["found"]) == ("missing", "lacks ray")
    checkout = installed.CHECKOUT
    assert row["advice"].endswith(f" -m pip install -c {checkout}/constraints.txt -e '{checkout}[ray]'")
    monkeypatch.setattr("interp.doctor.installed.CHECKOUT", healthy / "site-packages")  # from a wheel
    assert found(capsys)["extra ray"]["advice"].endswith(" -m pip install --upgrade 'interp-toolkit[ray]'")
    assert run(["doctor"]) == 0
    assert "extra ray: " in capsys.readouterr().err


@pytest.mark.parametrize("there", ["2.0.1", None])
def test_a_needed_package_that_is_old_or_missing_is_broken(
    healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, there: str | None
) -> None:
    before = installed.version

    def version_of(name: str) -> str:
        if name != "pandas":
            return before(name)
        if there is None:
            raise PackageNotFoundError(name)
        return there

    monkeypatch.setattr("interp.doctor.installed.version", version_of)
    row = found(capsys, code=1)["package pandas"]
    assert (row["state"], row["found"]) == ("broken", there or "not there")
    assert " -m pip install " in row["advice"]


def test_a_damaged_run_is_broken(made: Path, healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("whole", "it's cut"):
        shutil.copytree(made / "runs/tiny", healthy / "runs" / name)
    (healthy / "runs/it's cut/metrics.parquet").write_bytes(b"PAR1")
    table = found(capsys, code=1)
    assert table["runs"]["found"] == "1 whole"
    assert [table["run"][name] for name in ("state", "found")] == ["broken", "it's cut: metrics.parquet is damaged"]
    assert table["run"]["advice"] == """interp runs remove 'it'"'"'s cut', and train it again"""


def test_a_place_that_cannot_be_written(
    healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    row = found(capsys, code=1)["writing runs"]
    assert row["found"] == f"Permission denied: {healthy}"
    assert row["advice"] == f"start from a folder that you may write, or mend the rights of '{healthy}'"


@pytest.mark.parametrize(("free", "state"), [(5e9, "ok"), (1e9, "note"), (1e7, "broken")])
def test_free_disk(
    healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: shutil._ntuple_diskusage(10**12, 10**12, int(free)))
    row = found(capsys, code=int(state == "broken"))["free disk"]
    assert (row["state"], row["advice"] == "") == (state, state == "ok")


def test_a_torch_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # what makes importing it fail
    (finding,) = checkup.torch_and_devices()
    assert (finding.what, finding.state) == ("torch", "broken")
    assert finding.advice.endswith(" -m pip install --force-reinstall torch")


def test_a_card_that_this_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    finding = next(one for one in checkup.torch_and_devices() if one.what == "devices")
    assert (finding.state, finding.found) == ("note", "cpu")
    assert finding.advice.startswith("there is a graphics card, and this torch cannot use it")


def test_what_is_installed_here_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "interp.doctor.installed.CHECKOUT", tmp_path
    )  # no sources: what was installed says what is needed
    needed, _ = installed.requirements()
    torch_ = next(one for one in needed if one.name == "torch")
    assert torch_.installed == version("torch")
    assert torch_.works
