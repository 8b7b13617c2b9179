"""Suggestion and validation from training to their tables, on models and tasks so small that it takes seconds."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analyses import (
    AttentionDifference,
    GradientSimilarity,
    HeadAblation,
    RepresentationSimilarity,
    Suggestion,
    SuggestionValidation,
    suggestion_table,
    validation_table,
)
from analyses.suggestion.candidates import pairs_of
from analyses.suggestion.ranking import COLUMNS, RUN_COLUMNS
from analyses.suggestion.scores import main_accuracy
from analyses.suggestion.trials import ALONE
from analyses.suggestion.validation_table import GAINED_COLUMNS
from tasks import Group, InvalidValueError, Member, UnknownNameError, get_task
from tests.analyses.models import seeded
from training import Preset, evaluate, load_run, named_generator
from training.conditions import condition_config

pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS: dict[str, Any] = {"alphabet": 4, "case": "lower"}
MAIN = Member(get_task("shift", **LETTERS), 3)
PAIRS = pairs_of(MAIN, [get_task(name, **LETTERS) for name in ("copy", "mqar", "reverse")], length=5)
PRESET = Preset(
    "tiny",
    {
        "model": {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_mlp": 16},
        "train": {"steps": 8, "batch_size": 8, "warmup": 2, "decay": 0.0},
        "measure": {"checkpoints": 4, "lengths": [3], "n": 4},
    },
)
ASKED = Suggestion(PAIRS, PRESET, seeds=(3, 4), n=16)
CHECKED = SuggestionValidation(ASKED, bootstraps=20)


@pytest.fixture(scope="module")
def early(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("early") / "s"
    assert ASKED.train(folder) == {}
    return folder


@pytest.fixture(scope="module")
def whole(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "s"
    assert CHECKED.train(folder) == {}
    return folder


@pytest.fixture(scope="module")
def runs(early: Path) -> pd.DataFrame:
    return ASKED.measure(early)


def row(runs: pd.DataFrame, candidate: str, seed: int) -> dict[str, Any]:
    (found,) = runs[(runs["candidate"] == candidate) & (runs["seed"] == seed)].to_dict("records")
    return {str(name): value for name, value in found.items()}


def test_each_pair_and_the_main_task_alone_are_trained_with_every_seed(early: Path) -> None:
    assert [(trial.candidate, trial.seed) for trial in ASKED.trials] == [
        (candidate, seed) for seed in (3, 4) for candidate in (ALONE, "copy", "mqar", "reverse")
    ]
    alone = Group("shift", MAIN, (), (), "suggest")
    for trial, group in zip(ASKED.trials, (alone, *PAIRS) * 2, strict=True):
        condition = "auxiliary" if group.auxiliaries else "alone"
        wanted = condition_config(group, PRESET, condition, seed=trial.seed)
        assert trial.whole.train == wanted.train
        assert trial.early.train == wanted.train.model_copy(update={"steps": 2})
        run, step = trial.evidence(early)
        assert (run.config, run.steps, step) == (trial.early, [2], 2)
        assert run.config.vocabulary == group.vocabulary.tokens
    assert len(list(early.iterdir())) == 8


def test_a_row_per_pair_and_seed(runs: pd.DataFrame) -> None:
    assert list(runs.columns) == RUN_COLUMNS
    assert not runs.isna().any(axis=None)
    assert list(runs["candidate"]) == ["copy", "mqar", "reverse"] * 2
    assert [row(runs, name, 4)["prompts"] for name in ("copy", "mqar", "reverse")] == [1, 0, 1]
    about = runs[["main", "n", "steps", "length", "transfer_length", "weights"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["shift", 16, 2, 3, 4, "averaged"]]


@pytest.mark.parametrize("candidate", ["copy", "mqar"])
def test_scores_are_those_of_the_early_model(runs: pd.DataFrame, early: Path, candidate: str) -> None:
    trials = {(trial.candidate, trial.seed): trial for trial in ASKED.trials}
    run = trials[candidate, 4].evidence(early)[0]
    model, both, found = run.model(), [run.task("shift"), run.task(candidate)], row(runs, candidate, 4)
    one, two = (
        HeadAblation(kind="mean", metric="nll")(
            model, task, length=3, n=8, generator=named_generator(4, "ablation")
        )["effect"].to_numpy()
        for task in both
    )  # fmt: skip
    assert found["map_cosine"] == pytest.approx(one @ two / np.sqrt((one @ one) * (two @ two)))
    assert found["map_spearman"] == pytest.approx(spearmanr(one, two).statistic)
    attention = AttentionDifference()(model, *both, length=3, n=8, generator=named_generator(4, "attention"))
    rows = attention[(attention["measure"] == "offset_cosine") & attention["head"].notna()]
    assert found["attention"] == pytest.approx(rows["estimate"].mean())
    streams = RepresentationSimilarity(groups=8)(model, *both, length=3, n=8, generator=named_generator(4, "streams"))
    rows = streams[(streams["measure"] == "covariance_cosine") & streams["layer"].notna()]
    assert found["representation"] == pytest.approx(rows["estimate"].mean(), abs=1e-6)
    gradients = GradientSimilarity(groups=8)(model, *both, length=3, n=8, generator=named_generator(4, "gradients"))
    assert found["gradient"] == pytest.approx(gradients["estimate"].iloc[0], abs=1e-5)
    accuracy = [
        evaluate(
            trials[name, 4].evidence(early)[0].model(), MAIN.task, lengths=[4], n=16,
            generator=named_generator(4, "test", "shift"),
        )["token_accuracy"].iloc[0]
        for name in (candidate, ALONE)
    ]  # fmt: skip
    assert found["early_accuracy"] == pytest.approx(accuracy[0] - accuracy[1])


def test_the_validation_reads_the_same_evidence_from_the_whole_runs(
    runs: pd.DataFrame, whole: Path, early: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(whole.iterdir())) == 8, "no early run is trained"
    gained = CHECKED.measure(whole)
    assert list(gained.columns) == GAINED_COLUMNS
    pd.testing.assert_frame_equal(gained[RUN_COLUMNS], runs, check_exact=True)
    assert set(gained["whole_steps"]) == {8}
    monkeypatch.setattr("training.loop.Training.step", None)
    pd.testing.assert_frame_equal(ASKED(whole), suggestion_table(runs), check_exact=True)
    assert len(list(whole.iterdir())) == 8, "the whole runs are the evidence, where they are there"


def test_the_gain_is_what_the_main_task_has_more_than_alone(whole: Path) -> None:
    gained = CHECKED.measure(whole)
    trials = {(trial.candidate, trial.seed): trial for trial in ASKED.trials}
    for name in ("copy", "mqar"):
        accuracy = [
            evaluate(
                load_run(whole / trials[one, 3].whole_cell.name).model(), MAIN.task, lengths=[4], n=16,
                generator=named_generator(3, "gain", "shift"),
            )["accuracy"].iloc[0]
            for one in (name, ALONE)
        ]  # fmt: skip
        found = row(gained, name, 3)
        assert [found["accuracy"], found["alone"]] == accuracy
        assert found["gain"] == pytest.approx(accuracy[0] - accuracy[1])


def test_called_again_everything_is_read(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gained = CHECKED.measure(whole)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("analyses.suggestion.scores.evaluate", never)
    monkeypatch.setattr(HeadAblation, "__call__", never)
    monkeypatch.setattr("training.loop.Training.step", never)
    seen: list[tuple[int, int]] = []
    table = CHECKED(whole, generator=seeded(), on_run=lambda *at: seen.append(at))
    assert seen == [(place, 8) for place in range(1, 9)]
    pd.testing.assert_frame_equal(table, validation_table(gained, bootstraps=20, generator=seeded()))


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"small": ("model.n_layers=1",)}, 2),
        ({"preset": PRESET.override(["train.schedule=cosine", "train.warmup=1"])}, 2),
        ({"share": 0.4}, 3),  # the whole runs keep steps 2, 4, 6 and 8
    ],
    ids=["small", "cosine", "not kept"],
)
def test_evidence_that_no_whole_run_keeps_is_trained_beside_them(
    tmp_path: Path, changes: dict[str, Any], steps: int
) -> None:
    other = replace(ASKED, **changes, seeds=(3,))
    assert SuggestionValidation(other).train(tmp_path / "s") == {}
    assert len(list((tmp_path / "s").iterdir())) == 2 * 4
    for trial in other.trials:
        run, step = trial.evidence(tmp_path / "s")
        assert run.config == trial.early
        assert (run.steps, step) == ([steps], steps)
        assert load_run(tmp_path / "s" / trial.whole_cell.name).steps == [2, 4, 6, 8]
    assert other.trials[1].whole.model.n_layers == 2
    assert other.trials[1].early.model.n_layers == (1 if "small" in changes else 2)
    assert set(SuggestionValidation(other).measure(tmp_path / "s")["steps"]) == {steps}


def test_the_share_does_not_change_the_whole_runs(whole: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in whole.iterdir())
    for share in (0.5, 1.0):  # their checkpoints are there
        cells = SuggestionValidation(replace(ASKED, share=share)).cells(whole)
        assert sorted(cell.name for cell in cells) == names
    cells = SuggestionValidation(replace(ASKED, share=0.4)).cells(whole)
    assert sorted(cell.name for cell in cells if cell.values["run"] == "whole") == names
    assert [cell.config.train.steps for cell in cells if cell.values["run"] == "early" and cell.config] == [3] * 8


def test_scores_and_gains_have_examples_of_their_own(whole: Path) -> None:
    # The early run is the whole one: the same weights, so token accuracy and exact match differ by the examples only.
    asked = replace(ASKED, share=1.0)
    run, step = asked.trials[1].evidence(whole)
    one, two = (main_accuracy(run, step, length=4, n=64, examples=examples) for examples in ("test", "gain"))
    assert one != two
    wanted = [
        evaluate(run.model(), MAIN.task, lengths=[4], n=64, generator=named_generator(3, examples, "shift"))
        for examples in ("test", "gain")
    ]
    assert [one[1], two[1]] == [table["token_accuracy"].iloc[0] for table in wanted]


def test_an_unembedding_for_each_task(tmp_path: Path) -> None:
    preset = PRESET.override(["model.task_heads=one per task", "train.steps=2"])
    table = replace(ASKED, preset=preset, seeds=(0,))(tmp_path / "s")
    assert list(table.columns) == COLUMNS
    assert not table[["map_cosine", "gradient", "early_accuracy"]].isna().any(axis=None)


def test_failed_runs_are_told_and_nothing_is_ranked(tmp_path: Path) -> None:
    wild = replace(ASKED, preset=PRESET.override(["train.learning_rate=1e30", "train.clip=1e30"]), share=1.0)
    errors = wild.train(tmp_path / "s")
    assert next(iter(errors)) == "candidate = (alone), seed = 3, run = early"
    text = (
        r"^8 of 8 runs failed, the first \(candidate = \(alone\), seed = 3, run = early\) with: the loss is no longer "
        r"a number .*; a comparison needs all of them$"
    )
    with pytest.raises(InvalidValueError, match=text):
        wild(tmp_path / "s")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("s/config.json", "'.*s' holds a run, not a suggestion; choose another name"),
        ("s/study.json", "'.*s' holds a study, not a suggestion; choose another name"),
        ("s/sweep.json", "'.*s' holds a sweep, not a suggestion; choose another name"),
        ("s.partial/x", "'.*s.partial' ends in '.partial', which marks unfinished runs; choose another name"),
    ],
)
def test_a_folder_that_holds_something_else(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.touch()
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        ASKED.train(path.parent)


def changed(place: int, **changes: object) -> tuple[Group, ...]:
    """The pairs, with one of them changed."""
    return tuple(replace(pair, **changes) if at == place else pair for at, pair in enumerate(PAIRS))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"pairs": PAIRS[:1]}, InvalidValueError, "1 candidate cannot be ranked (copy); name 2 or more"),
        ({"pairs": (*PAIRS, PAIRS[0])}, InvalidValueError, "candidate 'copy' is named twice; name each one once"),
        ({"pairs": changed(1, auxiliaries=())}, InvalidValueError,
         "group 'shift+mqar' has 0 auxiliaries; the candidate must be its only one"),
        ({"pairs": changed(1, main=replace(MAIN, max_length=2))}, InvalidValueError,
         "the pairs differ in the main task or in a length; compare pairs that agree in both"),
        ({"pairs": tuple(pair.with_lengths(main=5, auxiliary=5) for pair in PAIRS)}, InvalidValueError,
         "the candidates' longest length 5 is not above the main task's 5, so there is no length to"),
        ({"seeds": ()}, InvalidValueError, "seeds (none); name one or more, each once"),
        ({"seeds": (1, 1)}, InvalidValueError, "seeds 1, 1; name one or more, each once"),
        ({"seeds": (-1,)}, InvalidValueError, "config key 'seed' = -1: input should be greater than or equal to 0"),
        ({"share": 0.0}, InvalidValueError, "share = 0.0 of the steps is not possible; allowed is above 0, up to 1"),
        ({"n": 8}, InvalidValueError, "n = 8 examples are not possible; allowed are multiples of 8 from 16 on, as 16"),
        ({"n": 100}, InvalidValueError, "n = 100 examples are not possible; allowed are multiples of 8 from 16 on,"),
        ({"small": ("model.n_layer=1",)}, UnknownNameError, "unknown config key 'n_layer'; did you mean 'n_layers'?"),
        ({"rank_by": "map"}, UnknownNameError, "unknown score 'map'; the scores are combined, map_cosine, "),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unchecked")
def test_what_is_refused_before_training(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        replace(ASKED, **changes)


@pytest.mark.parametrize(
    ("asked", "settings", "text"),
    [
        (replace(ASKED, pairs=PAIRS[:2]), {}, "2 candidates cannot tell a score that predicts from one that does not;"),
        (ASKED, {"bootstraps": 1}, "bootstraps = 1 and permutations = 10000; allowed are 2 and 1, or more"),
    ],
)
def test_what_cannot_be_validated(asked: Suggestion, settings: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{text}"):
        SuggestionValidation(asked, **settings)
