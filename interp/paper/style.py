"""How paper figures look and how they are written."""

import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from interp.figures.style import DIVERGING
from interp.paper.pgf import write_pgf
from training.files import write_whole

Format = Literal["svg", "pdf", "png", "pgf"]

Width = Literal["column", "page"]

COLUMN, PAGE = 3.3, 6.9
"""Widths in inches: one column of a two-column paper, and both."""

TALLEST = 8.9
"""Height in inches that a page has room for, with a caption."""

EFFECTS = LinearSegmentedColormap.from_list("effects", [(place, color) for place, color in DIVERGING])
"""Vermillion for harm, paper for no effect, blue for help; in grey both ends are dark, so harm is hatched too."""

ATTENTION = "Greys"
"""White for no attention, black for all of it."""

HATCH = "/////"
"""Lies over what is below zero."""

NOTE = 6
"""Size of notes and other small print, in points."""

_RULES: Any = {  # matplotlib's own type names every key
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the figure is the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,  # embedded as TrueType, which journals ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "interp",
    "savefig.dpi": 300,
    "text.parse_math": False,  # a "$" in a task's name is a dollar sign
}


@contextmanager
def paper_style() -> Generator[None, None, None]:
    """Draws in the style of a paper, and leaves matplotlib's settings as they were."""
    with mpl.rc_context(_RULES):
        yield


def inches(width: Width) -> float:
    """A figure's width in inches."""
    return COLUMN if width == "column" else PAGE


def note(figure: Figure, text: str) -> None:
    """Small print below a figure, in lines that fit its width."""
    letters = int(figure.get_figwidth() * 21.5)  # what a letter of that size needs
    figure.supxlabel(textwrap.fill(text, letters), fontsize=NOTE, x=0.01, ha="left")


def vector_bar(bar: Colorbar) -> None:
    """Makes a colour bar of cells: matplotlib would draw it in pixels."""
    for cells in bar.ax.collections:
        cells.set_rasterized(False)
        if isinstance(cells, QuadMesh):
            cells.set_edgecolor("face")  # or readers show hairlines between the cells
    bar.ax.spines[:].set_linewidth(0.4)


def plain_axes(axes: Axes) -> None:
    """Axes without the lines above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def bare_axes(axes: Axes) -> None:
    """Axes of a table of cells: no lines and no tick marks."""
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def save_figure(figure: Figure, path: Path, *, form: Format) -> Path:
    """Writes a figure at its own size, without a date, so that the same figure is the same bytes.

    `pgf` needs no LaTeX here (`interp.paper.pgf`); the document that reads it sets the words in its own font.

    Raises:
        InvalidValueError: The place cannot be written.
    """
    with paper_style():
        for _ in range(2):  # a layout begins from the last one; the third is like the second
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
        if form == "pgf":
            return write_whole(path, lambda part: write_pgf(figure, part))
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
        return write_whole(path, lambda part: figure.savefig(part, format=form, metadata=dates))
