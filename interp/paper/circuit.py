"""The circuit diagram: heads and MLPs by layer, with the edges that carry the most, for one task or two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from analyses.components import Part
from analyses.graph import EMBED
from analyses.heads import Head
from interp.figures.style import BLUE, VERMILLION
from interp.paper.circuit_layout import LOGITS, Layout, Node, key_value_heads, layout, sender_node
from interp.paper.names import fitting
from interp.paper.primitive_names import codes, in_words
from interp.paper.style import NOTE, TALLEST, Width, inches, paper_style

_WIDEST = 2.6
"""Points: the width of the heaviest edge."""

_NAMED, _NUMBERED = 6.0, 3.8
"""Points of a head's radius from which its name ("12.3") and its number in the layer ("3") are legible in it."""


@dataclass(frozen=True)
class Shape:
    """The model's shape, as the diagram needs it.

    Attributes:
        n_layers: Layers.
        n_heads: Heads of a layer.
        group: Heads that share keys and values; 1 without grouped queries.
    """

    n_layers: int
    n_heads: int
    group: int = 1


def circuit_figure(
    edges: pd.DataFrame,
    primitives: Mapping[tuple[str, Head], Sequence[str]],
    *,
    shape: Shape,
    unit: str,
    width: Width,
) -> Figure:
    """A panel per task, with the same nodes in the same places and one scale of edge widths.

    An edge's width is the size of what it carries, its queries, keys and values together; solid if it helps, dashed if
    it harms. A head of this task's circuit has a black outline; one that is in every task's circuit is filled black.
    Primitives that a head implements stand below it, in letters that the line at the bottom explains.

    Args:
        edges: Columns task, sender, receiver, score (positive: the edge helps); the edges of each task's circuit.
        primitives: For a task and a head, the primitives that it implements there.
        shape: The model's.
        unit: What a score is, with its unit.
        width: One column (panels stand below each other) or both.
    """
    tasks = list(dict.fromkeys(edges["task"]))
    joined = {task: _joined(edges[edges["task"] == task], shape) for task in tasks}
    nodes = {task: {node for edge in carried for node in edge} for task, carried in joined.items()}
    places = layout(shape.n_layers, shape.n_heads, nodes=set().union(*nodes.values()))
    shared = set.intersection(*nodes.values()) if len(tasks) > 1 else set()
    largest = max([abs(weight) for carried in joined.values() for weight in carried.values()], default=1.0) or 1.0
    drawn = {at: names for at, names in primitives.items() if at[1] in nodes.get(at[0], ())}
    named = codes(sorted({name for names in drawn.values() for name in names}))
    with paper_style():
        down, across = (1, len(tasks)) if width == "page" else (len(tasks), 1)
        key = _key(named, width)
        small = 0.55 + 0.11 * (len(key) + 1)
        tall = min(0.42 * places.rows, (TALLEST - small) / down - 0.25)
        figure = Figure(
            figsize=(inches(width), down * (tall + 0.25) + small),
            layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02),
        )
        panels = figure.subplots(down, across, squeeze=False).flat
        wide = inches(width) / across - 0.5
        pitch = (wide / places.columns, tall / places.rows)
        for axes, task in zip(panels, tasks, strict=True):
            panel = _Panel(axes, places, *pitch)
            panel.edges(joined[task], largest)
            below = {head: [named[name] for name in names] for (of, head), names in drawn.items() if of == task}
            panel.nodes(nodes[task], shared, below)
            panel.finish(task, shape)
        if _radius(*pitch) < _NUMBERED:
            key = ["no room for heads' numbers and primitives here", "(both columns, --width page, may have)"]
        figure.legend(
            handles=_legend(largest, unit, two=len(tasks) > 1), loc="outside lower left", frameon=False, fontsize=NOTE,
            ncols=3 if width == "page" else 1, title="\n".join(key), title_fontsize=NOTE,
            alignment="left",
        )  # fmt: skip
    return figure


def _radius(across: float, up: float) -> float:
    """Points of a head's radius where so many inches lie from one to the next."""
    return min(8.5, 72 * 0.4 * min(across, up))


def _joined(edges: pd.DataFrame, shape: Shape) -> dict[tuple[Node, Node], float]:
    """What each node tells each other one: the sum over its queries, keys and values."""
    found: dict[tuple[Node, Node], float] = {}
    for sender, receiver, score in edges[["sender", "receiver", "score"]].itertuples(index=False):
        readers = key_value_heads(str(receiver), group=shape.group)
        for node in readers:
            edge = (sender_node(str(sender)), node)
            found[edge] = found.get(edge, 0.0) + float(score) / len(readers)
    return found


@dataclass(frozen=True)
class _Panel:
    """One task's diagram: its axes, the places of nodes, and the inches from one column and row to the next."""

    axes: Axes
    places: Layout
    across: float
    up: float

    @property
    def size(self) -> float:
        """Points of a head's radius."""
        return _radius(self.across, self.up)

    @property
    def has_room_below(self) -> bool:
        """Whether the primitives of a head fit between it and the row below."""
        return 72 * self.up - 2 * self.size > 5.5

    def edges(self, carried: Mapping[tuple[Node, Node], float], largest: float) -> None:
        """Arrows from below to above, the light ones first."""
        for (sender, receiver), weight in sorted(carried.items(), key=lambda edge: abs(edge[1])):
            start, end = self.places.at[sender], self.places.at[receiver]
            share = abs(weight) / largest
            bend = 0.0 if abs(end[1] - start[1]) <= 1 else 0.13 * (1 if end[0] >= start[0] else -1)
            self.axes.add_patch(
                FancyArrowPatch(
                    start, end, arrowstyle="-", connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0,
                    lw=0.3 + (_WIDEST - 0.3) * share, color=BLUE if weight >= 0 else VERMILLION,
                    alpha=0.35 + 0.65 * share, linestyle="-" if weight >= 0 else (0, (2, 1.2)), zorder=1,
                )
            )  # fmt: skip

    def nodes(self, mine: set[Node], shared: set[Node], names: Mapping[Head, Sequence[str]]) -> None:
        """Every node: filled if shared, outlined if in this circuit, else a grey dot."""
        for node, (x, y) in self.places.at.items():
            if node not in mine and isinstance(node, Head | Part):
                self.axes.plot([x], [y], "o" if isinstance(node, Head) else "s", ms=2, color="#cfcfcf", mew=0, zorder=2)
                continue
            self._node(node, filled=node in shared and isinstance(node, Head | Part))
            if isinstance(node, Head) and names.get(node) and self.has_room_below:
                self.axes.annotate(
                    self._short(names[node]), (x, y), (0, -self.size - 1), textcoords="offset points", ha="center",
                    va="top", fontsize=4.8, fontweight="bold", zorder=5,
                    bbox={"boxstyle": "square,pad=0.08", "fc": "white", "ec": "none", "alpha": 0.85},
                )  # fmt: skip

    def _short(self, names: Sequence[str]) -> str:
        """As many codes as fit from one head to the next, and how many more there are."""
        letters = max(3, int(self.across * 72 / 3.6))
        for count in range(len(names), 0, -1):
            text = " ".join(names[:count]) + (f"+{len(names) - count}" if count < len(names) else "")
            if len(text) <= letters:
                return text
        return names[0]

    def _node(self, node: Node, *, filled: bool) -> None:
        x, y = self.places.at[node]
        ink, paper = ("white", "black") if filled else ("black", "white")
        if isinstance(node, Head):
            self.axes.plot([x], [y], "o", ms=2 * self.size, mfc=paper, mec="black", mew=0.8, zorder=3)
            name = str(node) if self.size >= _NAMED else str(node.head)
            size = min(6.0, self.size * 0.95) if len(name) < 3 else self.size * (0.75 if len(name) == 3 else 0.6)
            if self.size >= _NUMBERED:
                self.axes.text(x, y, name, ha="center", va="center_baseline", fontsize=size, color=ink, zorder=4)
            return
        text = {EMBED: "embedding", LOGITS: "logits"}.get(str(node), str(node).replace(".mlp", " mlp"))
        if 72 * self.up < 12:  # a box of a name is higher than the row
            text = text.replace(" mlp", "")
        size = min(6.0, max(4.0, 72 * self.up * 0.45))
        box = {"boxstyle": "square,pad=0.2", "fc": paper, "ec": "black", "lw": 0.6}
        self.axes.text(x, y, text, ha="center", va="center", fontsize=size, color=ink, zorder=4, bbox=box)

    def finish(self, task: str, shape: Shape) -> None:
        """The layers' numbers, and room around."""
        self.axes.set(
            xlim=(-0.6, self.places.columns - 0.3),
            ylim=(self.places.at[EMBED][1] - 0.6, self.places.at[LOGITS][1] + 0.6),
        )
        layers = range(0, shape.n_layers, 1 if 72 * self.up > 9 else 2)
        self.axes.set_yticks(layers, [str(layer) for layer in layers])
        self.axes.set_xticks([])
        self.axes.set_ylabel("layer")
        self.axes.set_title(fitting(task), loc="left")
        self.axes.tick_params(length=0)
        self.axes.spines[:].set_visible(False)


def _key(named: Mapping[str, str], width: Width) -> list[str]:
    """What the letters below the heads mean, in lines that fit the width."""
    if not named:
        return ["no head here implements a primitive by all the evidence"]
    return in_words(named, letters=64 if width == "column" else 140)


def _legend(largest: float, unit: str, *, two: bool) -> list[Line2D]:
    items = [
        Line2D([], [], color=BLUE, lw=_WIDEST, label=f"helps: {largest:.2g} {unit}"),
        Line2D([], [], color=BLUE, lw=0.3 + (_WIDEST - 0.3) / 4, alpha=0.5, label=f"helps: {largest / 4:.2g}"),
        Line2D([], [], color=VERMILLION, lw=1.2, ls=(0, (2, 1.2)), label="harms"),
        Line2D([], [], marker="o", ls="", ms=5, mfc="white", mec="black", label="head in this circuit"),
    ]
    if two:
        items.append(Line2D([], [], marker="o", ls="", ms=5, mfc="black", mec="black", label="in all circuits shown"))
    return [*items, Line2D([], [], marker="o", ls="", ms=2, color="#cfcfcf", label="head or MLP (square) in none here")]
