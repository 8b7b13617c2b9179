"""A study over seeds from training to its tables, on a model and tasks so small that it takes seconds."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses import GeneralizationGap, HeadAblation, HeadOverlap, ReuseOverTraining, SeedStudy, association, leads
from analyses.reuse import over_training
from analyses.reuse.overlap import COLUMNS as OVERLAP_COLUMNS
from analyses.transfer import gain
from analyses.transfer.seed_study import SeedStudyResults
from tasks import InvalidValueError, UnknownNameError
from training import Run, SweepResult, evaluate, load_run, named_generator
from training.conditions import CONDITIONS, condition_config
from training.presets import load_preset
from training.sweep.cells import cell_name

pytestmark = pytest.mark.usefixtures("one_thread")

PRESET = """
[model]
n_layers = 1
n_heads = 4
d_model = 16
d_mlp = 16

[train]
steps = 8
batch_size = 16
warmup = 2
learning_rate = 5e-2

[measure]
lengths = [2]
n = 8
"""
FIXED: dict[str, Any] = {"main_length": 2, "auxiliary_length": 4}
SEEDS = (3, 4)
WITH_OTHERS = ("auxiliary", "control")
OTHER = {"auxiliary": "copy", "control": "reverse"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SeedStudy:
    preset = tmp_path_factory.mktemp("preset") / "tiny.toml"
    preset.write_text(PRESET)
    overlap = HeadOverlap(k=2, permutations=50, bootstraps=20)
    return SeedStudy("copy+shift", str(preset), seeds=SEEDS, checkpoints=8, n=12, fixed=FIXED, overlap=overlap)


@pytest.fixture(scope="module")
def result(one_thread: None, study: SeedStudy, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return study.train(tmp_path_factory.mktemp("seeds") / "tiny")


@pytest.fixture(scope="module")
def found(study: SeedStudy, result: SweepResult) -> SeedStudyResults:
    return study.measure(result)


def run_of(result: SweepResult, condition: str, seed: int) -> Run:
    names = {(cell.values["condition"], cell.values["seed"]): cell.name for cell in result.cells}
    return load_run(result.folder / names[condition, seed])


def test_every_condition_is_trained_with_every_seed_as_a_study_would(study: SeedStudy, result: SweepResult) -> None:
    assert set(result.status["status"]) == {"finished"}
    preset = load_preset(study.preset).override(["measure.checkpoints=8"])
    names = [
        cell_name(condition_config(study.tasks, preset, condition, seed=seed))
        for condition in CONDITIONS
        for seed in SEEDS
    ]
    assert [cell.name for cell in result.cells] == names
    assert run_of(result, "control", 4).steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (study.lengths, study.transfer_length) == ([1, 2, 3, 4, 5], 3)


@pytest.mark.parametrize("weights", ["raw", "averaged"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_accuracy_is_that_of_the_main_task(
    found: SeedStudyResults, result: SweepResult, condition: str, weights: str
) -> None:
    table = found.accuracy
    assert len(table) == 3 * 2 * 2 * 5
    assert set(table["main_length"]) == {2}
    for seed in SEEDS:
        run = run_of(result, condition, seed)
        direct = evaluate(
            run.model(weights=weights), run.task("shift"), lengths=[1, 2, 3, 4, 5], n=12,
            generator=named_generator(seed, "test", "shift"),
        )  # fmt: skip
        rows = table[(table["condition"] == condition) & (table["weights"] == weights) & (table["seed"] == seed)]
        assert rows["length"].tolist() == [1, 2, 3, 4, 5]
        assert rows["accuracy"].tolist() == direct["accuracy"].tolist()
        assert rows["nll"].tolist() == direct["nll"].tolist()


def test_gains_are_differences_of_the_means(found: SeedStudyResults) -> None:
    table, gains = found.accuracy, found.gains
    assert list(gains.columns) == gain.COLUMNS
    assert len(gains) == 2 * 5 * 3
    mean = table.groupby(["weights", "length", "condition"])["accuracy"].mean()
    for row in gains.to_dict("records"):
        one, other = row["contrast"].split(" - ")
        first, second = (mean[row["weights"], row["length"], name] for name in (one, other))
        assert [row["first"], row["second"], row["gain"]] == pytest.approx([first, second, first - second])
    assert gains["gain"].abs().max() > 0.05, "numbers that could be wrong"


def test_gaps_are_the_means_of_the_runs_with_other_tasks(found: SeedStudyResults, result: SweepResult) -> None:
    assert found.gaps["condition"].tolist() == list(WITH_OTHERS)
    for row in found.gaps.to_dict("records"):
        gaps = [GeneralizationGap(n=12)(run_of(result, row["condition"], seed)) for seed in SEEDS]
        values = np.array([gap["gap"] for gap in gaps], dtype=float)
        half = 12.7062 * np.std(values, ddof=1) / 2**0.5  # t(1)
        assert row["gap"] == pytest.approx(values.mean())
        assert row["low"] == pytest.approx(max(0, values.mean() - half), rel=1e-4)
        assert row["high"] == pytest.approx(min(1, values.mean() + half), rel=1e-4)
        assert (row["seeds"], row["normaliser"], row["lengths"], row["n"]) == (2, "lengths", 4, 12)


@pytest.mark.parametrize("condition", WITH_OTHERS)
def test_overlap_is_that_of_the_maps_over_seeds(found: SeedStudyResults, result: SweepResult, condition: str) -> None:
    table = found.overlap
    assert list(table.columns) == [*OVERLAP_COLUMNS, "condition"]
    assert len(table) == 2 * 2 * (7 * 2 + 2)  # conditions, metrics; two nulls, for top-k sets a third
    chosen = table[table["condition"] == condition]
    same = chosen[["first", "second", "length", "n", "seeds", "kind"]].drop_duplicates().to_numpy().tolist()
    assert same == [["shift", OTHER[condition], 3, 6, 2, "mean"]]
    for metric in ("accuracy", "nll"):
        differences, cosines = [], []
        for seed in SEEDS:
            run = run_of(result, condition, seed)
            one, two = (
                HeadAblation(kind="mean", metric=metric)(
                    run.model(), run.task(task), length=3, n=6, generator=named_generator(seed, "ablation")
                )["effect"].to_numpy(dtype=float)
                for task in ("shift", OTHER[condition])
            )
            norms = np.sqrt((one @ one) * (two @ two))
            differences.append(np.mean(np.abs(one - two)))
            cosines.append(one @ two / norms if norms else 0)
        rows = chosen[chosen["metric"] == metric].drop_duplicates("measure").set_index("measure")["estimate"]
        assert rows["mean_absolute_difference"] == pytest.approx(np.mean(differences))
        assert rows["cosine"] == pytest.approx(np.mean(cosines))
    assert set(table["family"]) == {2}, "q is over the two conditions"


def test_prompts_that_are_the_same_are_resampled_together(study: SeedStudy, result: SweepResult) -> None:
    run = run_of(result, "auxiliary", 3)
    assert study._comparison(run, "copy") == replace(study.overlap, resample="together")
    other = replace(study, group="copy/recall")
    mixed = replace(run, config=other.grid.cells()[0].config)
    assert other._comparison(mixed, "mqar").resample == "separately"


def test_trajectories_are_those_of_each_run(found: SeedStudyResults, result: SweepResult) -> None:
    table = found.trajectories
    assert list(table.columns) == [*over_training.COLUMNS, "condition"]
    for condition in WITH_OTHERS:
        for seed in SEEDS:
            direct = ReuseOverTraining(n=12, k=2)(run_of(result, condition, seed))
            rows = table[(table["condition"] == condition) & (table["seed"] == seed)]
            pd.testing.assert_frame_equal(rows.drop(columns="condition").reset_index(drop=True), direct)
    assert set(table["step"]) == set(range(1, 9))


def test_association_and_leads_are_those_of_each_condition(found: SeedStudyResults) -> None:
    for condition in WITH_OTHERS:
        path = found.trajectories[found.trajectories["condition"] == condition]
        rows = found.leads[found.leads["condition"] == condition].drop(columns="condition").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, leads(path))
        rows = found.association[found.association["condition"] == condition].drop(columns="condition")
        direct = association(path, draws=10_000, generator=named_generator(3, "association"))
        drawn = ["p", "q", "raw_p"]  # by one generator for both conditions in turn
        pd.testing.assert_frame_equal(
            rows.drop(columns=drawn).reset_index(drop=True), direct.drop(columns=drawn), check_dtype=False
        )
        assert rows["p"].tolist() == pytest.approx(direct["p"].tolist(), abs=0.03)
    assert len(found.association) == 2 * 17 * 3 * 3  # conditions, measures, outcomes, seeds and the pooled one
    assert len(found.leads) == 2 * 17 * 3


def test_asked_again_no_model_is_loaded(
    study: SeedStudy, result: SweepResult, found: SeedStudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "model", None)
    monkeypatch.setattr("training.loop.Training.step", None)
    seen: list[tuple[int, int]] = []
    again = study.measure(study.train(result.folder), on_run=lambda *at: seen.append(at))
    assert seen == [(place, 4 * 8 + 2 * 6) for place in range(1, 4 * 8 + 2 * 6 + 1)]
    for name, table in vars(found).items():
        pd.testing.assert_frame_equal(getattr(again, name), table)


@pytest.mark.slow
def test_maps_of_other_weights(study: SeedStudy, result: SweepResult, found: SeedStudyResults) -> None:
    raw = replace(study, weights="raw").measure(result)
    assert set(raw.accuracy["weights"]) == {"raw"}
    assert set(raw.trajectories["weights"]) == set(raw.gaps["weights"]) == {"raw"}
    assert raw.overlap["estimate"].tolist() != found.overlap["estimate"].tolist()


@pytest.mark.slow
def test_a_group_without_controls_has_no_control(
    study: SeedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = replace(study.tasks, controls=())
    monkeypatch.setattr("training.sweep.cells.get_group", lambda _: group)
    assert [cell.values["condition"] for cell in study.grid.cells()] == ["auxiliary"] * 2 + ["alone"] * 2
    found = study.measure(study.train(tmp_path / "tiny"))
    assert set(found.gains["contrast"]) == {"auxiliary - alone"}
    assert set(found.overlap["condition"]) == set(found.association["condition"]) == {"auxiliary"}


def test_a_failed_run_leaves_nothing_to_compare(study: SeedStudy, tmp_path: Path) -> None:
    wild = replace(study, fixed={**FIXED, "train.learning_rate": 1e30, "train.clip": 1e30})
    text = (
        r"^[0-9]+ of 6 runs failed, the first with: the loss is no longer a number .*; a comparison needs all of them$"
    )
    with pytest.raises(InvalidValueError, match=text):
        wild.measure(wild.train(tmp_path / "wild"))


SEED_AXIS = "config key 'axes' = {'condition': ('auxiliary', 'alone', 'control'), 'seed': (1, 1)}: axis 'seed' names 1"
CHECKPOINTS = "checkpoints are too few to follow reuse over training; use 8 or more, and as many steps"


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"seeds": (1,)}, InvalidValueError,
         "1 seeds are too few to compare conditions over; allowed are 2 to 20, and p is never below 1 / 2^seeds"),
        ({"seeds": tuple(range(21))}, InvalidValueError, "21 seeds are too many to compare conditions over; allowed"),
        ({"seeds": (1, 1)}, InvalidValueError, SEED_AXIS),
        ({"checkpoints": 7}, InvalidValueError, f"7 {CHECKPOINTS}"),
        ({"fixed": {"train.steps": 5}}, InvalidValueError, f"5 {CHECKPOINTS}"),
        ({"fixed": {"model.n_heads": 1, "model.n_layers": 2}}, InvalidValueError,
         "the study compares the top 3 heads, but the preset's model has 2; use more layers or heads"),
        ({"n": 3}, InvalidValueError, "n = 3 examples are too few for a study; use at least 4"),
        *(
            ({"fixed": {key: value}}, InvalidValueError,
             f"fixed names '{key}', which a study over seeds chooses itself; leave it out there")
            for key, value in {"group": "copy+shift", "preset": "small", "condition": "alone", "seed": 3,
                               "measure.checkpoints": 9}.items()
        ),
        ({"group": "copy+shft"}, UnknownNameError, "unknown group 'copy+shft'; did you mean 'copy+shift'?"),
        ({"fixed": {"train.stepz": 3}}, UnknownNameError, "unknown grid key 'train.stepz'; did you mean 'train.steps'"),
        ({"preset": "smal"}, UnknownNameError, "unknown preset 'smal'; did you mean 'small'?"),
        ({"fixed": {"main_length": 5000}}, InvalidValueError, "length 5000 is not possible for task 'shift'"),
    ],
)  # fmt: skip
def test_what_is_refused_before_training(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        replace(SeedStudy("copy+shift"), **changes)


def test_a_group_without_auxiliaries_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = replace(SeedStudy("copy+shift").tasks, auxiliaries=(), controls=())
    monkeypatch.setattr("training.sweep.cells.get_group", lambda _: lonely)
    text = "group 'copy+shift' has no auxiliary tasks, so nothing can be shared; choose another group"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        SeedStudy("copy+shift")


def test_weights_that_the_runs_do_not_keep(study: SeedStudy, result: SweepResult) -> None:
    with pytest.raises(UnknownNameError, match="^unknown weights 'mean'; run '.*' has raw, averaged$"):
        replace(study, weights="mean").measure(result)
