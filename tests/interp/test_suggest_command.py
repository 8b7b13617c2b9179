"""`interp suggest`: what it trains, prints and writes, its exit codes, and what it refuses."""

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pandas as pd
import pytest

from analyses.suggestion import ranking, validation_table
from analyses.suggestion.ranking import RANK_BY
from analyses.suggestion.scores import RANKINGS
from interp.asking.options import Form
from interp.cli import run
from interp.commands import suggest
from interp.commands.suggest import Evidence, Pool
from tests.interp.conftest import PRESET, Refused
from training import list_runs, load_run

pytestmark = pytest.mark.usefixtures("one_thread")

SUGGEST = ["suggest", "shift", "--preset", "quick.toml"]
SMALL = ["--main-length", "3", "--auxiliary-length", "5", "--seeds", "2", "--first-seed", "7", "--n", "16"]
QUICK = ["--engine", "serial", "--set", "train.steps=4", "train.decay=0", "measure.checkpoints=4", "model.n_layers=1"]
GROUP = ["--among", "copy+shift"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a preset."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(PRESET)
    return tmp_path


def test_from_nothing_to_the_ranking(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SUGGEST, *GROUP, *SMALL, *QUICK, "--rank-by", "gradient"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("candidate = (alone), seed = 7, run = early: training\n")
    assert shown.err.endswith(
        "runs: runs/suggest-shift-quick (6 finished)\n"
        "ranked by gradient; how well that predicts transfer: the same command with --validate\n"
    )
    assert "shift: candidates ranked by gradient, at length 3 after 1 of 4 steps, 2 seeds" in shown.out
    for name in ("copy", "reverse", *(column.replace("_", " ") for column in suggest.COLUMNS)):
        assert re.search(rf"\b{name}\b", shown.out)
    assert len(list_runs()) == 6

    assert run([*SUGGEST, *GROUP, *SMALL, *QUICK, "--json", "--out", "x.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(": finished before\n") == 6
    printed, written = pd.DataFrame(json.loads(shown.out)), pd.read_csv("x.csv")
    assert list(printed) == list(written) == ranking.COLUMNS
    assert set(written["rank_by"]) == {RANK_BY}
    assert sorted(written["candidate"]) == ["copy", "reverse"]


@pytest.mark.slow
def test_a_validation_of_all_related_tasks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["suggest", "shift(alphabet=4,case=lower)", "--among", "all", "--preset", "quick.toml", *SMALL, *QUICK]
    assert run([*asked, "--validate"]) == 0
    shown = capsys.readouterr()
    assert run([*asked, "--validate", "--json"]) == 0
    printed = pd.DataFrame(json.loads(capsys.readouterr().out))
    costs = printed.iloc[0]
    assert shown.err.endswith(
        "no candidate: capitalize: case 'lower' is not possible for 'capitalize'; allowed is 'both'\n"
        "no candidate: capitalize_reverse: case 'lower' is not possible for 'capitalize_reverse'; allowed is 'both'\n"
        "runs: runs/suggest-shift-quick (8 finished)\n"
        "ranked by early_accuracy; gain: exact match at length 4 after 4 steps, with the candidate less alone\n"
        "p: all orders of 3 candidates (6), so never below 0.17; q: over the scores\n"
        f"the gains of each seed are compared with the scores of the others; regret: {costs['oracle_regret']:.3f} if "
        f"the others' gains choose, {costs['random_regret']:.3f} if chance chooses\n"
    )
    first, second = shown.out.split("shift: how well each score predicted the gain, over 3 candidates")
    for name in ("copy", "mqar", "reverse", *suggest.COLUMNS, *suggest.GAIN_COLUMNS):
        assert re.search(rf"\b{name.replace('_', ' ')}\b", first)
    for name in (*RANKINGS, *(column.replace("_", " ") for column in suggest.VALIDATION_COLUMNS)):
        assert re.search(rf"\b{name}\b", second)
    assert "nan" not in shown.out

    assert list(printed) == validation_table.COLUMNS
    assert list(printed["score"]) == list(RANKINGS)
    assert run(asked) == 0
    assert "run = whole: finished before\n" in capsys.readouterr().err
    assert len(list_runs()) == 8, "the whole runs are the evidence"


def test_a_failed_run_is_told_and_nothing_is_ranked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = [*SUGGEST, *GROUP, *SMALL, *QUICK, "--share", "1", "--set", "train.learning_rate=1e30", "train.clip=1e30"]
    assert run(wild) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search("^failed: candidate = copy, seed = 8, run = early: the loss is no longer", shown.err, re.MULTILINE)
    last = "nothing is ranked, since that needs all runs; start the same command again to train what is missing"
    assert shown.err.splitlines()[-2:] == ["runs: runs/suggest-shift-quick (0 finished, 6 failed)", last]


@pytest.mark.parametrize(
    ("main", "pool", "form", "lengths", "parameters"),
    [
        ("shift", Pool("copy+shift"), Form(), (10, 20), {"alphabet": 12, "case": "lower"}),
        ("shift(alphabet=9)", Pool("copy+shift"), Form(), (10, 20), {"alphabet": 9, "case": "both"}),
        ("copy", Pool("copy/recall"), Form(), (16, 32), {"alphabet": 26, "case": "both"}),
        ("copy", Pool("copy/recall"), Form(main_length=4), (4, 32), {"alphabet": 26}),
        ("capitalize", Pool("copy/recall"), Form(), (10, 20), {"alphabet": 26}),
        ("shift", Pool("all"), Form(auxiliary_length=12), (10, 12), {"alphabet": 26}),
        ("shift(alphabet=5)", Pool(candidates=("copy", "mqar")), Form(marking="repeated"), (10, 20),
         {"alphabet": 5, "marking": "repeated"}),
        ("shift", Pool("copy+shift"), Form(marking="repeated"), (10, 20), {"alphabet": 12, "marking": "repeated"}),
    ],
)  # fmt: skip
def test_lengths_and_parameters(
    main: str, pool: Pool, form: Form, lengths: tuple[int, int], parameters: dict[str, object]
) -> None:
    pairs, left_out = suggest._pairs(main, pool, form)
    assert left_out == {}
    for pair in pairs:
        assert (pair.main.max_length, pair.auxiliary_length) == lengths
        for task in (pair.main.task, pair.auxiliaries[0].task):
            assert task.parameters | parameters == task.parameters


def test_a_groups_distribution_of_lengths_is_kept() -> None:
    pairs, _ = suggest._pairs("sort", Pool("sort/successor-scaled"), Form(auxiliary_length=16))
    assert {(pair.main.lengths, pair.auxiliaries[0].lengths) for pair in pairs} == {("skewed", "skewed")}
    assert [pair.auxiliaries[0].task.name for pair in pairs] == ["successor", "count"]


def test_a_candidate_named_with_parameters_is_taken_as_it_is() -> None:
    pool = Pool(candidates=("mqar(alphabet=12,queries=4)", "copy"))
    pairs, _ = suggest._pairs("shift(alphabet=5)", pool, Form(marking="repeated"))
    mqar, copy = (pair.auxiliaries[0].task.parameters for pair in pairs)
    assert (mqar["alphabet"], mqar["queries"], mqar["marking"]) == (12, 4, "repeated")
    assert copy["alphabet"] == 5


def test_the_smaller_model_is_the_cheap_one(place: Path) -> None:
    name = ["--name", "cheap", "--small", "model.d_model=8", "--share", "0.5"]
    assert run([*SUGGEST, *GROUP, *SMALL, *QUICK, *name]) == 0
    configs = [load_run(one).config for one in list_runs()]
    assert {(config.model.d_model, config.train.steps) for config in configs} == {(8, 2)}
    assert all(one.startswith("cheap/") for one in list_runs())


def test_the_options_are_the_analysis_own() -> None:
    assert get_args(get_type_hints(Evidence)["rank_by"]) == suggest.SCORES == RANKINGS
    assert Evidence().rank_by == RANK_BY
    assert ("candidate", *suggest.GAIN_COLUMNS) == tuple(validation_table.GAIN_COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (SUGGEST, "name the candidates in one way: --among GROUP, --among all, or --candidates with their names"),
        ([*SUGGEST, *GROUP, "--candidates", "copy", "mqar"], "name the candidates in one way: .*"),
        (["suggest", "shft", "--among", "all"], "unknown task 'shft'; did you mean 'shift'[?] .*"),
        ([*SUGGEST, "--among", "copy+shft"], "unknown group 'copy[+]shft'; did you mean 'copy[+]shift'[?] .*"),
        ([*SUGGEST, "--candidates", "copy", "revrse"], "unknown task 'revrse'; did you mean 'reverse'[?] .*"),
        ([*SUGGEST, "--candidates", "copy"], "1 candidate cannot be ranked [(]copy[)]; name 2 or more"),
        ([*SUGGEST, "--candidates", "copy", "copy"], "candidate 'copy' is named twice; name each one once"),
        ([*SUGGEST, "--candidates", "copy", "shift"], "group 'shift[+]shift' names a task twice: .*"),
        ([*SUGGEST, *GROUP, "--validate"], "2 candidates cannot tell a score that .*; validate with 3 or more, .*"),
        ([*SUGGEST, *GROUP, "--seeds", "0"], "seeds [(]none[)]; name one or more, each once"),
        ([*SUGGEST, *GROUP, "--share", "1.5"], "share = 1.5 of the steps is not possible; allowed is above 0, up to 1"),
        ([*SUGGEST, *GROUP, "--n", "9"], "n = 9 examples are not possible; .* multiples of 8 from 16 on, as 16"),
        ([*SUGGEST, *GROUP, "--auxiliary-length", "10"], "the candidates' longest length 10 is not above the .*"),
        ([*SUGGEST, *GROUP, "--set", "train.stepz=3"], "unknown config key 'stepz'; did you mean 'steps'[?] .*"),
        ([*SUGGEST, *GROUP, "--small", "steps=3"], "setting 'steps=3' is not of the form 'section.key=value', .*"),
        ([*SUGGEST, *GROUP, "--rank-by", "map"], 'Invalid value "map" for --rank-by. .*"combined", "map_cosine".*'),
        ([*SUGGEST, *GROUP, "--engine", "serial", "--workers", "2"],
         "--engine serial trains one cell at a time; leave --workers out"),
        ([*SUGGEST, *GROUP, "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .*"),
        ([*SUGGEST, *GROUP, *QUICK, "--name", "x.partial"], "'runs/x.partial' ends in '.partial', which .*"),
    ],
)  # fmt: skip
def test_what_is_refused(place: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)
