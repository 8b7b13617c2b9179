"""Paper figures of every size: no word over another or outside, one scale, the numbers where they belong."""

import numpy as np
import pytest
import torch
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from analyses.heads import Head
from interp.figures.heads import HeadMap
from interp.paper import (
    Reached,
    ablation_maps_figure,
    accuracy_figure,
    attention_figure,
    circuit_figure,
    gap_grid_figure,
    overlap_figure,
    paper_gaps,
    primitives_figure,
    theory_figure,
)
from interp.paper.circuit import Shape
from interp.paper.names import fitting
from interp.paper.overlap import null_band
from interp.paper.primitive_names import codes, in_words
from interp.paper.style import COLUMN, PAGE, TALLEST, Width
from tests.interp import paper_cases as made
from tests.interp.drawn_texts import clashes, drawn_texts, outside

TWO = (made.LONG, f"{made.LONG}2")


def overlap(shape: tuple[int, int], width: Width, strength: float = 0.5) -> Figure:
    first, second = made.maps(shape, strength=strength, names=TWO if not strength else ("shift", "copy"))
    generator = torch.Generator().manual_seed(0)
    return overlap_figure((first, second), made.overlap_table(), metric="nll", generator=generator, width=width)


def circuit(shape: tuple[int, int], width: Width, count: int = 30) -> Figure:
    primitives: dict[tuple[str, Head], list[str]] = {}
    table = made.primitives_table(shape)
    for row in table[table["verdict"] == "implements"].to_dict("records"):
        primitives.setdefault((row["task"], Head(row["layer"], row["head"])), []).append(row["primitive"])
    return circuit_figure(made.edges(shape, count=count), primitives, shape=Shape(*shape), unit="logits", width=width)


def case(name: str, width: Width) -> Figure:  # noqa: PLR0911 - one figure per line
    """A figure by its name and the size of what it shows."""
    kind, _, size = name.partition(" ")
    shape = made.SHAPES.get(size, (6, 6))
    none = size == "none"
    match kind:
        case "maps":
            names = TWO if none else ("shift", "copy")
            return ablation_maps_figure(
                made.maps(shape, strength=0.5 * (not none), names=names), metric="nll", width=width
            )
        case "overlap":
            return overlap(shape, width, strength=0.5 * (not none))
        case "circuit":
            return circuit(shape, width, count=2 if none else 30)
        case "primitives":
            return primitives_figure(made.primitives_table(shape, some=not none, tasks=TWO), width=width)
        case "attention":
            tasks = TWO if size == "long" else ("copy",)
            return attention_figure(made.attention(40 if size == "long" else 9, heads=2, tasks=tasks), width=width)
        case "accuracy":
            marks = [Reached(10, "shift's longest in training"), Reached(20, "copy's longest in training")]
            return accuracy_figure(made.accuracy_table([*TWO, "shift, trained alone"]), marks=marks, width=width)
        case "theory":
            return theory_figure(made.theory_table(), width=width)
        case _:
            return gap_grid_figure([(made.LONG * 2, paper_gaps())], width=width)


KINDS = ("maps", "overlap", "circuit", "primitives")

OTHERS = ("attention one", "attention long", "accuracy", "theory", "gaps")


@pytest.mark.parametrize(
    ("name", "width"),
    [
        *((f"{kind} {size}", "column") for kind in KINDS for size in ("one", "small", "none")),
        *((f"{kind} {size}", "page") for kind in KINDS for size in ("36", "none")),
        *((name, width) for name in OTHERS for width in ("column", "page")),
        *(pytest.param(f"{kind} 480", width, marks=pytest.mark.slow) for kind in KINDS for width in ("column", "page")),
    ],
)
def test_no_word_lies_over_another_or_leaves_the_figure(name: str, width: Width) -> None:
    figure = case(name, width)
    across, high = figure.get_size_inches()
    assert across == {"column": COLUMN, "page": PAGE}[width]
    assert high <= TALLEST
    texts = drawn_texts(figure)
    assert len(texts) > 5, "there are words to look at"
    assert clashes(texts) == []
    assert outside(texts, figure) == []


def test_the_helper_sees_words_that_clash() -> None:
    figure = Figure(figsize=(2, 1))
    figure.text(0.3, 0.5, "one")
    figure.text(0.32, 0.5, "two")
    figure.text(0.95, 0.5, "beyond")
    texts = drawn_texts(figure)
    assert clashes(texts) == [("one", "two")]
    assert outside(texts, figure) == ["beyond"]


# ------------------------------------------------------------------------------------------------------------- the maps
def meshes(figure: Figure) -> list[QuadMesh]:
    return [one for axes in figure.axes for one in axes.collections if isinstance(one, QuadMesh)]


def test_maps_show_every_number_on_one_scale_around_zero() -> None:
    effect = np.array([[0.5, -0.25], [0.0, np.nan]])
    small = HeadMap("shift", 15, effect, np.full((2, 2), 0.01))
    figure = ablation_maps_figure([small, HeadMap("copy", 15, effect / 10, small.stderr)], metric="nll", width="page")
    assert [one.get_clim() for one in meshes(figure)[:2]] == [(-0.5, 0.5), (-0.5, 0.5)], "the largest of both"
    assert [text.get_text() for text in figure.axes[0].texts] == [".50", "−.25", "0", "·"]
    # Clearly not zero and a tenth of 0.5 or more: 0.0 and 0.1 of shift, of which the second is below zero.
    frames = [(patch.get_xy(), patch.get_hatch()) for patch in figure.axes[0].patches]  # pyright: ignore[reportAttributeAccessIssue]
    assert frames == [((-0.44, -0.44), None), ((0.56, -0.44), "/////"), ((0.56, -0.44), None)]
    (bar,) = [axes for axes in figure.axes if "nats" in axes.get_ylabel()]
    assert bar.get_ylim() == (-0.5, 0.5)
    assert "framed" in figure.get_supxlabel()


def test_noise_does_not_look_like_effects() -> None:
    figure = case("maps none", "page")
    assert meshes(figure)[0].get_clim() == (-0.1, 0.1)
    assert figure.get_supxlabel().startswith("no head's effect is clearly different from zero")


# ---------------------------------------------------------------------------------------------------------- the scatter
def test_the_null_band_of_two_heads_in_each_of_two_layers() -> None:
    # Within layers there are four orders, all likely: main (0, 1 | 0, 1), other (0, 2 | 0, 2): slopes 2, 0, 0, -2. The
    # lines go through the means (0.5, 1): at 1.5 they are at 3, 1, 1, -1, and the central 95 % reach from -1 to 3.
    main = HeadMap("a", 3, np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros((2, 2)))
    other = HeadMap("b", 3, 2 * main.effect, np.zeros((2, 2)))
    low, high = null_band(main, other, np.array([0.5, 1.5]), draws=400, generator=torch.Generator().manual_seed(0))
    assert low.tolist() == pytest.approx([1, -1])
    assert high.tolist() == pytest.approx([1, 3])
    flat = HeadMap("a", 3, np.zeros((2, 2)), np.zeros((2, 2)))
    ends = null_band(flat, other, np.array([0.5]), draws=4, generator=torch.Generator())
    assert np.isnan(ends).all(), "no line without a spread"


# ---------------------------------------------------------------------------------------------------------- the circuit
def test_a_circuit_adds_up_queries_keys_and_values_and_marks_what_is_shared() -> None:
    # shift: embed -> 0.0 by q and v, .5 + .25; 0.0 -> logits -.5.
    # copy: embed -> 0.1 -> logits, 1 each, and 0.0 -> 0.mlp.
    table = made.edges((1, 1), count=0).iloc[:0]
    rows = [
        ("shift", "embed", "0.0.q", 0.5, 0), ("shift", "embed", "0.0.v", 0.25, 0), ("shift", "0.0", "logits", -0.5, 0),
        ("copy", "embed", "0.1.v", 1.0, 0), ("copy", "0.1", "logits", 1.0, 0), ("copy", "0.0", "0.mlp", 0.1, 0),
    ]  # fmt: skip
    table = table.__class__(rows, columns=table.columns)
    named = {("shift", Head(0, 0)): ["offset_copy"], ("copy", Head(0, 2)): ["min"]}
    figure = circuit_figure(table, named, shape=Shape(1, 3), unit="logits", width="page")
    shift, copy = figure.axes
    assert len(shift.patches) == 2, "one line for queries and values together"
    # widths: 0.3 + 2.3 |weight| / 1; light ones first
    assert [round(patch.get_linewidth(), 3) for patch in shift.patches] == [0.3 + 2.3 * 0.5, 0.3 + 2.3 * 0.75]
    assert [patch.get_linestyle() == "-" for patch in shift.patches] == [False, True], "what harms is dashed"
    filled = {text.get_text(): text.get_color() == "white" for text in shift.texts}
    assert filled == {"embedding": False, "logits": False, "0.0": True, "OC": False}, "0.0 is in both circuits"
    assert {text.get_text() for text in copy.texts} == {"embedding", "logits", "0.0", "0.1", "0 mlp"}
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "OC offset copy", "0.2 is in no circuit, so its primitive is not explained"
    assert [text.get_text() for text in legend.get_texts()][:2] == ["helps: 1 logits", "helps: 0.25"]


def test_grouped_keys_belong_to_all_heads_that_read_them() -> None:
    table = made.edges((1, 1), count=0).iloc[:0]
    table = table.__class__([("sort", "embed", "0.1.k", 1.0, 0)], columns=table.columns)
    figure = circuit_figure(table, {}, shape=Shape(1, 4, group=2), unit="logits", width="column")
    # Key head 1 serves query heads 2 and 3, half of the edge each: both lines have the full width of the largest.
    assert {text.get_text() for text in figure.axes[0].texts} == {"embedding", "logits", "0.2", "0.3"}
    assert len(figure.axes[0].patches) == 2


def test_codes_of_primitives() -> None:
    named = codes(["carry", "copy", "offset_copy", "other_copy", "cop"])
    assert named["offset_copy"] == "OC"
    assert (named["carry"], named["copy"]) == ("CAR", "COP")
    assert len(set(named.values())) == 5
    assert in_words({"offset_copy": "OC", "min": "MIN"}, letters=40) == ["OC offset copy, MIN min"]
    assert in_words({"offset_copy": "OC", "min": "MIN"}, letters=16) == ["OC offset copy", "MIN min"]


# -------------------------------------------------------------------------------------------------------- other figures
def test_primitives_by_layer_show_the_strongest_verdict_and_its_heads() -> None:
    table = made.primitives_table((2, 4), tasks=("shift",), some=False)
    at = (table["primitive"] == "copy") & (table["layer"] == 1)
    table.loc[at & table["head"].isin([1, 3]), "verdict"] = "attends only"
    table.loc[at & (table["head"] == 2), "verdict"] = "writes only"
    table.loc[(table["primitive"] == "min") & (table["layer"] == 0), "verdict"] = "implements"
    (axes,) = primitives_figure(table, width="column").axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(1, 0): "1 3", (0, 1): "0 1 2 3"}
    assert axes.patches[1].get_hatch() == "//////"


def test_attention_hides_the_future_and_has_a_fixed_scale() -> None:
    figure = attention_figure(made.attention(5, heads=1, tasks=("copy",)), width="column")
    mesh = meshes(figure)[0]
    shown = np.ma.masked_array(mesh.get_array()).reshape(5, 5)
    assert np.ma.getmaskarray(shown).tolist() == np.triu(np.ones((5, 5), bool), 1).tolist()
    assert mesh.get_clim() == (0, 1)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["[copy]", "a", "b", "c", "="]


def test_accuracy_lines_are_told_apart_without_colour() -> None:
    figure = accuracy_figure(made.accuracy_table("abcd"), marks=[Reached(10, "a's longest")], width="page")
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_label() in tuple("abcd")]
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 4
    assert axes.get_xlabel() == "length\nline at 10: a's longest"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("shift", "shift"), ("a" * 30, "a" * 14 + "…" + "a" * 7), ("$x_1$ <b>", "$x_1$ <b>"), ("a\nb\t c", "a b c"),
     ("中ü", "□ü")],
)  # fmt: skip
def test_names_that_fit(name: str, expected: str) -> None:
    assert fitting(name) == expected
