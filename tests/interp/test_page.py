"""The report page's sentences, word for word on hand-made rows, and the page as a file."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.figures.heads import HeadMap
from interp.page import render_page, rich, script_json, write_page
from interp.words.heads import heads_sentence, heads_table
from interp.words.intervals import UNDEFINED, newcombe, wilson
from interp.words.overlap import correction_note, estimate_sentence, null_sentence, overlap_headline, overlap_words
from interp.words.tables import accuracy_table, settings_table
from interp.words.verdict import percent, points, quoted, verdict
from tasks import InvalidValueError
from tests.interp.page_fixtures import MadeUp, study_results

HOSTILE = MadeUp(
    main="<script>alert(1)</script>",
    auxiliaries=("\"><img src=x onerror=alert(2)>'",),
    controls=("naïve ψ & `b` </script><!-- %{x}",),
)

ROW = {
    "first": "shift",
    "second": "copy",
    "length": 15,
    "kind": "mean",
    "metric": "accuracy",
    "measure": "cosine",
    "k": math.nan,
    "estimate": 0.83,
    "low": 0.71,
    "high": 0.9,
    "null": "within_layer",
    "null_mean": 0.41,
    "null_low": 0.2,
    "null_high": 0.62,
    "p": 0.002,
    "permutations": 1999,
}

WITHIN = "Heads shuffled within layers give 0.41 on average (95 % of shuffles 0.20 to 0.62)"
MORE = "the two maps are more alike than such shuffles"
DIFFERENCE = "The mean absolute difference between the two maps"
READ = "as a fraction of examples, averaged over heads; smaller is more alike"
FREELY = "Heads shuffled freely give 0.41 on average (95 % of shuffles 0.20 to 0.62)"


def test_wilson_interval() -> None:
    """0 of 100: 0 to z^2 / (n + z^2) = 3.8415 / 103.8415 = 0.036994."""
    nothing = wilson(0.0, 100)
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert nothing.high == pytest.approx(0.036994, abs=1e-6)
    assert not wilson(math.nan, 100).defined
    assert not wilson(0.5, 0).defined


def test_newcombe_interval() -> None:
    """56/70 - 48/80 = 0.2, 95 % interval 0.0524 to 0.3339: the worked example of Newcombe (1998), table II (a)."""
    difference = newcombe(wilson(56 / 70, 70), wilson(48 / 80, 80))
    assert difference.value == pytest.approx(0.2)
    assert difference.low == pytest.approx(0.0524, abs=5e-5)
    assert difference.high == pytest.approx(0.3339, abs=5e-5)
    assert not newcombe(wilson(0.5, 10), UNDEFINED).defined


def test_numbers_in_words() -> None:
    assert percent(wilson(0.9, 100)) == "90.0 % (95 % interval 82.6 to 94.5 %)"
    assert percent(UNDEFINED) == "an undefined share"
    assert points(newcombe(wilson(0.8, 70), wilson(0.6, 80))) == "+20.0 points (95 % interval +5.2 to +33.4)"
    same = points(newcombe(wilson(0.5, 100), wilson(0.5, 100)))
    assert same == "0.0 points (95 % interval −13.6 to +13.6), not clearly above or below zero"
    assert points(UNDEFINED) == "not defined"


@pytest.mark.parametrize(
    ("names", "words"), [(["a"], "`a`"), (["a", "b"], "`a` and `b`"), (["a", "b", "c`"], "`a`, `b` and `c'`"), ([], "")]
)
def test_quoted(names: list[str], words: str) -> None:
    assert quoted(names) == words


@pytest.mark.parametrize(
    ("auxiliary", "alone", "control", "answer"),
    [
        (0.9, 0.1, 0.1, "Yes"),
        (0.5, 0.1, 0.1, "In part"),
        (0.17, 0.1, 0.1, "Barely"),
        (0.9, 0.1, 0.9, "No more than the control does"),
        (0.1, 0.1, 0.1, "No"),
        (0.1, 0.5, 0.1, "No, it did worse"),
        (math.nan, 0.5, 0.1, "Not measured"),
        (0.9, 0.1, math.nan, "Not measured"),
    ],
)
def test_the_answer(auxiliary: float, alone: float, control: float, answer: str) -> None:
    results = study_results(MadeUp())
    values = {"auxiliary": auxiliary, "alone": alone, "control": control}
    rows = [
        {"condition": condition, "weights": "averaged", "task": "shift", "length": 15, "n": 1000, "accuracy": value}
        for condition, value in values.items()
    ]
    assert verdict(replace(results, accuracy=pd.DataFrame(rows))).answer == answer


def test_the_headline_word_for_word() -> None:
    rows = [
        ("auxiliary", "averaged", "shift", 15, 100, 0.9),
        ("alone", "averaged", "shift", 15, 100, 0.0),
        ("control", "averaged", "shift", 15, 100, 0.9),
        ("auxiliary", "raw", "shift", 15, 100, 0.3),
    ]
    columns = ["condition", "weights", "task", "length", "n", "accuracy"]
    headline = verdict(replace(study_results(MadeUp()), accuracy=pd.DataFrame(rows, columns=columns)))
    assert headline.question == "Does training with `copy` carry `shift` to length 15?"
    assert headline.weights == "averaged"
    first, second, third = headline.sentences
    assert first == (
        "At length 15, 5 beyond the longest it was trained on, `shift` trained with `copy` (lengths up to 20) answers "
        "90.0 % (95 % interval 82.6 to 94.5 %) of examples exactly right."
    )
    assert second == (
        "Trained alone, it answers 0.0 % (95 % interval 0.0 to 3.7 %): the difference is +90.0 points "
        "(95 % interval +81.7 to +94.5)."
    )
    assert third == (
        "Trained with the unrelated `reverse`, it answers 90.0 % (95 % interval 82.6 to 94.5 %): the difference is "
        "0.0 points (95 % interval −8.7 to +8.7), not clearly above or below zero."
    )


def test_heads_in_words() -> None:
    effect, stderr = np.array([[0.5, 0.0], [0.3, 0.01]]), np.full((2, 2), 0.02)
    one, other = HeadMap("shift", 15, effect, stderr), HeadMap("copy", 15, effect * [[1, 1], [0, 1]], stderr)
    assert heads_sentence(one, other) == "Removed one at a time, 2 of 4 heads help `shift`, 1 `copy`, and 1 both: 0.0."
    nothing = HeadMap("copy", 15, effect * 0, stderr)
    assert heads_sentence(one, nothing) == (
        "Removed one at a time, 2 of 4 heads help `shift`, 0 `copy`, and none helps both."
    )
    assert heads_table([one, other]).rows == (
        ("0.0", "+0.500 ± 0.020", "+0.500 ± 0.020"),
        ("1.0", "+0.300 ± 0.020", "+0.000 ± 0.020"),
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "Cosine similarity of the two maps is 0.83 (95 % interval 0.71 to 0.90)."),
        (
            {"measure": "mean_absolute_difference", "estimate": 0.0413, "low": 0.03, "high": 0.052},
            f"{DIFFERENCE} is 0.041 (95 % interval 0.030 to 0.052), {READ}.",
        ),
        (
            {"measure": "jaccard", "k": 5, "estimate": 3 / 7, "low": 0.25, "high": 2 / 3},
            "Jaccard index of the two tasks' top 5 heads is 0.43 (95 % interval 0.25 to 0.67): 3 of 5 are the same.",
        ),
        (
            {"measure": "spearman", "estimate": -0.2, "low": math.nan},
            "Spearman rank correlation of the two maps is −0.20 (interval not defined).",
        ),
        (
            {"measure": "rank_biased_overlap"},
            "Rank-biased overlap of the two maps is 0.83 (95 % interval 0.71 to 0.90).",
        ),
        ({"estimate": math.nan}, "Cosine similarity of the two maps is not defined for these maps."),
    ],
)
def test_estimates_in_words(change: dict[str, object], sentence: str) -> None:
    assert estimate_sentence(ROW | change) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {},
            f"{WITHIN}; p = 0.002: {MORE}.",
        ),
        (
            {"null": "free", "p": 0.21},
            f"{FREELY}; p = 0.21: not significant, such shuffles are often as much alike.",
        ),
        (
            {"p": 0.0005},
            f"{WITHIN}; p = 0.0005, the smallest that 1999 shuffles can give: {MORE}.",
        ),
        ({"p": math.nan, "null_low": math.nan}, "Heads shuffled within layers give 0.41 on average; p is not defined."),
        ({"estimate": math.nan}, "Heads shuffled within layers: the comparison is not defined."),
    ],
)
def test_nulls_in_words(change: dict[str, object], sentence: str) -> None:
    assert null_sentence(ROW | change) == sentence


def test_overlap_is_grouped_by_pair_and_measure() -> None:
    table = pd.DataFrame([ROW, ROW | {"null": "free"}, ROW | {"measure": "spearman"}, ROW | {"second": "reverse"}])
    pairs = overlap_words(table)
    assert [(pair.second, [measure.measure for measure in pair.measures]) for pair in pairs] == [
        ("copy", ["Cosine similarity", "Spearman rank correlation"]),
        ("reverse", ["Cosine similarity"]),
    ]
    assert [null.null for null in pairs[0].measures[0].nulls] == [
        "Heads shuffled within layers",
        "Heads shuffled freely",
    ]
    assert correction_note(table).endswith("only p below 0.013 would count as significant.")
    assert correction_note(table[:1]) == ""


def test_overlap_headline() -> None:
    (alike, unlike) = overlap_headline(pd.DataFrame([ROW, ROW | {"p": 0.3}, ROW | {"null": "free"}]))
    assert alike == (
        "The ablation maps of `shift` and `copy` are more alike than with heads shuffled within layers: "
        "cosine similarity 0.83 (95 % interval 0.71 to 0.90) against 0.41, p = 0.002."
    )
    assert "are not clearly more alike" in unlike


def test_tables() -> None:
    columns = ["condition", "weights", "task", "length", "n", "accuracy"]
    rows = [
        ("auxiliary", "averaged", "shift", 10, 100, 0.9),
        ("auxiliary", "raw", "shift", 10, 100, 0.1),
        ("alone", "averaged", "shift", 9, 100, math.nan),
    ]
    table = accuracy_table(pd.DataFrame(rows, columns=columns), weights="averaged")
    assert table.headers == ("length", "shift (model with auxiliary)", "shift (model trained alone)")
    assert table.rows == (("9", "", "not defined"), ("10", "90.0 % (82.6 to 94.5)", ""))
    settings = settings_table({"d_model": 64, "rate": 0.002, "n": 201472, "tied": True, "lengths": (1, 20), "x": None})
    assert settings.rows == (
        ("d model", "64"),
        ("rate", "0.002"),
        ("n", "201,472"),
        ("tied", "yes"),
        ("lengths", "1, 20"),
        ("x", "None"),
    )


def test_rich_text_is_escaped() -> None:
    assert rich("`<b>` gets 9 % & p = 0.1, 1 ± 2") == (
        "<code>&lt;b&gt;</code> gets 9\u00a0% &amp; p\u00a0=\u00a00.1, 1\u00a0±\u00a02"
    )


def test_json_in_a_script_stays_in_it() -> None:
    value = {"a": "</script><!-- & \u2028 é", "b": [math.nan, 1.5]}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028 é", "b": [None, 1.5]}


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(study_results(MadeUp()))


def test_page_has_each_script_once_and_is_small(page: str) -> None:
    assert len(re.findall(r"plotly\.js v\d", page)) == 1
    assert page.count("var CircuitsVis=") == 1
    assert len(re.findall(r"<script[ >]", _without_libraries(page))) == 5
    assert len(page.encode()) < 8_000_000


def test_page_loads_nothing(page: str) -> None:
    own = _without_libraries(page)
    assert "default-src 'none'" in own
    assert not re.search(r"https?://", own)
    assert not re.search(r"<(link|img|iframe|script)[^>]+(src|href)=(?!\"data:,\")", own)


def test_page_has_all_parts(page: str) -> None:
    for heading in (
        "How long can the examples be?",
        "How did it come about in training?",
        "Which heads does each task need?",
        "Are they the same heads?",
        "More alike than chance?",
        "Does removing one task’s heads cost the other?",
        "What do the heads do?",
        "How large is the circuit?",
        "How this was measured",
    ):
        assert f"<h2>{heading}</h2>" in page
    assert '<h3 id="attention">What do the shared heads look at?</h3>' in page
    assert "interp study copy+shift --preset small --seed 0" in page
    assert "Overlap alone is no proof" in page
    parts = ("answer", "lengths", "maps", "heads", "overlap", "cross", "primitives", "training", "circuit", "methods")
    places = [page.index(f'id="{part}"') for part in parts]
    assert places == sorted(places)


def test_same_results_same_bytes(page: str) -> None:
    assert render_page(study_results(MadeUp())) == page


def test_hostile_names_are_text() -> None:
    own = _without_libraries(render_page(study_results(HOSTILE)))
    assert "<script>alert" not in own
    assert "<img" not in own
    assert "onerror=alert" in own
    assert own.count("<script") == own.count("</script>")
    assert "<!-- %" not in own
    assert "ψ" in own


def test_a_study_without_most_of_its_parts_has_a_page() -> None:
    whole = study_results(MadeUp(controls=()))
    bare = replace(
        whole,
        training=whole.training[:0],
        ablation=whole.ablation[:0],
        overlap=whole.overlap[:0],
        accuracy=whole.accuracy[:0],
        attention=(),
    )
    page = render_page(bare)
    for sentence in (
        "Not measured.",
        "No checkpoint was evaluated during training.",
        "No head was ablated.",
        "There are no two ablation maps to compare.",
        "No overlap was measured.",
        "No head is shared clearly enough to show its attention.",
    ):
        assert sentence in page


def test_undefined_numbers_are_said_to_be_so() -> None:
    whole = study_results(MadeUp())
    page = render_page(
        replace(
            whole,
            overlap=whole.overlap.assign(estimate=math.nan),
            ablation=whole.ablation.assign(effect=math.nan),
            accuracy=whole.accuracy.assign(accuracy=math.nan),
        )
    )
    assert "Cosine similarity of the two maps is not defined for these maps." in page
    assert "an undefined share" in page
    written = re.sub(r"<script>(?s:.)*?</script>", "", page)
    assert "NaN" not in written
    assert " nan" not in written


def test_write_page(tmp_path: Path, page: str) -> None:
    path = write_page(study_results(MadeUp()), tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_page_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InvalidValueError, match="report.html': no space left; choose another place"):
        write_page(study_results(MadeUp()), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "old")]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    assert write_page(study_results(MadeUp()), path) == path
    assert path.is_file()


def _without_libraries(page: str) -> str:
    """The page without plotly's and circuitsvis's own text."""
    scripts = re.findall(r"<script>(?s:.)*?</script>", page)
    for script in scripts:
        if len(script) > 500_000:
            page = page.replace(script, "<script></script>")
    return page
