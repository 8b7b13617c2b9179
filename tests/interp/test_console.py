"""What a person sees: tables in full, one line per tenth of a run, and nothing of it on stdout but results."""

from pathlib import Path

import pandas as pd
import pytest

from interp.asking.options import Output
from interp.terminal.console import Monitor, check_output, emit, say, show, tables_aside
from tasks import InvalidValueError
from training import Progress

TABLE = pd.DataFrame(
    {
        "measure_of_a_long_name": ["mean absolute difference of the ablation maps"] * 2,
        "estimate": [0.123456, float("nan")],
        "large": [123456.7, 2.0],
        "layer": pd.array([1, pd.NA], dtype="Int64"),
        "markup": ["[shift]", "[bold]x"],
        "hidden": ["secret", "secret"],
    }
)
COLUMNS = ["measure_of_a_long_name", "estimate", "large", "layer", "markup"]


def test_say_speaks_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


def test_a_table_is_shown_whole_where_no_terminal_cuts_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show(TABLE, columns=COLUMNS * 3, title="a [title]")
    title, heading, _, first, second = capsys.readouterr().out.splitlines()
    assert title == "a [title]"
    assert heading.split()[:5] == ["measure", "of", "a", "long", "name"]
    assert first.split()[:10] == [
        *["mean", "absolute", "difference", "of", "the", "ablation", "maps"], "0.123", "123456.7", "1"
    ]  # fmt: skip
    assert second.split()[7:10] == ["-", "2.0", "-"]
    assert "[shift]" in first
    assert "[bold]x" in second
    assert "secret" not in first


def test_an_exported_width_is_kept_to(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    show(TABLE, columns=COLUMNS, title="a title of more than sixty characters, which goes on in a line of its own")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert "mean absolute" in shown


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show(TABLE.iloc[:0], columns=COLUMNS, title="shared heads")
    assert capsys.readouterr().out == "shared heads\nnothing\n"


def test_what_is_shown_goes_aside_where_a_table_is_printed_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output, where in ((Output(), "out"), (Output(json=True), "err"), (Output(out=tmp_path / "x.csv"), "err")):
        with tables_aside(output) as aside:
            show(TABLE, columns=["estimate"], title="t")
        assert aside == (where == "err")
        shown = capsys.readouterr()
        assert getattr(shown, where).startswith("t\n")
        assert shown.out + shown.err == getattr(shown, where)


def test_emit_writes_every_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.parquet"
    emit(TABLE, Output(out=path), columns=COLUMNS, title="t")
    assert pd.read_parquet(path).equals(TABLE)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "new/deep/x.csv"])
def test_checking_an_output_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    check_output(Output(out=tmp_path / name))
    check_output(Output())
    assert list(tmp_path.iterdir()) == []


def test_an_older_table_is_replaced_only_when_the_new_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    check_output(Output(out=path))
    assert path.read_text() == "old"
    emit(TABLE, Output(out=path), columns=COLUMNS, title="t")
    assert len(pd.read_csv(path)) == 2


def test_a_place_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InvalidValueError, match="^cannot write '.*x.csv': Permission denied; choose another place$"):
        check_output(Output(out=tmp_path / "x.csv"))


def test_monitor_off_a_terminal_says_each_tenth_once(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor()
    with monitor.running():
        for step in range(1, 41):
            monitor("alone", Progress(step, 40, 1 / step))
        monitor("control", Progress(7, 7, float("nan")))
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 12
    assert lines[-3:] == [
        "alone: step 36 of 40, loss 0.028",
        "alone: step 40 of 40, loss 0.025",
        "control: step 7 of 7, loss -",
    ]


def test_monitor_on_a_terminal_shows_steps_loss_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monitor = Monitor()
    with monitor._console.capture() as captured, monitor.running():
        monitor("alone", Progress(20, 40, 0.5))
    shown = captured.get()
    assert "alone" in shown
    assert "20/40" in shown
    assert "loss 0.500" in shown
    assert "left" in shown
