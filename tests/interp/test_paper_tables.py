"""Tables as LaTeX: read back by a small parser of our own, and by LaTeX where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from interp.asking.options import Output
from interp.terminal.console import check_output, emit
from interp.terminal.latex import escaped, latex_table

NAN = float("nan")


def parsed(text: str) -> tuple[str, list[list[str]]]:
    """Column kinds and cells of a booktabs tabular, unescaped."""
    found = re.fullmatch(
        r"(?:%[^\n]*\n)*\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n(.*?)\\midrule\n(.*?)\\bottomrule\n\\end\{tabular\}\n",
        text, re.DOTALL,
    )  # fmt: skip
    assert found, text
    lines = [*found[2].splitlines(), *found[3].splitlines()]
    assert all(line.endswith(r" \\") for line in lines)
    cells = [[_plain(cell) for cell in re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))] for line in lines]
    assert {len(row) for row in cells} == {len(found[1])}
    return found[1], cells


def _plain(cell: str) -> str:
    cell = re.sub(r"\$([<-])\$", r"\1", cell).replace(r"$\infty$", "inf").replace(r"$-\infty$", "-inf")
    assert not re.search(r"(?<!\\)[$&%#_{}~^]", re.sub(r"\\text\w+\{\}", "", cell)), cell
    for code, character in (("textbackslash", "\\"), ("textasciicircum", "^"), ("textasciitilde", "~"),
                            ("textless", "<"), ("textgreater", ">"), ("textbar", "|")):  # fmt: skip
        cell = cell.replace(f"\\{code}{{}}", character)
    return re.sub(r"\\([$&%#_{}])", r"\1", cell)


def test_numbers_have_sensible_digits_and_intervals_share_a_cell() -> None:
    table = pd.DataFrame(
        {
            "task": ["shift", "a_b & 50% {x} $y$ #1 ~ ^ \\ ü\nz"],
            "length": [15, 5],
            "effect": [0.51234, -0.00321],
            "estimate": [0.94321, 0.5],
            "low": [0.931, NAN],
            "high": [0.961, NAN],
            "null_mean": [12.3, -0.04],
            "null_low": [-2.0, -0.5],
            "null_high": [30.0, 0.4],
            "p": [0.0001, 0.23456],
            "q": [0.0432, NAN],
            "steps": [1234.0, 12.0],
            "big": [123456.7, 1.0],
            "sure": [True, False],
            "note": [None, "ok"],
        }
    )
    kinds, (head, first, second) = parsed(latex_table(table, columns=list(map(str, table)), title="a\nb"))
    assert kinds == "lrrrrrrrrll"
    assert head == ["task", "length", "effect", "estimate", "null mean", "p", "q", "steps", "big", "sure", "note"]
    # estimate: the interval's half width is .015, two digits of it are three decimals; the null's is 16: none.
    # effect: the largest is .512, three digits of it.
    assert first == ["shift", "15", "0.512", "0.943 [0.931, 0.961]", "12 [-2, 30]", "<0.001", "0.043", "1234", "123457",
                     "yes", ""]  # fmt: skip
    # the second estimate has no interval; its null's half width is .45
    assert second[:3] == ["a_b & 50% {x} $y$ #1 ~ ^ \\ ü z", "5", "-0.003"]
    assert second[3:] == ["0.500", "-0.04 [-0.50, 0.40]", "0.23", "--", "12", "1", "no", "ok"]


def test_an_interval_goes_to_the_nearest_number_that_is_no_error() -> None:
    columns = ["head", "first", "gain", "stderr", "low", "high"]
    table = pd.DataFrame([["0.1", 0.5, 0.25, 0.011, 0.2, 0.3]], columns=columns)
    _, (head, row) = parsed(latex_table(table, columns=columns, title=""))
    assert head == ["head", "first", "gain", "stderr"]
    assert row == ["0.1", "0.500", "0.250 [0.200, 0.300]", "0.0110"]


def test_ends_without_a_number_stay_columns() -> None:
    table = pd.DataFrame({"name": ["x"], "low": [0.5], "high": [float("inf")]})
    _, cells = parsed(latex_table(table, columns=list(map(str, table)), title=""))
    assert cells == [["name", "low", "high"], ["x", "0.500", "inf"]]


def test_zero_has_no_sign_and_an_empty_table_is_a_table() -> None:
    table = pd.DataFrame({"x": [-0.0000001, 0.5]})
    assert parsed(latex_table(table, columns=["x"], title=""))[1][1:] == [["0.000"], ["0.500"]]
    assert parsed(latex_table(table.iloc[:0], columns=["x"], title=""))[1] == [["x"]]


def test_escaped() -> None:
    assert escaped("a_1\n b") == r"a\_1 b"
    assert escaped("p < 1|>") == r"p \textless{} 1\textbar{}\textgreater{}", "LaTeX's own font has others there"


def test_no_row_begins_with_what_latex_takes_for_an_option() -> None:
    # Behind "\\\\" and "\\midrule", "[shift]" would be a length, and "*" would vanish.
    table = pd.DataFrame({"*": ["[shift]", "* a", "b"], "token": ["[1]", "*", "c"]})
    lines = latex_table(table, columns=["*", "token"], title="").splitlines()
    assert lines[4:-2] == [r"{}* & token \\", r"\midrule", r"{}[shift] & [1] \\", r"{}* a & * \\", r"b & c \\"]


def test_out_by_its_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(out=tmp_path / "new" / "t.tex")
    check_output(output)
    table = pd.DataFrame({"task": ["shift", "copy"], "effect": [0.25, 0.5], "hidden": [1, 2]})
    emit(table, output, columns=["task", "effect"], title="what it is", shown=table.head(1))
    assert output.out is not None
    text = output.out.read_text(encoding="utf-8")
    assert text.startswith("% what it is\n")
    assert parsed(text)[1] == [["task", "effect"], ["shift", "0.250"]]
    assert capsys.readouterr().err.endswith("1 of 2 rows; .csv or .parquet holds all of them\n")
    emit(table, output, columns=["task", "effect"], title="what it is", shown=table.head(1))
    assert output.out.read_text(encoding="utf-8") == text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_reads_it(tmp_path: Path) -> None:
    table = pd.DataFrame({"a_b": [r"50% & {x} $y$ #1 ~ ^ \ ü"], "estimate": [0.5], "low": [0.4], "high": [0.6]})
    (tmp_path / "t.tex").write_text(latex_table(table, columns=list(map(str, table)), title="t"), encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{t.tex}\end{document}"
    (tmp_path / "d.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "d.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
