"""What the explorer knows of a run, and what it shows: against the commands, the analyses, and hand-worked values."""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch

from analyses import HeadAblation
from analyses.heads import Head
from interp.cli import run as run_command
from interp.figures.heads import HeadMap
from interp.paper import save_figure
from interp.widgets import Explored, Exploring, HeadOverlapExplorer
from interp.widgets.bands import bands_of
from interp.widgets.chosen_head import frames, strongest
from interp.widgets.filling import Filling
from interp.widgets.head_figures import effect_by_length, pattern_figure, read_out_figure
from interp.widgets.head_views import ReadOutMap
from interp.widgets.length_effect import LengthEffect, affordable
from interp.widgets.question import commands, head_command, primitive_command
from interp.widgets.selection_figure import selection_figure
from interp.widgets.shown import Shown, _changed
from interp.widgets.words import clean_sentence, code, overlap_table, verdict_table, wrong
from tasks import InvalidValueError
from tasks.errors import UnknownNameError
from training import load_run, named_generator

SMALL = Exploring(n=12, head_n=6, permutations=40, bootstraps=20, primitive_n=16, primitive_permutations=20, prompts=3)
NASTY = "<script>alert(1)</script>\"'ü$x$"


@pytest.fixture(scope="module")
def explored(made: Path) -> Explored:
    """The tiny run of two layers and two heads, trained on copy and shift."""
    return Explored(load_run(made / "runs" / "tiny"), ("shift", "copy"), SMALL)


@pytest.fixture
def explorer(made: Path) -> HeadOverlapExplorer:
    return HeadOverlapExplorer(load_run(made / "runs" / "tiny"), ["shift", "copy"], exploring=SMALL)


def test_bands_reach_from_training_to_a_quarter_beyond(explored: Explored) -> None:
    # copy+shift: shift to 10, copy to 20. Halfway: 15. A quarter beyond 20: 25, of which 21..25 split in two: 23, 25.
    zones = [(band.zone, band.low, band.high, band.length, band.lengths) for band in explored.bands]
    assert zones == [
        ("in_range", 1, 10, 10, (5, 10)), ("transfer", 11, 20, 15, (15, 20)), ("beyond", 21, 25, 23, (23, 25)),
    ]  # fmt: skip
    assert explored.bands[1].label == "transfer (11 to 20), maps at 15"
    assert explored.measured_lengths() == (5, 10, 15, 20, 23, 25)
    lone = bands_of(explored.run, [explored.task("shift")], per_band=1)
    assert [band.lengths for band in lone] == [(10,), (15, 20), (25,)]


def test_the_first_question_is_about_transfer_at_the_end(explored: Explored) -> None:
    question = explored.first_question()
    assert (question.tasks, question.length, question.step, question.k) == (("shift", "copy"), 15, 30, 3)


def test_what_cannot_be_explored_is_refused(explored: Explored) -> None:
    with pytest.raises(InvalidValueError, match="two or more, got shift; name them, as in HeadOverlapExplorer"):
        HeadOverlapExplorer(explored.run, ["shift"])
    with pytest.raises(InvalidValueError, match="different tasks, two or more, got copy copy"):
        Explored(explored.run, ("copy", "copy"))
    with pytest.raises(UnknownNameError, match="unknown task 'shfit'; did you mean 'shift'"):
        Explored(explored.run, ("shfit", "copy"))
    with pytest.raises(UnknownNameError, match="unknown primitive 'copi'"):
        Explored(explored.run, ("shift", "copy"), primitives=("copi",))
    with pytest.raises(UnknownNameError, match="unknown metric 'acuracy'; did you mean 'accuracy'.*the explorer has"):
        explored.maps(replace(explored.first_question(), metric="acuracy"))
    with pytest.raises(InvalidValueError, match="prompt 7 does not exist; allowed are 0 to 2"):
        explored.prompts(explored.first_question(), number=7)


def test_its_commands_give_its_numbers(explored: Explored, tmp_path: Path) -> None:
    question = replace(explored.first_question(), metric="nll", k=2)
    overlap, ablate = commands(explored.run, question, explored.exploring)
    assert run_command([*shlex.split(overlap)[1:], "--out", str(tmp_path / "overlap.csv")]) == 0
    assert run_command([*shlex.split(ablate)[1:], "--out", str(tmp_path / "ablate.csv")]) == 0
    columns = ["measure", "null", "estimate", "corrected", "low", "high", "null_mean", "p"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "overlap.csv")[columns], explored.overlap(question)[columns])
    table = pd.read_csv(tmp_path / "ablate.csv")
    for one in explored.maps(question):
        effects = table.loc[table["task"] == one.task, "effect"].to_numpy().reshape(2, 2)
        np.testing.assert_allclose(one.effect, effects, atol=1e-6)
    one_head = head_command(explored.run, question, explored.exploring, head=Head(1, 0))
    assert run_command([*shlex.split(one_head)[1:], "--out", str(tmp_path / "head.csv")]) == 0
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "head.csv")["effect"][0], explored.maps(question)[0].effect[1, 0], atol=1e-6
    )
    located = primitive_command(explored.run, question, explored.exploring, names=())
    assert run_command([*shlex.split(located)[1:], "--out", str(tmp_path / "primitives.csv")]) == 0
    mine = explored.locate(question)
    assert list(pd.read_csv(tmp_path / "primitives.csv")["verdict"]) == list(mine["verdict"])


def test_a_second_look_measures_nothing(explored: Explored, monkeypatch: pytest.MonkeyPatch) -> None:
    question = explored.first_question()
    explored.maps(question)
    explored.effect(question, "copy", Head(0, 1), length=5)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(HeadAblation, "effects", never)
    again = Explored(explored.run, ("shift", "copy"), SMALL)
    np.testing.assert_array_equal(again.maps(question)[0].effect, explored.maps(question)[0].effect)  # from the files
    assert explored.effect(question, "copy", Head(0, 1), length=5).n == 6  # from memory
    assert explored.known_effect(question, "copy", Head(0, 1), length=15) == LengthEffect.of(
        explored.effects(question, "copy"), Head(0, 1)
    )
    assert explored.known_effect(question, "copy", Head(0, 0), length=25) is None


def test_one_heads_effect_is_that_of_its_ablation(explored: Explored) -> None:
    question = replace(explored.first_question(), metric="nll")
    found = explored.effect(question, "shift", Head(1, 1), length=20)
    table = HeadAblation("mean", "nll", (Head(1, 1),))(
        explored.run.model(), explored.task("shift"), length=20, n=6, generator=named_generator(0, "ablation")
    )
    assert found.effect == pytest.approx(table["effect"][0], abs=1e-6)
    assert found.stderr == pytest.approx(table["stderr"][0], abs=1e-6)


def test_a_large_model_gets_fewer_examples(explored: Explored) -> None:
    model = explored.model(30)
    weights = sum(weight.numel() for weight in model.parameters())
    # 3 runs of 2 (9 + 1) tokens: 60 tokens an example; 10.5 examples' work pays for 10.
    assert affordable(model, length=9, exploring=Exploring(work=10.5 * 60 * weights)) == 10
    assert affordable(model, length=9, exploring=Exploring(work=1.0)) == 4
    assert affordable(model, length=9, exploring=Exploring(head_n=32)) == 32


def test_patterns_are_those_of_a_plain_run_on_the_same_prompt(explored: Explored) -> None:
    found = explored.prompts(explored.first_question(), number=1)
    model, width = explored.run.model(), len(found.first.tokens)
    assert found.aligned
    assert found.first.tokens[1:16] == found.second.tokens[1:16]
    tokens = model.vocabulary.ids(found.first.tokens)[None]
    _, cache = model.run_with_cache(tokens)
    for head in (Head(0, 0), Head(1, 1)):
        expected = cache["pattern", head.layer][0, head.head].detach().numpy()
        np.testing.assert_allclose(found.first.of(head).pattern, expected, atol=1e-6)
    assert found.first.of(Head(0, 0)).pattern.shape == (width, width)


def test_the_read_out_is_the_ov_circuit(explored: Explored) -> None:
    found, model = explored.read_out(explored.first_question(), Head(1, 0)), explored.run.model()
    with torch.no_grad():
        # RMS norm of the embedding, its weight, W_V W_O, the final norm's weight, W_U; less the mean over all tokens.
        x = model.W_E / (model.W_E.pow(2).mean(dim=-1, keepdim=True) + model.config.norm_eps).sqrt()
        block = model.blocks[1]
        ov = (x * block.ln1.w) @ block.attn.W_V[0] @ block.attn.W_O[0] * model.ln_final.w @ model.W_U
        ov = (ov - ov.mean(dim=1, keepdim=True)).numpy()
    ids = model.vocabulary.ids(found.tokens).numpy()
    np.testing.assert_allclose(found.logits, ov[np.ix_(ids, ids)], atol=1e-5)
    assert found.left_out == 0


def test_the_read_out_is_by_the_first_task_of_the_pair(explored: Explored, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(type(explored.run), "task_head", lambda _, name: asked.append(name) or 0)
    explored.read_out(replace(explored.first_question(), first="copy", second="shift"), Head(1, 1))
    assert asked == ["copy"]


def test_a_click_shows_another_head_and_filling_completes_it(explorer: HeadOverlapExplorer) -> None:
    explorer.choose(Head(0, 1))
    assert "Head 0.1" in explorer.panel.title.value
    assert [len(trace.x) for trace in explorer.panel.lengths.traces] == [1, 1]  # what the maps know: length 15
    explorer.panel.filling.finish()
    assert [len(trace.x) for trace in explorer.panel.lengths.traces] == [6, 6]
    before = explorer.panel.patterns.traces[0].z
    cell = type("Points", (), {"xs": [0], "ys": [1], "point_inds": [[1, 0]]})()
    explorer._cell_clicked(explorer.maps.traces[0], cell, None)
    assert explorer.head == Head(1, 0)
    assert "Head 1.0" in explorer.panel.title.value
    assert not np.array_equal(before, explorer.panel.patterns.traces[0].z)
    assert [shape["x0"] for shape in _layout(explorer.maps)["shapes"]] == [-0.5, -0.5]
    named = next(trace for trace in explorer.scatter.traces if trace.text)
    point = type("Points", (), {"point_inds": [0]})()
    explorer._point_clicked(named, point, None)
    assert str(explorer.head) == named.text[0]
    with pytest.raises(InvalidValueError, match="head 5.0 does not exist"):
        explorer.choose(Head(5, 0))


def test_controls_ask_and_the_slider_changes_the_maps(explorer: HeadOverlapExplorer) -> None:
    end = explorer.maps.traces[0].z
    explorer.controls.metric.value = "nll"
    assert explorer.question.metric == "nll"
    assert "loss (nll)" in explorer.status.value
    explorer.controls.step.value = 10
    assert explorer.question.step == 10
    assert "Step 10" in explorer.status.value
    assert not np.array_equal(end, explorer.maps.traces[0].z)
    explorer.controls.k.value = 2
    assert "same heads, top 2" in explorer.overlap.value
    explorer.prepare()
    assert all(
        ("effects", "copy", "nll", "mean", 15, step) in explorer.explored._kept for step in explorer.explored.steps
    )


def test_an_error_in_a_callback_is_shown(explorer: HeadOverlapExplorer) -> None:
    explorer._trying(lambda: explorer.ask(replace(explorer.question, step=11)))
    assert "has no checkpoint of step 11" in explorer.status.value
    explorer.saving.place.value = "figure.gif"
    explorer.saving.button.click()
    assert "cannot tell the format of" in explorer.saving.said.value
    assert ".pdf, .svg, .png" in explorer.saving.said.value


def test_the_primitives_are_located_once_asked(explorer: HeadOverlapExplorer) -> None:
    explorer.ask(replace(explorer.question, step=20))
    assert "Not located yet at step 20, length 15" in explorer.panel.verdicts.value
    explorer.panel.locate.click()
    assert "no evidence for" in explorer.panel.verdicts.value
    assert explorer.panel.locate.disabled


def test_the_button_writes_figure_and_numbers(explorer: HeadOverlapExplorer, tmp_path: Path) -> None:
    written = explorer.save(tmp_path / "a.svg")
    first = written.read_bytes()
    assert first.startswith(b"<?xml")
    assert explorer.save(tmp_path / "a.svg").read_bytes() == first
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["task"]) == ["shift"] * 4 + ["copy"] * 4
    np.testing.assert_allclose(table["effect"][:4], explorer.explored.maps(explorer.question)[0].effect.ravel())
    assert explorer.save(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_without_widgets_there_is_a_picture(explorer: HeadOverlapExplorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert bundle["image/png"].startswith("iVBORw0KGgo")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"].startswith("HeadOverlapExplorer(")


def test_dark_pages_get_light_ink(explorer: HeadOverlapExplorer) -> None:
    light = _layout(explorer.maps)["font"]["color"]
    explorer.theme.dark = True
    assert light != _layout(explorer.maps)["font"]["color"] == "#e6e6e3"
    explorer.theme.dark = False
    assert _layout(explorer.maps)["font"]["color"] == light


def test_only_what_differs_is_sent() -> None:
    figure = go.Figure([go.Scatter(x=[1, 2], y=[3, 4])], {"title": {"text": "a"}})
    shown = Shown(figure)
    shown.show(go.Figure([go.Scatter(x=[1, 2], y=[3, 5])], {"title": {"text": "a"}}), dark=False)
    assert list(shown.traces[0].y) == [3, 5]
    assert _layout(shown)["title"]["text"] == "a"
    # kept: x; other: y; new: text; gone: name
    old, new = {"x": [1], "y": [2], "name": "a"}, {"x": [1], "y": [3], "text": "b"}
    assert _changed(old, new) == {"y": [3], "text": "b", "name": None}
    with pytest.raises(ValueError, match="zip"):
        shown.show(go.Figure(), dark=False)


def test_filling_is_done_in_pieces_and_replaced() -> None:
    done: list[str] = []

    def work(name: str) -> Iterator[None]:
        for place in range(3):
            done.append(f"{name}{place}")
            yield

    async def both() -> None:
        filling = Filling()
        filling.start(work("a"))
        filling.start(work("b"))
        await asyncio.sleep(0.5)

    asyncio.run(both())
    assert done == ["b0", "b1", "b2"]
    filling = Filling()
    filling.start(work("c"))
    assert len(done) == 3
    filling.finish()
    assert done[3:] == ["c0", "c1", "c2"]


def _layout(shown: Shown) -> Any:
    """The layout as plain values: plotly's types know none of its names."""
    return cast("Any", shown.widget.to_plotly_json())["layout"]


def _map(effect: list[list[float]], task: str = "shift") -> HeadMap:
    values = np.array(effect)
    return HeadMap(task, 15, values, np.full(values.shape, 0.01))


def test_the_strongest_head_is_the_one_both_need() -> None:
    # the lesser effects: .1 .3 / .2 .2; the greatest is that of 0.1
    assert strongest(_map([[0.9, 0.3], [0.2, 0.5]]), _map([[0.1, 0.4], [0.8, 0.2]])) == Head(0, 1)
    assert frames(Head(2, 5))[1] | {"line": None} == {
        "type": "rect", "xref": "x2", "yref": "y2", "line": None, "x0": 4.5, "x1": 5.5, "y0": 1.5, "y1": 2.5,
    }  # fmt: skip


def test_names_are_escaped_everywhere(explored: Explored) -> None:
    table = explored.overlap(explored.first_question()).assign(first=NASTY)
    located = explored.locate(explored.first_question()).assign(task=NASTY)
    texts = [
        overlap_table(table), verdict_table(located, Head(0, 0), [NASTY]), code([NASTY]), wrong(NASTY),
        clean_sentence((NASTY, "b"), (0.5, 0.05), metric="accuracy", length=3),
    ]  # fmt: skip
    assert not any("<script" in text for text in texts)
    assert "&lt;script&gt;" in texts[1]
    assert "choose loss (nll)" in texts[4]
    effect = LengthEffect(10, 0.5, 0.1, 0.9, 12)
    drawn = effect_by_length((NASTY, "b"), ([effect], []), explored.bands, metric="nll", at=15)
    assert "<script" not in str(cast("Any", drawn.to_plotly_json())["data"][0]["name"])
    prompts = explored.prompts(explored.first_question())
    nasty = replace(prompts.first.of(Head(0, 0)), task=NASTY, tokens=("<b>", *prompts.first.tokens[1:]))
    figure = pattern_figure((nasty, nasty))
    assert "<script" not in str(figure.to_json())
    assert figure.layout["yaxis"]["ticktext"][0] == "&lt;b&gt;"
    shown = read_out_figure(ReadOutMap(("<i>", "b"), np.zeros((2, 2)), 0))
    assert shown.layout["xaxis"]["ticktext"][0] == "&lt;i&gt;"
    assert selection_figure(_map([[0.1]], NASTY), _map([[0.0]], "$y$"), metric="nll").axes[0].get_title("left")


def test_the_selection_is_drawn_without_pixels(tmp_path: Path) -> None:
    # 日 is not in the figures' font: a warning would fail the test. One effect of three is below zero: one hatch.
    figure = selection_figure(
        _map([[0.5, -0.2, 0.0]], "日本"), _map([[0.1, 0.2, 0.3]], "b"), metric="nll", chosen=Head(0, 1)
    )
    assert [len(axes.patches) - 1 for axes in figure.axes[:2]] == [1, 0], "the rest is the chosen head's frame"
    text = save_figure(figure, tmp_path / "a.svg", form="svg").read_text(encoding="utf-8")
    assert "<image" not in text


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    program = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'anywidget' else real(name, *rest)\n"
        "import interp.widgets"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'interp-toolkit[notebook]'" in done.stderr
    assert done.returncode == 1
