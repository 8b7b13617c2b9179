"""Which layer holds which primitive: the strongest verdict of each layer's heads, and which heads they are."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analyses.primitives.verdict import VERDICTS
from interp.figures.style import BLUE
from interp.paper.names import fitting
from interp.paper.style import NOTE, TALLEST, Width, bare_axes, inches, paper_style

_LOOKS = {
    "implements": ("#003f66", "white", ""),
    "attends and writes": (BLUE, "white", ""),
    "attends only": ("#dcebf5", "#5b8fb0", "//////"),
    "writes only": ("#f7f7f5", "#888888", "......"),
    "none": ("white", "#cccccc", ""),
}
"""Face, edge and hatching of each verdict, the stronger the darker."""

_READ = "strongest verdict of a layer's heads; numbers: those heads, or how many (x)"

_ROW = 0.23
"""Inches: a primitive's row."""


def primitives_figure(table: pd.DataFrame, *, width: Width) -> Figure:
    """Primitive by layer, a panel per task: each cell has the look of the strongest verdict of the layer's heads.

    A cell names the heads of that verdict, or, where there is no room, says how many they are (`x4`). Cells without any
    verdict are empty.

    Args:
        table: `Primitives`' tables of the tasks: columns task, length, primitive, layer, head, verdict.
        width: One column, or both.
    """
    tasks = list(dict.fromkeys(table["task"]))
    layers = int(table["layer"].max()) + 1
    across = len(tasks) if width == "page" and layers * len(tasks) <= 32 and len(tasks) <= 2 else 1
    names = {task: list(dict.fromkeys(table.loc[table["task"] == task, "primitive"])) for task in tasks}
    bands = [tasks[start : start + across] for start in range(0, len(tasks), across)]
    rows = [max(len(names[task]) for task in band) for band in bands]
    height = min(sum(_ROW * count + 0.55 for count in rows) + 0.45, TALLEST)
    cell = ((inches(width) - 0.1) / across - 1.15) / layers
    with paper_style():
        figure = Figure(figsize=(inches(width), height), layout="constrained")
        panels = figure.subplots(len(bands), across, squeeze=False, height_ratios=[count + 2 for count in rows])
        for axes in panels.flat[len(tasks) :]:
            axes.set_visible(False)
        for axes, task in zip(panels.flat, tasks, strict=False):
            _panel(axes, table[table["task"] == task], names[task], layers=layers, cell=cell)
        present = [verdict for verdict in VERDICTS if verdict == "implements" or verdict in set(table["verdict"])]
        figure.legend(
            handles=[_key(verdict) for verdict in present], loc="outside lower left",
            ncols=5 if width == "page" else 3, frameon=False, fontsize=NOTE, title=_READ, title_fontsize=NOTE,
            alignment="left",
        )  # fmt: skip
    return figure


def _key(verdict: str) -> Patch:
    face, edge, hatch = _LOOKS[verdict]
    return Patch(label=verdict, facecolor=face, edgecolor=edge, hatch=hatch)


def _panel(axes: Axes, table: pd.DataFrame, names: Sequence[str], *, layers: int, cell: float) -> None:
    for row, name in enumerate(names):
        for layer in range(layers):
            verdict, heads = _strongest(table[(table["primitive"] == name) & (table["layer"] == layer)])
            face, edge, hatch = _LOOKS[verdict]
            axes.add_patch(
                Rectangle((layer - 0.5, row - 0.5), 1, 1, linewidth=0.6, facecolor=face, edgecolor=edge, hatch=hatch)
            )
            if verdict != "none":
                _write(axes, (layer, row), _text(heads, cell), verdict)
    axes.set(xlim=(-0.5, layers - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel="layer")
    axes.set_xticks(range(0, layers, 1 if cell > 0.13 else 4))
    axes.set_yticks(range(len(names)), [fitting(name.replace("_", " "), 20) for name in names])
    axes.set_title(f"{fitting(str(table['task'].iloc[0]))}, length {table['length'].iloc[0]}", loc="left")
    bare_axes(axes)


def _strongest(heads: pd.DataFrame) -> tuple[str, list[int]]:
    """The strongest verdict, and the heads that have it."""
    for verdict in VERDICTS[:-1]:
        found = heads.loc[heads["verdict"] == verdict, "head"]
        if len(found):
            return verdict, sorted(int(head) for head in found)
    return "none", []


def _text(heads: Sequence[int], cell: float) -> str:
    """The heads' numbers if they fit a cell of that many inches, else how many they are, or nothing."""
    for text in (" ".join(map(str, heads)), f"x{len(heads)}"):
        if 0.05 * len(text) + 0.03 <= cell:
            return text
    return ""


def _write(axes: Axes, at: tuple[int, int], text: str, verdict: str) -> None:
    dark = verdict in VERDICTS[:2]
    box = None if dark else {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
    axes.text(*at, text, ha="center", va="center", fontsize=5, color="white" if dark else "black", bbox=box)
