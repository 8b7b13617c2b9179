"""The gap grid as a figure: every number in its place, the star, the same bytes again."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from interp.paper import gap_grid_figure, paper_gaps, save_figure
from interp.paper.style import Format

TABLE = pd.DataFrame(
    {
        "main_length": [10, 5, 5, 10],
        "auxiliary_length": [20, 10, 20, 10],
        "gap": [0.7, 0.11, 0.22, 0.0],
        "low": [0.6, float("nan"), 0.2, 0.0],
        "high": [0.8, float("nan"), 0.24, 0.1],
        "longer_accuracy": [0.5, 1.0, 0.95, 0.91],
    }
)


def texts(figure: Figure) -> dict[tuple[int, int], list[str]]:
    """The texts of the first panel by row and column."""
    found: dict[tuple[int, int], list[str]] = {}
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        found.setdefault((round(row), round(column)), []).append(text.get_text())
    return found


def test_every_number_stands_in_its_cell() -> None:
    figure = gap_grid_figure([("ours", TABLE)], width="column")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["5", "10"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20"]
    assert texts(figure) == {
        (0, 0): ["0.11"],
        (0, 1): ["0.22", "0.20–0.24"],
        (1, 0): ["0.00", "0.00–0.10"],
        (1, 1): ["0.70*", "0.60–0.80"],
    }
    assert axes.collections[0].get_clim() == (0, 1)
    note = figure.get_supxlabel()
    assert note == "* the longer-trained task is itself below 0.9"


def test_no_star_no_note() -> None:
    assert gap_grid_figure([("ours", TABLE[TABLE["longer_accuracy"] > 0.9])], width="column").get_supxlabel() == ""


def test_the_papers_table() -> None:
    table = paper_gaps().set_index(["main_length", "auxiliary_length"])["gap"]
    assert len(table) == 49
    assert (table[4, 8], table[8, 4], table[16, 256], table[256, 128]) == (0.41, 0.28, 0.95, 0.20)
    assert all(table[length, length] == 0 for length in (4, 8, 16, 32, 64, 128, 256))
    assert len(gap_grid_figure([("ours", TABLE), ("paper", paper_gaps())], width="page").axes) == 3, (
        "two panels and one scale"
    )


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_data_give_the_same_bytes(tmp_path: Path, form: Format) -> None:
    first, again = (
        save_figure(gap_grid_figure([("ours", TABLE)], width="column"), tmp_path / name, form=form).read_bytes()
        for name in "ab"
    )
    assert first == again
    start = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[form]
    assert first.startswith(start)
    assert len(first) > 5000
    assert form != "pdf" or b"/FontFile2" in first, "fonts are embedded"
