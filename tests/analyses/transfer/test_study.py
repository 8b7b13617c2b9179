"""A study from training to results, on a model and tasks so small that it takes seconds."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from analyses import HeadAblation, HeadOverlap
from analyses.effects import COLUMNS as ABLATION_COLUMNS
from analyses.reuse.overlap import COLUMNS as OVERLAP_COLUMNS
from analyses.transfer.study import METRICS, Study, open_study
from analyses.transfer.study_record import read_record
from analyses.transfer.study_results import StudyResults
from tasks import BrokenRunError, Group, InvalidValueError, UnknownNameError, get_group
from tests.analyses.models import GROUP, PRESET, STUDY
from training import Preset, Progress, Run, load_run, named_generator, train
from training.conditions import CONDITIONS
from training.files import AGAIN, write_json


@pytest.fixture(scope="module")
def measured(tiny_study: Path) -> StudyResults:
    return STUDY.measure(tiny_study, runs_of(tiny_study), command="interp study copy+shift")


@pytest.fixture
def copied(tiny_study: Path, measured: StudyResults, tmp_path: Path) -> Path:
    """A copy of the measured study's folder, to be changed."""
    return Path(shutil.copytree(tiny_study, tmp_path / "tiny"))


def runs_of(folder: Path) -> dict[str, Run]:
    return {condition: load_run(folder / condition) for condition in CONDITIONS}


# ------------------------------------------------------------------------------------------------------------- the plan
def test_lengths_reach_a_quarter_beyond_the_auxiliaries() -> None:
    assert (STUDY.transfer_length, STUDY.lengths) == (4, [1, 2, 3, 4, 5, 6, 7, 8])
    larger = Study(get_group("copy+shift"), PRESET)  # 10 and 20
    assert (larger.transfer_length, larger.lengths) == (15, [1, 3, 5, 7, 9, 10, 11, 13, 15, 17, 19, 20, 21, 23, 25])


def test_conditions_differ_in_their_tasks_only() -> None:
    tasks = {c: [member.task for member in config.mixture] for c, config in STUDY.configs.items()}
    assert tasks == {"auxiliary": ["shift", "copy"], "alone": ["shift"], "control": ["shift", "reverse"]}
    rest = [config.model_dump(exclude={"mixture"}) for config in STUDY.configs.values()]
    assert rest[0] == rest[1] == rest[2]
    assert [member.max_length for member in STUDY.configs["control"].mixture] == [3, 6]


@pytest.mark.parametrize("group", ["copy+shift", "capitalize_reverse"])
def test_all_tasks_of_a_study_read_the_same_prompts(group: str) -> None:
    words = []
    for member in Study(get_group(group), PRESET).members("auxiliary"):
        batch = member.task.sample(8, length=4, generator=named_generator(0, "ablation"), stream="test")
        texts = [member.task.vocabulary.decode(row) for row in batch.tokens]
        words.append([member.task.prompt_and_answer(text)[0] for text in texts])
    assert all(other == words[0] for other in words[1:])


# ------------------------------------------------------------------------------------------------------------- training
def test_folder_holds_the_study_and_a_run_for_each_condition(tiny_study: Path) -> None:
    assert read_record(tiny_study) == STUDY.record
    assert {c: run.config for c, run in runs_of(tiny_study).items()} == STUDY.configs
    assert load_run(tiny_study).path == tiny_study / "auxiliary"


def test_finished_runs_are_found_and_reported_whole(tiny_study: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_study.rglob("*.safetensors")}
    seen: list[tuple[str, int, int]] = []
    runs = STUDY.train(tiny_study, workers=1, on_progress=lambda name, at: seen.append((name, at.step, at.steps)))
    assert list(runs) == list(CONDITIONS)
    assert seen == [(condition, 20, 20) for condition in CONDITIONS]
    assert {path: path.stat().st_mtime_ns for path in tiny_study.rglob("*.safetensors")} == before


@pytest.mark.slow
def test_interrupted_study_goes_on_where_it_stopped(tiny_study: Path, tmp_path: Path) -> None:
    # `auxiliary` is finished, `alone` was interrupted after its checkpoint at step 10, `control` has not begun.
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_study / "auxiliary", folder / "auxiliary")

    def interrupt(progress: Progress) -> None:
        if progress.step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(STUDY.configs["alone"], folder / "alone", on_step=interrupt)
    assert (folder / "alone.partial").is_dir()
    seen: list[tuple[str, int]] = []
    runs = STUDY.train(folder, workers=2, on_progress=lambda name, at: seen.append((name, at.step)))
    # A worker reports every ten steps.
    assert sorted(seen) == [("alone", 20), ("auxiliary", 20), ("control", 10), ("control", 20)]
    assert not (folder / "alone.partial").exists()
    for condition, run in runs.items():
        assert run.steps == [10, 20]
        uninterrupted, model = load_run(tiny_study / condition).model(), run.model()
        for name, weight in model.named_parameters():
            torch.testing.assert_close(weight, uninterrupted.get_parameter(name))


@pytest.mark.slow
def test_error_of_a_worker_is_raised(tmp_path: Path) -> None:
    wild = replace(STUDY, preset=PRESET.override(["train.learning_rate=1e30", "train.clip=1e30"]))
    text = "^the loss is no longer a number at step [0-9]+, whose examples were .*; lower train.learn"
    with pytest.raises(InvalidValueError, match=text):
        wild.train(tmp_path / "wild", workers=1)
    assert not (tmp_path / "wild" / "control").exists()


def test_group_without_controls_has_two_conditions(tmp_path: Path) -> None:
    study = replace(STUDY, group=replace(GROUP, controls=()))
    assert study.conditions == tuple(study.configs) == ("auxiliary", "alone")
    for condition, config in study.configs.items():
        train(config, tmp_path / condition)
    runs = study.train(tmp_path, workers=1)
    assert list(runs) == ["auxiliary", "alone"]
    found = study.measure(tmp_path, runs, command="")
    assert found.controls == ()
    assert set(found.accuracy["condition"]) == {"auxiliary", "alone"}


# ------------------------------------------------------------------------------------------------------------ measuring
def test_accuracy_of_every_condition_weights_task_and_length(measured: StudyResults) -> None:
    table = measured.accuracy
    assert list(table.columns) == [
        "task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll", "condition", "weights",
    ]  # fmt: skip
    cells = table.groupby(["condition", "weights"], sort=False)["task"].unique().map(list).to_dict()
    tasks = {"auxiliary": ["shift", "copy"], "alone": ["shift"], "control": ["shift", "reverse"]}
    assert cells == {(c, w): tasks[c] for c in CONDITIONS for w in ("raw", "averaged")}
    assert (table.groupby(["condition", "weights", "task"])["length"].agg(list).map(lambda x: x == STUDY.lengths)).all()
    assert (table["n"] == 16).all()


def test_maps_of_every_task_in_every_metric(tiny_study: Path, measured: StudyResults) -> None:
    table = measured.ablation
    assert list(table.columns) == ABLATION_COLUMNS
    assert table.groupby(["task", "metric"], sort=False).size().to_dict() == {
        (task, metric): 4 for task in ("shift", "copy") for metric in METRICS
    }
    assert (table["length"] == 4).all()
    assert (table["n"] == 8).all()
    # The same as asking directly, with the generator that the tasks share.
    run = load_run(tiny_study / "auxiliary")
    direct = HeadAblation(metric="nll")(
        run.model(), run.task("copy"), length=4, n=8, generator=named_generator(0, "ablation")
    )
    stored = table[(table["task"] == "copy") & (table["metric"] == "nll")].reset_index(drop=True)
    pd.testing.assert_frame_equal(stored, direct, check_dtype=False)


def test_overlap_of_main_with_each_auxiliary(measured: StudyResults) -> None:
    table = measured.overlap
    assert list(table.columns) == OVERLAP_COLUMNS
    assert len(table) == len(METRICS) * (7 * 2 + 2)  # measures with two nulls, top-k sets with a third
    assert set(zip(table["first"], table["second"], strict=True)) == {("shift", "copy")}
    assert set(table["metric"]) == set(METRICS)
    assert (table["n"] == 8).all()


def test_training_curves_and_settings(measured: StudyResults) -> None:
    columns = ["condition", "weights", "step", "task", "length", "n", "accuracy", "stderr"]
    assert list(measured.training.columns) == columns
    assert sorted(measured.training["step"].unique()) == [10, 20]
    assert measured.settings["model.n_heads"] == 4
    assert measured.settings["train.steps"] == 20
    assert measured.settings["examples per ablation map"] == 8
    assert (measured.main, measured.auxiliaries, measured.controls) == ("shift", ("copy",), ("reverse",))
    assert (measured.main_length, measured.transfer_length, measured.auxiliary_length) == (3, 4, 6)
    assert (measured.name, measured.command) == ("copy+shift, preset tiny, seed 0", "interp study copy+shift")


def test_attention_examples_are_matched_prompts(measured: StudyResults) -> None:
    # Two for each shared head, main first; which heads are shared depends on the training, at most three.
    assert len(measured.attention) <= 6
    for main, auxiliary in zip(measured.attention[::2], measured.attention[1::2], strict=True):
        assert (main.task, auxiliary.task) == ("shift", "copy")
        assert (main.layer, main.head) == (auxiliary.layer, auxiliary.head)
        assert main.tokens[1:5] == auxiliary.tokens[1:5]  # the word of three letters and =
        assert len(main.tokens) == len(main.pattern) == 8


# --------------------------------------------------------------------------------------------------- results are reused
def assert_same_results(one: StudyResults, other: StudyResults) -> None:
    for name, value in vars(one).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, getattr(other, name), check_exact=True)
        elif name != "attention":
            assert value == getattr(other, name)


def test_measured_again_without_computing(
    copied: Path, measured: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("analyses.transfer.study.evaluate", never)
    monkeypatch.setattr(HeadAblation, "effects", never)
    monkeypatch.setattr(HeadOverlap, "__call__", never)
    again = open_study(copied).measure(copied, runs_of(copied), command="interp study copy+shift")
    assert_same_results(again, measured)


@pytest.mark.parametrize("lost", ["accuracy-control-raw", "ablation-copy", "overlap-shift-copy"])
def test_lost_result_alone_is_computed_again(copied: Path, measured: StudyResults, lost: str) -> None:
    (file,) = (copied / "results").glob(f"{lost}-*.parquet")
    file.unlink()
    before = {path: path.stat().st_mtime_ns for path in (copied / "results").iterdir()}
    again = STUDY.measure(copied, runs_of(copied), command="interp study copy+shift")
    assert_same_results(again, measured)
    after = {path: path.stat().st_mtime_ns for path in (copied / "results").iterdir()}
    assert set(after) - set(before) == {file}
    assert {path: after[path] for path in before} == before


def test_results_of_other_weights_are_not_taken(copied: Path) -> None:
    checkpoints = copied / "alone" / "checkpoints"
    shutil.copy(checkpoints / "step-0000010.averaged.safetensors", checkpoints / "step-0000020.averaged.safetensors")
    before = set((copied / "results").iterdir())
    STUDY.measure(copied, runs_of(copied), command="interp study copy+shift")
    assert [path.name.rpartition("-")[0] for path in set((copied / "results").iterdir()) - before] == [
        "accuracy-alone-averaged"
    ]


def test_results_of_another_version_are_not_taken(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set((copied / "results").iterdir())
    monkeypatch.setattr("analyses.transfer.study.version", lambda name: f"another {name}")
    STUDY.measure(copied, runs_of(copied), command="interp study copy+shift")
    assert len(set((copied / "results").iterdir()) - before) == len(before)


# -------------------------------------------------------------------------------------------------------------- opening
def test_open_study_makes_the_study_again(tiny_study: Path) -> None:
    assert open_study(tiny_study) == STUDY
    assert open_study(tiny_study).configs == STUDY.configs


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (replace(STUDY, seed=1), "seed is 0 there, 1 here"),
        (replace(STUDY, n=8), "n is 16 there, 8 here"),
        (replace(STUDY, shared=1), "shared is 3 there, 1 here"),
        (replace(STUDY, preset=PRESET.override(["train.steps=30"])), "train.steps is 20 there, 30 here"),
        (replace(STUDY, group=GROUP.with_lengths(main=2, auxiliary=6)), "main_length is 3 there, 2 here"),
        (replace(STUDY, group=get_group("reverse+shift").with_lengths(main=3, auxiliary=6)),
         "group is copy+shift there, reverse+shift here"),
    ],
)  # fmt: skip
def test_folder_of_another_study_is_refused(tiny_study: Path, other: Study, difference: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        other.train(tiny_study, workers=1)
    assert str(caught.value) == (
        f"{str(tiny_study)!r} holds another study ({difference}); choose another name, or remove that folder"
    )
    assert read_record(tiny_study) == STUDY.record


def test_a_study_that_compares_maps_in_another_way_trains_nothing_anew(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")}
    other = replace(STUDY, overlap=replace(STUDY.overlap, k=2))
    other.train(copied, workers=1, command="again")
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")} == before
    assert open_study(copied) == other
    assert read_record(copied).command == "again"


def test_folder_of_a_run_is_refused(tiny_study: Path) -> None:
    folder = tiny_study / "alone"
    with pytest.raises(InvalidValueError) as caught:
        STUDY.train(folder, workers=1)
    assert str(caught.value) == f"{str(folder)!r} holds a run, not a study; choose another name"
    assert not (folder / "study.json").exists()


def test_a_record_of_format_1_is_read_with_its_section_renamed(tmp_path: Path) -> None:
    values = STUDY.record.model_dump(mode="json")
    sections = {"optimizer" if name == "train" else name: section for name, section in values["sections"].items()}
    write_json(tmp_path / "study.json", values | {"format": 1, "sections": sections})
    assert read_record(tmp_path) == STUDY.record


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"format": 4, "tasks_of_the_future": []},
         "{folder} was written by a newer version (format 4, this one reads up to 3); upgrade, or run the study again"),
        ({"format": "one"},
         ("{file} is not that of a study (config key 'format' = 'one': input should be a valid integer, unable to "
          "parse string as an integer); remove the folder, or run the study again")),
        ({"group": None},
         ("{file} is not that of a study (config key 'group' is missing; it must be given); remove the folder, or run "
          "the study again")),
        ({"grup": "copy+shift"},
         ("{file} is not that of a study (unknown config key 'grup'; did you mean 'group'? the keys are format, group, "
          "main_length, auxiliary_length, marking, preset, sections, seed, n, shared, k, permutations, bootstraps, "
          "resample, persistence, command); remove the folder, or run the study again")),
    ],
    ids=["newer", "format", "key missing", "unknown key"],
)  # fmt: skip
def test_study_file_that_cannot_be_read_is_refused(tmp_path: Path, changed: dict[str, object], text: str) -> None:
    values = {
        key: value for key, value in {**STUDY.record.model_dump(mode="json"), **changed}.items() if value is not None
    }
    file = write_json(tmp_path / "study.json", values)
    with pytest.raises(BrokenRunError) as caught:
        open_study(tmp_path)
    assert str(caught.value) == text.format(folder=repr(str(tmp_path)), file=repr(str(file)))


def test_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenRunError) as caught:
        open_study(tmp_path)
    file = str(tmp_path / "study.json")
    assert str(caught.value) == f"{file!r} is missing: the run is not whole; {AGAIN}"


def test_study_of_a_group_that_is_gone_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "study.json", {**STUDY.record.model_dump(mode="json"), "group": "copy+shit"})
    with pytest.raises(
        UnknownNameError, match=r"^unknown group 'copy\+shit'; did you mean 'copy\+shift'\? 'interp tasks'"
    ):
        open_study(tmp_path)


@pytest.mark.parametrize(
    ("group", "preset", "n", "text"),
    [
        (GROUP, PRESET, 3, "n = 3 examples are too few for a study; use at least 4"),
        (GROUP, PRESET.override(["model.n_heads=2"]), 16,
         "the study compares the top 3 heads, but the preset's model has 2; use more layers or heads"),
    ],
)  # fmt: skip
def test_study_that_cannot_be_measured_is_refused_before_training(
    group: Group, preset: Preset, n: int, text: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Study(group, preset, n=n)
    assert str(caught.value) == text


def test_misspelt_key_of_the_preset_is_refused_before_training() -> None:
    with pytest.raises(UnknownNameError, match="^unknown config key 'stepz'; did you mean 'steps'\\? "):
        Study(GROUP, PRESET.override(["train.stepz=3"]))


def test_a_position_table_too_short_for_what_is_measured_is_refused_at_once() -> None:
    # Trained and measured on the way up to length 6 (marker, 6 letters, =, 6 letters: 14 tokens), at the end up to 8.
    learned = PRESET.override(["model.positions=learned", "model.n_ctx=14"])
    with pytest.raises(
        InvalidValueError, match="^shift at length 8 has 18 tokens, but the learned position table has 14"
    ):
        Study(GROUP, learned)
    Study(GROUP, PRESET.override(["model.positions=learned", "model.n_ctx=18"]))
