"""How paper figures look and how they are written."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from training.files import write_whole

Format = Literal["svg", "pdf", "png"]

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches: one column of a two-column paper, and both."""

_RULES: Any = {  # matplotlib's own type names every key
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the figure is the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # embedded as TrueType, which journals ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "interp",
    "savefig.dpi": 300,
}


@contextmanager
def paper_style() -> Generator[None, None, None]:
    """Draws in the style of a paper, and leaves matplotlib's settings as they were."""
    with mpl.rc_context(_RULES):
        yield


def save_figure(figure: Figure, path: Path, *, form: Format) -> Path:
    """Writes a figure, without a date, so that the same figure is the same bytes.

    Raises:
        InvalidValueError: The place cannot be written.
    """
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    with paper_style():
        return write_whole(path, lambda part: figure.savefig(part, format=form, metadata=dates, bbox_inches="tight"))
