"""Parts of the pages: data, commands, sentences on primitives, reuse and seeds, and the pages of several runs."""

import csv
import dataclasses
import io
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp.cli import app
from interp.figures.style import contrast
from interp.page import render_comparison, render_page, render_seeds, write_comparison, write_seeds
from interp.page.html import TEMPLATES
from interp.panels.sources import Source, command, csv_text
from interp.words.comparison import differences_table, overlap_comparison, summary_table
from interp.words.primitives import primitive_sentences, primitives_table, shared_sentence
from interp.words.reuse import (
    association_sentences,
    association_table,
    cross_sentences,
    cross_table,
    leads_table,
)
from interp.words.seeds import gains_table, primitive_seeds_table, seed_verdict, shared_seeds_sentence
from interp.words.tables import interval, number
from tests.interp.further_fixtures import CROSS, PRIMITIVE, SHARED, extras, run_findings, seed_findings
from tests.interp.page_fixtures import MadeUp, study_results

HOSTILE = MadeUp(
    main="<script>alert(1)</script>",
    auxiliaries=("\"><img src=x onerror=alert(2)>'",),
    controls=("naïve ψ & `b` </script><!-- %{x}",),
)

BAD = "</script><img src=x onerror=alert(3)> 'q\""


def without_libraries(page: str) -> str:
    """The page without the scripts of others."""
    return re.sub(r"<script>(?s:.){500000,}?</script>", "<script></script>", page)


def data_of(page: str) -> dict[str, dict[str, Any]]:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found.group(1))


# ---------------------------------------------------------------------------------------------------- data and commands
def test_csv_is_read_by_another_reader_and_runs_nothing() -> None:
    """A spreadsheet runs a text that begins with =, +, - or @; numbers may begin with -."""
    table = pd.DataFrame({"task": ["=1+2", 'a,"b"\nc', "@x"], "effect": [-0.12345678, math.nan, 2.0], "n": [1, 2, 3]})
    assert list(csv.reader(io.StringIO(csv_text(table)))) == [
        ["task", "effect", "n"],
        ["'=1+2", "-0.123457", "1"],
        ['a,"b"\nc', "", "2"],
        ["'@x", "2", "3"],
    ]
    assert not Source("x").has_data
    assert not Source("", table).has_data


def test_commands_are_quoted_for_a_shell() -> None:
    assert command("interp", "report", ["a b", "$(x)"], 3) == "interp report 'a b' '$(x)' 3"


def test_every_command_on_the_page_can_be_run() -> None:
    """The command line reads each of them; nothing is run."""
    page = render_page(study_results(MadeUp()), extras())
    shown = re.findall(r'<code class="line">(.*?)</code>', page, re.DOTALL)
    lines = {line for text in shown for line in text.splitlines()}
    assert {line.split()[1] for line in lines} == {
        "evaluate", "ablate", "overlap", "report", "primitives", "cross", "association", "circuit",
    }  # fmt: skip
    for line in lines:
        app.parse_args(line.split()[1:], exit_on_error=False, print_error=False)


def test_every_figure_has_its_data_and_its_command() -> None:
    page = render_page(study_results(MadeUp()), extras())
    data = data_of(page)
    for name in data["plots"]:
        part = page[page.index(f'<div id="{name}" ') :]
        tools = part[: part.index("<figcaption>")]
        file = re.search(r'data-csv="([^"]+)"', tools)
        assert file
        assert data["files"][file.group(1)]
        assert "interp " in tools[tools.index('<code class="line">') :]
    whole = study_results(MadeUp())
    rows = list(csv.DictReader(io.StringIO(str(data["files"]["accuracy-by-length"]))))
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(whole.accuracy["accuracy"].tolist(), abs=1e-6)


# ------------------------------------------------------------------------------------------------------------- in words
def test_numbers_and_intervals() -> None:
    shown = [number(value) for value in (0.12, -0.0313, -0.0001, math.nan)]
    assert shown == ["+0.120", "−0.031", "0.000", "not defined"]
    assert interval(0.5, (0.25, 1.0)) == "+0.50 (+0.25 to +1.00)"
    assert interval(0.5, (math.nan, 1.0), decimals=1) == "+0.5"


def test_primitives_in_words() -> None:
    less = {"head": 3, "verdict": "attends only", "write_tokens": math.nan, "write_values": math.nan}
    table = pd.DataFrame([PRIMITIVE, PRIMITIVE | less])
    assert primitive_sentences(table) == [
        "On `shift` at length 15, these heads implement a primitive: `offset_copy`: 2.10."
    ]
    assert primitive_sentences(table[1:]) == [
        "On `shift` at length 15, no head passes all three tests for any of `offset_copy`."
    ]
    numbers = ("+1.500 ± 0.250", "−0.500 ± 0.125", "0.004")
    assert primitives_table(table).rows == (
        ("2.10", "`shift`", "`offset_copy`", "implements", "0.90 (0.10)", "0.75 (0.05)", *numbers),
        ("2.3", "`shift`", "`offset_copy`", "attends only", "0.90 (0.10)", "writes none", *numbers),
    )  # fmt: skip
    assert primitives_table(table[:0]).rows == ()
    assert shared_sentence(pd.DataFrame([SHARED]), ("shift", "copy")) == (
        "Of `shift` and `copy`: head 2.10 implements `offset_copy` in both (2 and 1 heads do in either; drawn at "
        "random within layers, as many would be shared with p = 0.031)."
    )
    assert shared_sentence(pd.DataFrame(), ("shift", "copy")) == (
        "No head implements the same primitive in `shift` and `copy`."
    )


def test_cross_task_ablation_in_words() -> None:
    table = pd.DataFrame([CROSS, CROSS | {"scored": "shift"}, CROSS | {"q": 0.2, "ablated": "x"}])
    assert cross_table(table).rows[0] == (
        "`shift`", "0.3, 2.1", "`copy`", "+0.500 (+0.400 to +0.600)", "+0.100 (0.000 to +0.300)", "0.75", "0.01"
    )  # fmt: skip
    first, other = cross_sentences(table)
    assert first == (
        "Without the top heads of `shift` (0.3, 2.1), `copy` loses +0.500 (+0.400 to +0.600): more than without as "
        "many random heads of the same layers (+0.100; q = 0.01)."
    )
    assert "no more clearly than without" in other


ASSOCIATION = {
    "auxiliary": "copy", "quantity": "mean_absolute_difference", "metric": "accuracy", "outcome": "gap",
    "level": "pooled", "spearman": 0.8, "expected": 1, "detrended": 0.73, "detrended_low": 0.5, "detrended_high": 0.95,
    "q": 0.001, "seeds_p": 0.15, "seeds_q": 0.5, "seeds": 5, "seed": 41,
}  # fmt: skip


def test_association_in_words() -> None:
    rows = [ASSOCIATION, ASSOCIATION | {"level": "seed", "detrended": 0.1}, ASSOCIATION | {"outcome": "nll"}]
    assert association_sentences(pd.DataFrame(rows)) == [
        (
            "With `copy`, over 5 seeds, a smaller map difference goes with a smaller gap (detrended Spearman +0.73, "
            "q = 0.001), and no more clearly than with the gap of other seeds (p = 0.15)."
        )
    ]
    one = ASSOCIATION | {"level": "seed", "seeds": 1, "detrended": -0.2, "q": 0.4, "seeds_p": math.nan}
    assert association_sentences(pd.DataFrame([one])) == [
        (
            "With `copy`, in seed 41, a smaller map difference goes against a smaller gap (detrended Spearman −0.20, "
            "q = 0.4, which shifted series often reach too)."
        )
    ]
    (flat,) = association_sentences(pd.DataFrame([one | {"detrended": 0.0, "q": 1.0}]))
    assert "a smaller map difference goes neither with nor against a smaller gap" in flat
    (row,) = association_table(pd.DataFrame(rows)).rows
    assert row[:3] == ("map difference (exact match)", "`copy`", "rises with the gap")
    assert row[3:] == ("+0.80", "+0.73 (+0.50 to +0.95)", "0.001", "0.5")
    assert association_sentences(pd.DataFrame()) == []


def test_leads_without_a_rise_are_left_out() -> None:
    row = {"auxiliary": "copy", "quantity": "cosine", "metric": "nll", "level": "pooled", "reuse_step": 837.0,
           "accuracy_step": 1080.0, "lead": 243.0, "low": 150.0, "high": 336.0, "q": 0.35, "seeds": 5}  # fmt: skip
    table = pd.DataFrame([row, row | {"lead": math.nan}])
    assert leads_table(table).rows == (
        ("cosine of the maps (nll)", "`copy`", "837", "1080", "+243 (+150 to +336)", "0.35", "5"),
    )


# ----------------------------------------------------------------------------------------------------------- over seeds
def test_a_study_over_seeds_in_words() -> None:
    findings = seed_findings()
    headline = seed_verdict(findings)
    assert headline.question == "Does training with `copy` carry `shift` to length 6?"
    table = findings.results.accuracy.query("weights == 'averaged' and length == 6 and condition == 'auxiliary'")
    assert headline.cards[0].estimate.value == pytest.approx(table["accuracy"].mean())
    assert headline.sentences[0].endswith("of examples exactly right, on average over 3 seeds.")
    assert headline.sentences[-1] == "With 3 seeds, no sign-flip p can be below 0.12, before it is corrected."
    assert gains_table(findings).headers == ("length", "auxiliary - alone", "auxiliary - control", "control - alone")
    assert primitive_seeds_table(findings).rows == (("`offset_copy`", "`shift`", "2 of 3", "2.10", "none", "2.10"),)
    assert shared_seeds_sentence(findings) == (
        "Of 3 seeds, a head implements the same primitive in `shift` and `copy`: `offset_copy` in 2 (2.10 of seed 0, "
        "2.10 of seed 2)."
    )


@pytest.mark.parametrize(
    ("gains", "answer"),
    [
        (((0.6, 0.5), (0.6, 0.5)), "Yes"),
        (((0.6, 0.5), (0.3, 0.1)), "In part"),
        (((0.05, 0.01), (0.05, 0.01)), "Barely"),
        (((0.6, 0.5), (0.1, -0.1)), "No more than the control does"),
        (((0.1, -0.1), (0.1, 0.05)), "No"),
        (((-0.5, -0.7), (0.1, 0.05)), "No, it did worse"),
        (((math.nan, math.nan), (0.1, 0.05)), "Not measured"),
    ],
)
def test_the_answer_over_seeds(gains: tuple[tuple[float, float], ...], answer: str) -> None:
    """Each gain is given with its lower end, and the interval is symmetric."""
    findings = seed_findings()
    rows = [
        {"contrast": f"auxiliary - {other}", "weights": "averaged", "length": 6, "gain": gain, "low": low,
         "high": 2 * gain - low, "q": 0.1}
        for other, (gain, low) in zip(("alone", "control"), gains, strict=True)
    ]  # fmt: skip
    changed = dataclasses.replace(findings.results, gains=pd.DataFrame(rows))
    assert seed_verdict(dataclasses.replace(findings, results=changed)).answer == answer


def test_the_page_of_seeds_has_all_parts_and_the_same_bytes(tmp_path: Path) -> None:
    path = write_seeds(seed_findings(), tmp_path / "seeds.html")
    page = path.read_text(encoding="utf-8")
    assert page == render_seeds(seed_findings())
    parts = ("answer", "lengths", "maps", "heads", "overlap", "primitives", "training", "methods")
    places = [page.index(f'<section id="{part}"') for part in parts]
    assert places == sorted(places)
    assert "var CircuitsVis=" not in page
    data = data_of(page)
    assert {"accuracy-by-length", "head-ablation", "overlap", "primitives", "association"} <= set(data["files"])
    bare = dataclasses.replace(
        seed_findings(), ablation=pd.DataFrame(), primitives=pd.DataFrame(), shared_primitives=pd.DataFrame()
    )
    empty = render_seeds(bare)
    assert "Not measured yet. This makes it: <code>interp report seeds</code>" in empty
    assert "There are no two ablation maps to compare." in empty


# ---------------------------------------------------------------------------------------------------------- comparisons
def test_runs_beside_each_other_in_words() -> None:
    runs = [run_findings("A"), run_findings("B", name="other", seed=1)]
    assert differences_table(runs).rows == (("seed", "0", "1"),)
    assert differences_table(runs[:1]).rows == ()
    table = overlap_comparison(runs, metric="accuracy")
    assert table.headers == ("measure", "A: `shift` and `copy`", "B: `shift` and `copy`")
    assert table.rows[1] == ("Cosine similarity", *(2 * ("0.83 (0.71 to 0.90); shuffled 0.41, p = 0.002",)))
    row = summary_table(runs, metric="accuracy").rows[1]
    assert row[:3] == ("B", "`other`", "shift to 10, copy to 20")
    assert row[3].endswith(" at 10")
    assert row[-1] == "5: 0.1, 1.2, 1.3, 2.0, 2.3"  # 3.1 and 3.2 of the made-up heads help one task or none


def test_the_page_of_runs(tmp_path: Path) -> None:
    runs = [run_findings("A"), run_findings("B", MadeUp(auxiliaries=(), layers=1, heads=1, matter={}), name="other")]
    path = write_comparison(runs, tmp_path / "runs.html")
    page = path.read_text(encoding="utf-8")
    assert page == render_comparison(runs)
    assert "How do 2 runs compare?" in page
    assert "interp report demo/auxiliary other" in page
    assert [trace["type"] for trace in data_of(page)["plots"]["figure-maps-0"]["data"]].count("heatmap") == 3
    alone = render_comparison(runs[1:])
    assert "What does run <code>other</code> do?" in alone
    assert "No run was trained on two tasks" in alone


# ------------------------------------------------------------------------------------------------------- all the pages
def _pages(made_up: MadeUp, name: str) -> dict[str, str]:
    names = {"main": made_up.main, "auxiliary": made_up.auxiliaries[0]}
    return {
        "study": render_page(study_results(made_up), extras(name, **names)),
        "seeds": render_seeds(seed_findings(made_up, name=name)),
        "runs": render_comparison([run_findings(label, made_up, name=name) for label in "AB"]),
    }


@pytest.fixture(scope="module")
def hostile() -> dict[str, str]:
    return _pages(HOSTILE, BAD)


@pytest.mark.parametrize("kind", ["study", "seeds", "runs"])
def test_hostile_names_are_text_on_every_page(hostile: dict[str, str], kind: str) -> None:
    own = without_libraries(hostile[kind])
    assert "<script>alert" not in own
    assert "<img" not in own
    assert own.count("<script") == own.count("</script>")
    assert "ψ" in own or kind == "runs"


@pytest.mark.parametrize("kind", ["study", "seeds", "runs"])
def test_headings_are_in_order_and_ids_are_unique(hostile: dict[str, str], kind: str) -> None:
    own = without_libraries(hostile[kind])
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", own)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = re.findall(r' id="([^"]+)"', own)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', own)) <= set(ids)
    assert 'class="skip" href="#answer"' in own
    plots = re.findall(r'class="plot" role="img" aria-label="([^"]+)"', own)
    assert min(map(len, plots)) > 20


@pytest.mark.slow
def test_pages_stay_under_8_megabytes() -> None:
    """36 heads with eight tasks, and 480 heads, with all that a page can show; 8 runs of 480 heads on one page."""
    many = MadeUp(auxiliaries=tuple(f"task{place}" for place in range(7)), layers=6, heads=6)
    large = MadeUp(layers=24, heads=20)
    pages = [
        render_page(study_results(many), extras()),
        render_page(study_results(large), extras()),
        render_comparison([run_findings(label, large) for label in "ABCDEFGH"]),
    ]
    assert max(len(page.encode()) for page in pages) < 8_000_000


# ------------------------------------------------------------------------------------------------------------- contrast
def _colours(scheme: str) -> dict[str, str]:
    """The style's own colours, light, dark, or on paper."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    blocks = {
        "light": style[: style.index("@media")],
        "dark": style[style.index("prefers-color-scheme: dark") : style.index("* { box-sizing")],
        "print": style[style.index("@media print") :],
    }
    found = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6});", blocks[scheme]))
    return {
        name: color if len(color) == 7 else "#" + "".join(2 * part for part in color[1:])
        for name, color in found.items()
    }


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_a_contrast_of_at_least_4_5(scheme: str) -> None:
    """WCAG 2.2, 1.4.3 for text, and 1.4.11 for what is drawn: 3 to 1."""
    colours = _colours(scheme)
    for text in ("ink", "soft", "link"):
        for ground in ("paper", "wash"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (scheme, text, ground)
    for mark in ("auxiliary", "alone", "control", "edge"):
        assert contrast(colours[mark], colours["paper"]) >= 3, (scheme, mark)
