"""Files of paper figures: the same bytes from the same data, fonts embedded, pgf without a TeX program."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from interp.paper import save_figure
from interp.paper.style import Format, paper_style
from tasks import InvalidValueError
from tests.interp.test_paper_figures import case

NAMES = ("maps small", "circuit small", "accuracy", "overlap small", "attention one", "primitives small", "theory")


@pytest.mark.parametrize(
    ("name", "form"),
    [*(("maps small", form) for form in get_args(Format)), ("overlap small", "pdf"), ("overlap small", "pgf")],
)
def test_the_same_data_give_the_same_bytes(tmp_path: Path, name: str, form: Format) -> None:
    before = dict(mpl.rcParams)
    first, again = (save_figure(case(name, "column"), tmp_path / f"{at}", form=form).read_bytes() for at in "ab")
    assert first == again
    assert len(first) > 5000
    assert dict(mpl.rcParams) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "no pictures beside"
    start = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG", "pgf": b"%% A pgf picture."}[form]
    assert first.startswith(start)
    assert form != "pdf" or (b"/FontFile2" in first and b"/Type3" not in first), "TrueType, embedded"
    assert form not in ("svg", "pdf") or not re.search(rb"<image|/Subtype /Image", first), "vector"


def test_the_width_is_that_of_the_column(tmp_path: Path) -> None:
    text = save_figure(case("maps small", "column"), tmp_path / "a.svg", form="svg").read_text()
    assert 'width="237.6pt"' in text, "3.3 inches of 72 points"


@pytest.mark.parametrize("name", NAMES)
def test_pgf_asks_no_program_and_is_sound_tex(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    text = save_figure(case(name, "column"), tmp_path / "a.pgf", form="pgf").read_text(encoding="utf-8")
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", text))
    assert opened[0] == "pgfpicture"
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert "nan" not in text
    assert r"\includegraphics" not in text


def test_words_in_pgf_are_escaped(tmp_path: Path) -> None:
    with paper_style():
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, r"50% of $x_1$ & {y} #2 ~ ^ \z")
    text = save_figure(figure, tmp_path / "a.pgf", form="pgf").read_text(encoding="utf-8")
    assert r"50\% of \$x\_1\$ \& \{y\} \#2 \textasciitilde{} \textasciicircum{} \textbackslash{}z" in text


def test_pgf_holds_no_pixels(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 2))
    figure.subplots().imshow(np.eye(2))
    with pytest.raises(InvalidValueError, match="a pgf picture holds no pixels, .* draw its cells with pcolormesh, or"):
        save_figure(figure, tmp_path / "a.pgf", form="pgf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_latex_reads_it(tmp_path: Path, name: str) -> None:
    save_figure(case(name, "column"), tmp_path / "a.pgf", form="pgf")
    document = r"\documentclass{article}\usepackage{pgf}\begin{document}\input{a.pgf}\end{document}"
    (tmp_path / "d.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "d.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
