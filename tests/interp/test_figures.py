"""The figures show exactly the numbers of their tables: all tables here are written by hand."""

import itertools
import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses.transfer.study_results import AttentionExample
from interp.figures import (
    ablation_maps,
    accuracy_by_length,
    accuracy_over_training,
    by_head,
    circuitsvis_script,
    head_map,
    head_scatter,
    overlap_strip,
    pattern_properties,
)
from interp.figures.ablation_maps import effect_text
from interp.figures.accuracy_of_groups import accuracy_of_groups
from interp.figures.attention_patterns import strongest_keys
from interp.figures.faithfulness import faithfulness
from interp.figures.heads import HeadMap, head_names
from interp.figures.labels import SIZES, Label, place_labels
from interp.figures.lines import Line
from interp.figures.style import DARK_DIVERGING, DIVERGING, RUNS, contrast, plain, readable_on
from interp.figures.trajectories import trajectories
from tasks import InvalidValueError

ACCURACY = pd.DataFrame(
    [
        ("auxiliary", "averaged", "shift", 10, 100, 1.0),
        ("auxiliary", "averaged", "shift", 15, 100, 0.9),
        ("auxiliary", "raw", "shift", 10, 100, 0.8),
        ("auxiliary", "raw", "shift", 15, 100, 0.6),
        ("auxiliary", "averaged", "copy", 15, 100, 0.95),
        ("alone", "averaged", "shift", 15, 100, 0.0),
        ("alone", "averaged", "shift", 10, 100, 0.99),
        ("control", "averaged", "shift", 15, 100, math.nan),
        ("control", "averaged", "reverse", 15, 100, 0.5),
    ],
    columns=["condition", "weights", "task", "length", "n", "accuracy"],
)

ABLATION = pd.DataFrame(
    [
        ("shift", 15, "accuracy", 0, 0, 0.5, 0.1),
        ("shift", 15, "accuracy", 0, 1, 0.02, 0.001),
        ("shift", 15, "accuracy", 1, 0, -0.25, 0.01),
        ("copy", 15, "accuracy", 0, 0, 0.75, 0.05),
        ("copy", 15, "accuracy", 0, 1, 0.0, 0.0),
        ("copy", 15, "accuracy", 1, 0, 0.0, 0.02),
        ("copy", 15, "accuracy", 1, 1, 0.125, 0.01),
        ("shift", 15, "nll", 0, 0, 1.5, 0.1),
    ],
    columns=["task", "length", "metric", "layer", "head", "effect", "stderr"],
)


def _maps() -> list[HeadMap]:
    return [head_map(ABLATION, task=task, metric="accuracy") for task in ("shift", "copy")]


def _by_length(table: pd.DataFrame = ACCURACY) -> Any:
    return accuracy_by_length(table, main="shift", main_length=10, auxiliary_length=20, transfer_length=15)


def _any(figure: object) -> Any:
    """Plotly's own annotations say nothing of what its traces hold."""
    return figure


def _ablation_maps(maps: list[HeadMap]) -> Any:
    return ablation_maps(maps, metric="accuracy")


def test_accuracy_by_length_draws_the_table() -> None:
    figure = _by_length()
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert drawn == {
        "shift, trained with copy": ([10, 15], [1.0, 0.9]),
        "shift, trained with copy, raw weights": ([10, 15], [0.8, 0.6]),
        "shift, trained alone": ([10, 15], [0.99, 0.0]),
        "shift, trained with reverse (control)": ([15], [pytest.approx(math.nan, nan_ok=True)]),
        "copy, the auxiliary task itself": ([15], [0.95]),
        "reverse, the control task itself": ([15], [0.5]),
    }


def test_accuracy_by_length_has_wilson_bars() -> None:
    """90 of 100: centre (0.9 + 0.0192073) / 1.0384146 = 0.885201, spread 0.059632: 0.8256 to 0.9448 (Wilson 1927)."""
    bars = _by_length().data[0].error_y
    assert bars.array[1] == pytest.approx(0.9447708 - 0.9, abs=1e-6)
    assert bars.arrayminus[1] == pytest.approx(0.9 - 0.8256343, abs=1e-6)
    assert bars.array[0] == 0.0
    assert bars.arrayminus[0] > 0.03


def test_raw_weights_are_dotted_lighter_and_without_bars() -> None:
    averaged, raw = _by_length().data[:2]
    assert (averaged.line.dash, raw.line.dash) == ("solid", "dot")
    assert raw.opacity < averaged.opacity
    assert raw.line.color == averaged.line.color
    assert not raw.error_y.visible


def test_training_lengths_are_marked_in_rows_of_their_own() -> None:
    """The labels go to the side with more room; the mark nearest to that side has the lowest row."""
    longer = pd.concat([ACCURACY, ACCURACY.assign(length=2), ACCURACY.assign(length=21)])
    for table, rows in ((ACCURACY, (37, 19, 1)), (longer, (1, 19, 37))):
        layout = _by_length(table).layout
        notes = [(note.x, note.text, note.yshift) for note in layout.annotations]
        assert notes == [
            (10, "main trained to 10", rows[0]),
            (15, "compared at 15", rows[1]),
            (20, "auxiliary trained to 20", rows[2]),
        ]
        assert {shape.x0 for shape in layout.shapes} == {10, 15, 20}


def test_accuracy_over_training_draws_one_length() -> None:
    table = ACCURACY.rename(columns={"length": "step"}).assign(length=15)
    other = table.assign(length=20, accuracy=0.123)
    figure = _any(accuracy_over_training(pd.concat([table, other]), main="shift", length=15))
    assert list(figure.data[0].x) == [10, 15]
    assert list(figure.data[0].y) == [1.0, 0.9]
    assert figure.layout.yaxis.title.text == "exact match, length 15 (%)"


def test_head_map_puts_each_effect_in_its_place() -> None:
    one = _maps()[0]
    np.testing.assert_array_equal(one.effect, [[0.5, 0.02], [-0.25, np.nan]])
    np.testing.assert_array_equal(one.stderr, [[0.1, 0.001], [0.01, np.nan]])
    assert (one.task, one.length) == ("shift", 15)


def test_a_head_matters_if_clearly_not_zero_and_not_small() -> None:
    """shift: .5 is 5 errors, .02 is 20 errors but under a tenth of .5, -.25 is 25 errors and harmful."""
    one, other = _maps()
    assert head_names(one.matters()) == ["0.0", "1.0"]
    assert head_names(one.helps()) == ["0.0"]
    assert head_names(other.helps()) == ["0.0", "1.1"]


def test_a_head_twice_or_no_row_is_an_error() -> None:
    with pytest.raises(InvalidValueError, match=r"has head 0\.0 twice for task 'shift' and metric 'accuracy'"):
        head_map(pd.concat([ABLATION, ABLATION[:1]]), task="shift", metric="accuracy")
    with pytest.raises(InvalidValueError, match="no rows for task 'shift' and metric 'logit_difference'"):
        head_map(ABLATION, task="shift", metric="logit_difference")


def test_ablation_maps_share_one_scale_around_zero() -> None:
    figure = _ablation_maps(_maps())
    drawn, numbers = figure.data[:2], figure.data[2:]
    assert [list(map(list, trace.z)) for trace in drawn] == [
        [[0.5, 0.02], [-0.25, None]],
        [[0.75, 0.0], [0.0, 0.125]],
    ]
    assert [trace.coloraxis for trace in drawn] == ["coloraxis", "coloraxis"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-0.75, 0.75)
    assert figure.layout.coloraxis.colorscale[2][0] == 0.5
    assert [list(trace.text) for trace in numbers] == [["+0.50", "+0.02", "−0.25", ""], ["+0.75", "0", "0", "+0.12"]]
    assert [list(map(list, trace.text)) for trace in drawn] == [
        [["+0.50", "+0.02"], ["−0.25", ""]],
        [["+0.75", "0"], ["0", "+0.12"]],
    ]
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["exact match lost (fraction of examples)", "<b>shift</b>, length 15", "<b>copy</b>, length 15"]


def test_noise_does_not_look_like_effects() -> None:
    noise = HeadMap("copy", 15, np.full((2, 2), 0.004), np.full((2, 2), 0.01))
    assert _ablation_maps([noise]).layout.coloraxis.cmax == 0.1


@pytest.mark.parametrize(("heads", "kinds"), [(8, ["heatmap", "scatter"]), (9, ["heatmap"])])
def test_cells_have_numbers_up_to_8_by_8(heads: int, kinds: list[str]) -> None:
    one = HeadMap("copy", 15, np.zeros((2, heads)), np.zeros((2, heads)))
    assert [trace.type for trace in _ablation_maps([one]).data] == kinds


def test_contrast_is_that_of_wcag() -> None:
    """Black on white is 21 by definition; #777777 on white is 4.48, just too little (WCAG 2, contrast examples)."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scale", [DIVERGING, DARK_DIVERGING])
def test_numbers_can_be_read_on_every_colour_of_a_map(scale: list[tuple[float, str]]) -> None:
    """The colours between two stops are mixed here by hand, at each hundredth."""
    for (low, one), (high, other) in itertools.pairwise(scale):
        for part in np.linspace(0, 1, 100):
            mixed = [
                round((1 - part) * int(one[at : at + 2], 16) + part * int(other[at : at + 2], 16)) for at in (1, 3, 5)
            ]
            color = "#" + "".join(f"{value:02x}" for value in mixed)
            assert contrast(readable_on(scale, low + part * (high - low)), color) >= 4.5


@pytest.mark.parametrize(("heads", "step"), [(1, 1), (12, 1), (13, 2), (36, 5), (480, 50)])
def test_ticks_of_many_heads_are_few(heads: int, step: int) -> None:
    one = HeadMap("copy", 15, np.zeros((1, heads)), np.zeros((1, heads)))
    layout = _ablation_maps([one]).layout
    assert layout.xaxis.dtick == step
    assert tuple(layout.xaxis.range) == (-0.5, heads - 0.5)


def test_maps_of_several_runs_are_titled_with_the_run() -> None:
    figure = _ablation_maps([HeadMap("copy", 15, np.zeros((1, 1)), np.zeros((1, 1)), "A <b>")])
    assert figure.layout.annotations[1].text == "A &lt;b&gt;: <b>copy</b>, length 15"


def test_lines_have_their_intervals_and_seeds_are_faint() -> None:
    line = Line("with copy", RUNS[0], [1, 2], [0.5, 0.75], [0.25, 0.5], [0.75, 1.0])
    trace: Any = line.trace(".1%")
    assert (list(trace.error_y.array), list(trace.error_y.arrayminus)) == ([0.25, 0.25], [0.25, 0.25])
    assert trace.hovertemplate.startswith("%{y:.1%} (95% interval")
    faint: Any = line.faint(".1%")
    assert (faint.mode, faint.meta["series"], faint.opacity < 1) == ("lines", "with copy", True)


def test_trajectories_draw_the_mean_and_each_seed() -> None:
    """Means over two seeds by hand: (1 + 3) / 2 and (2 + 6) / 2."""
    rows = [
        (seed, step, value)
        for seed, values in ((1, (1.0, 2.0)), (2, (3.0, 6.0)))
        for step, value in zip((5, 10), values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["seed", "step", "value"]).assign(
        condition="control", auxiliary="reverse", quantity="gap", metric=""
    )
    figure: Any = trajectories(table, quantity="gap", metric="", title="generalization gap")
    assert [(trace.name, list(trace.y)) for trace in figure.data] == [
        ("with reverse (control)", [2.0, 4.0]),
        ("with reverse (control), seed 1", [1.0, 2.0]),
        ("with reverse (control), seed 2", [3.0, 6.0]),
    ]


def test_faithfulness_leaves_out_the_empty_circuit() -> None:
    """An axis of logarithms has no place for 0 edges."""
    rows = [("shift", 0.0, 0.0, 0.0, 0.0), ("shift", 1.0, 1.0, 1.0, 1.0), ("shift", 0.1, 0.6, 0.5, 0.7)]
    table = pd.DataFrame(rows, columns=["task", "size", "faithfulness", "low", "high"])
    (trace,) = _any(faithfulness(table)).data
    assert (list(trace.x), list(trace.y)) == ([0.1, 1.0], [0.6, 1.0])


def test_accuracy_of_groups_draws_seeds_behind_their_group() -> None:
    lines = [Line("A", RUNS[0], [1, 2], [1.0, 0.5], [0.9, 0.4], [1.0, 0.6])]
    faint = [Line("A", RUNS[0], [1, 2], [1.0, 0.4], label="seed 1"), Line("B", RUNS[1], [1], [1.0])]
    figure: Any = accuracy_of_groups(lines, faint, marks=[(2, "trained to 2")], title="exact match (%)")
    assert [trace.name for trace in figure.data] == ["A", "A, seed 1"]
    assert [note.text for note in figure.layout.annotations] == ["trained to 2"]
    assert not _any(accuracy_of_groups([], [], marks=[], title="")).layout.annotations


@pytest.mark.parametrize(
    ("effect", "text"), [(0.004, "0"), (-0.004, "0"), (-0.125, "−0.12"), (1.0, "+1.00"), (math.nan, "")]
)
def test_effect_text(effect: float, text: str) -> None:
    assert effect_text(effect) == text


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_maps_never_overlap(count: int) -> None:
    """Wide: two in a row. Narrow: one. No two maps' areas meet, and all lie inside the plot."""
    layout = _ablation_maps([_maps()[0]] * count).to_plotly_json()["layout"]
    for areas in (layout, layout["meta"]["narrow"]):
        numbers = [str(place + 1) if place else "" for place in range(count)]
        boxes = [(*areas[f"xaxis{number}"]["domain"], *areas[f"yaxis{number}"]["domain"]) for number in numbers]
        assert all(0 <= edge <= 1 for box in boxes for edge in box)
        for place, one in enumerate(boxes):
            for other in boxes[place + 1 :]:
                assert one[1] < other[0] or one[2] > other[3]


def test_head_scatter_draws_every_measured_head_once() -> None:
    figure = _any(head_scatter(*_maps(), metric="accuracy"))
    drawn = {trace.name: list(zip(trace.text, trace.x, trace.y, strict=True)) for trace in figure.data}
    assert drawn == {
        "matters to neither": [("0.1", 0.02, 0.0)],
        "matters to copy only": [],
        "matters to shift only": [("1.0", -0.25, 0.0)],
        "matters to both": [("0.0", 0.5, 0.75)],
    }
    assert list(figure.data[3].error_x.array) == [0.1]
    assert list(figure.data[3].error_y.array) == [0.05]
    assert sorted(note.text for note in figure.layout.annotations) == ["0.0", "1.0"]
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    diagonal = figure.layout.shapes[0]
    assert (diagonal.x0, diagonal.x1) == (diagonal.y0, diagonal.y1)


def test_labels_keep_off_each_other_points_and_edges() -> None:
    places = [(0.97, 0.98), (0.9, 0.98), (0.97, 0.9), (0.5, 0.5), (0.55, 0.5), (0.02, 0.02), (0.02, 0.97)]
    names = [f"1{place}.11" for place in range(len(places))]
    labels = place_labels(names, places, places)
    assert [label.lines for label in labels] == [(name,) for name in names]
    for size in SIZES:
        boxes = [label.box(size) for label in labels]
        boxes += [(x * size - 5, (1 - y) * size - 5, x * size + 5, (1 - y) * size + 5) for x, y in places]
        for place, one in enumerate(boxes[: len(labels)]):
            assert min(one) >= 0
            assert max(one) <= size
            for other in boxes[place + 1 :]:
                assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_heads_at_one_place_share_a_label() -> None:
    labels = place_labels(["0.1", "0.2", "1.3", "2.0"], [(0.9, 0.9)] * 4, [(0.9, 0.9)])
    assert labels == [Label(("0.1, 0.2, 1.3", "2.0"), (0.9, 0.9), labels[0].right, labels[0].below)]


def test_overlap_strip_puts_the_numbers_in_proportion() -> None:
    """Scale 0 to 1 on 6..194: 0.5 is at 100, the null from 0 to 0.25 is 47 wide."""
    strip = overlap_strip(estimate=0.5, low=0.25, high=1.0, null_mean=0.125, null_low=0.0, null_high=0.25)
    assert '<circle class="estimate" cx="100.0"' in strip
    assert '<rect class="null" x="6.0" y="5" width="47.0"' in strip
    assert 'd="M53.0 13H194.0"' in strip
    nothing = math.nan
    assert not overlap_strip(estimate=0.5, low=0.2, high=1.0, null_mean=nothing, null_low=0.0, null_high=0.2)
    bare = overlap_strip(estimate=0.5, low=nothing, high=nothing, null_mean=0.1, null_low=nothing, null_high=nothing)
    assert "interval" not in bare
    assert "rect" not in bare


PATTERN = np.array([[1.0, 0.0], [0.25, 0.75]], dtype=np.float32)


def test_attention_is_grouped_by_head_and_passed_on_as_it_is() -> None:
    examples = [AttentionExample(task, ("[<b>]", "a&"), 1, 2, PATTERN) for task in ("shift", "copy")]
    (head,) = by_head(tuple(examples))
    assert (head.name, [example.task for example in head.examples]) == ("1.2", ["shift", "copy"])
    properties = pattern_properties(examples[0])
    assert properties is not None
    assert properties["tokens"] == ["[<b>]", "a&"]
    assert properties["attention"] == [[1.0, 0.0], [0.25, 0.75]]
    assert json.loads(json.dumps(properties)) == properties
    assert strongest_keys(examples[0]) == [(0, "[<b>]", 0, "[<b>]", 1.0), (1, "a&", 1, "a&", 0.75)]


def test_attention_that_does_not_fit_its_tokens_is_an_error() -> None:
    example = AttentionExample("shift", ("a", "b", "c"), 1, 2, PATTERN)
    message = "head 1.2 on 'shift' must have shape (query, key)=(3, 3), as it has 3 tokens; got (2, 2)"
    with pytest.raises(InvalidValueError, match=re.escape(message)):
        by_head((example,))


def test_undefined_attention_is_not_drawn() -> None:
    assert pattern_properties(AttentionExample("shift", ("a", "b"), 1, 2, np.full((2, 2), np.nan))) is None


def test_circuitsvis_script_can_stand_in_a_page() -> None:
    script = circuitsvis_script()
    assert "</script" not in script.lower()
    assert "sourceMappingURL" not in script
    assert "var CircuitsVis=" in script


@pytest.mark.parametrize(
    ("name", "shown"),
    [("copy", "copy"), ("<b>&", "&lt;b&gt;&amp;"), ("a" * 20 + "bcdefgh", "a" * 18 + "…" + "defgh")],
)
def test_names_are_short_and_without_markup(name: str, shown: str) -> None:
    assert plain(name) == shown
