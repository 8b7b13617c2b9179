"""An isolation from training to its table, on a model and tasks so small that it takes seconds."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from analyses import HeadAblation, Isolation, isolation_table
from analyses.statistics.resampling import one_sided_p
from analyses.transfer.isolation_table import COLUMNS, REUSE_COLUMNS, RUN_COLUMNS
from tasks import InvalidValueError, UnknownNameError
from training import Run, SweepResult, evaluate, load_run, named_generator, train
from training.conditions import Condition, condition_config
from training.presets import load_preset
from training.sweep.cells import cell_name

pytestmark = pytest.mark.usefixtures("one_thread")

PAGE = Path(__file__).parents[3] / "docs" / "analyses" / "isolation.md"
PRESET = """
[model]
n_layers = 1
n_heads = 4
d_model = 16
d_mlp = 16

[train]
steps = 6
batch_size = 8
warmup = 2

[measure]
checkpoints = 1
n = 4
"""
FIXED: dict[str, Any] = {"main_length": 3, "auxiliary_length": 6, "train.steps": 8}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Isolation:
    preset = tmp_path_factory.mktemp("preset") / "tiny.toml"
    preset.write_text(PRESET)
    return Isolation("copy+shift", str(preset), seeds=(3, 4), n=16, fixed=FIXED)


@pytest.fixture(scope="module")
def result(one_thread: None, asked: Isolation, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return asked.train(tmp_path_factory.mktemp("isolation") / "tiny")


@pytest.fixture(scope="module")
def runs(asked: Isolation, result: SweepResult) -> pd.DataFrame:
    return asked.measure(result)


def row(runs: pd.DataFrame, condition: str, seed: int) -> Mapping[str, Any]:
    (found,) = runs[(runs["condition"] == condition) & (runs["seed"] == seed)].to_dict("records")
    return {str(name): value for name, value in found.items()}


def path(result: SweepResult, condition: str, seed: int) -> Path:
    cells = {(cell.values["condition"], cell.values["seed"]): cell.name for cell in result.cells}
    return result.folder / cells[condition, seed]


def test_every_condition_is_trained_with_every_seed_as_a_study_would(asked: Isolation, result: SweepResult) -> None:
    assert set(result.status["status"]) == {"finished"}
    preset = load_preset(asked.preset).override(["train.steps=8"])
    names = [
        cell_name(condition_config(asked.tasks, preset, condition, seed=seed))
        for condition in get_args(Condition)
        for seed in (3, 4)
    ]
    assert [cell.name for cell in result.cells] == names
    assert len(set(names)) == 12


def test_a_row_per_run_with_what_was_trained(runs: pd.DataFrame) -> None:
    assert list(runs.columns) == RUN_COLUMNS
    assert list(zip(runs["condition"], runs["seed"], strict=True)) == [
        (condition, seed) for condition in get_args(Condition) for seed in (3, 4)
    ]
    trained = runs[runs["seed"] == 3][
        ["condition", "others", "auxiliary_length", "steps", "batch_size", "main_examples"]
    ]
    assert [tuple(None if one is pd.NA else one for one in values) for values in trained.itertuples(index=False)] == [
        ("auxiliary", "copy", 6, 8, 8, 32),
        ("alone", "", None, 8, 8, 64),
        ("control", "reverse", 6, 8, 8, 32),
        ("shuffled", "copy", 6, 8, 8, 32),
        ("short", "copy", 3, 8, 8, 32),
        ("matched", "", None, 8, 4, 32),
    ]
    # Embedding and unembedding of 17 tokens; one layer of 4 heads of 4: Q, K, V, O; a gated MLP of 16; three norms.
    assert set(runs["parameters"]) == {2 * 17 * 16 + 4 * 16 * 16 + 3 * 16 * 16 + 3 * 16}
    assert (runs[["main", "length", "n", "weights", "main_length"]].nunique() == 1).all()
    assert row(runs, "short", 4)["length"] == 4, "halfway from 3 to the group's 6"


@pytest.mark.parametrize("condition", ["auxiliary", "short", "matched"])
def test_accuracy_is_that_of_the_main_task_on_true_test_examples(
    runs: pd.DataFrame, result: SweepResult, condition: str
) -> None:
    run = load_run(path(result, condition, 3))
    table = evaluate(
        run.model(), run.task("shift"), lengths=[3, 4], n=16, generator=named_generator(3, "test", "shift")
    )
    found = row(runs, condition, 3)
    assert [found["own_accuracy"], found["accuracy"]] == table["accuracy"].to_list()


@pytest.mark.parametrize(("condition", "other"), [("auxiliary", "copy"), ("control", "reverse"), ("shuffled", "copy")])
def test_reuse_is_the_cosine_of_the_maps(runs: pd.DataFrame, result: SweepResult, condition: str, other: str) -> None:
    run, ablation = load_run(path(result, condition, 4)), HeadAblation(kind="mean", metric="nll")
    one, two = (
        ablation(run.model(), run.task(task), length=4, n=8, generator=named_generator(4, "ablation"))[
            "effect"
        ].to_numpy()
        for task in ("shift", other)
    )
    assert row(runs, condition, 4)["reuse"] == pytest.approx(one @ two / np.sqrt((one @ one) * (two @ two)))


def test_reuse_is_missing_without_another_task(runs: pd.DataFrame) -> None:
    alone = runs["condition"].isin(["alone", "matched"])
    assert runs["reuse"].isna().eq(alone).all()


def test_reuse_beside_heads_shuffled_within_layers(
    asked: Isolation, result: SweepResult, runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four heads in one layer: 24 orders, in each of two seeds by itself. So the null is over 24 * 24 means.
    monkeypatch.setattr(Run, "model", None)  # what would be called to measure anything
    found = replace(asked, permutations=5_000).reuse(result)
    assert list(found) == REUSE_COLUMNS
    assert list(found["condition"]) == ["auxiliary", "control", "shuffled", "short"]
    assert set(zip(found["reuse_null"], found["reuse_permutations"], strict=True)) == {("within_layer", 5_000)}
    for condition, _, mean, p, _ in found.itertuples(index=False):
        cosines = []
        for seed in (3, 4):
            path_, other = path(result, condition, seed) / "results", row(runs, condition, seed)["others"]
            first, second = (effects_read(path_, task) for task in ("shift", other))
            orders = np.array(list(permutations(range(4))))
            cosines.append(first[orders] @ second / np.sqrt((first @ first) * (second @ second)))
        every = (cosines[0][:, None] + cosines[1]).flatten() / 2
        observed = np.mean([row(runs, condition, seed)["reuse"] for seed in (3, 4)])
        assert observed == pytest.approx(every[0])  # the first order is the true one
        assert mean == pytest.approx(every.mean(), abs=5 * every.std() / 5_000**0.5)
        assert p == pytest.approx(one_sided_p(float(observed), every, alike=1), abs=0.03)


def effects_read(results: Path, task: str) -> np.ndarray:
    """The mean effect of each head, from what is kept of each example."""
    (stored,) = results.glob(f"effects-{task}-*.parquet")
    table = pd.read_parquet(stored)
    assert table.groupby("heads").size().tolist() == [8] * 4
    return table.groupby("heads")["effect"].mean().to_numpy()


def test_several_auxiliaries_give_the_mean_of_their_cosines(tmp_path: Path, asked: Isolation) -> None:
    two = replace(asked, group="capitalize_reverse-scaled", fixed={**FIXED, "train.steps": 2})
    cell = two.grid.cells()[0]
    assert cell.config is not None
    run, ablation = train(cell.config, tmp_path / "run"), HeadAblation(kind="mean", metric="nll")
    found = two._row(cell, run)
    main, *others = [
        ablation(run.model(), member.task, length=4, n=8, generator=named_generator(3, "ablation"))["effect"].to_numpy()
        for member in run.mixture
    ]
    cosines = [main @ other / np.sqrt((main @ main) * (other @ other)) for other in others]
    assert len(cosines) == 2
    assert found["reuse"] == pytest.approx(sum(cosines) / 2)
    assert (found["others"], found["main_examples"]) == ("capitalize, reverse", round(2 * 8 / 3))


def test_asked_again_it_reads_what_is_there(
    asked: Isolation, result: SweepResult, runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("analyses.transfer.isolation.evaluate", never)
    monkeypatch.setattr(HeadAblation, "effects", never)
    monkeypatch.setattr("training.loop.Training.step", never)
    seen: list[tuple[int, int]] = []
    table = asked(result.folder, on_run=lambda *at: seen.append(at))
    assert seen == [(place, 12) for place in range(1, 13)]
    pd.testing.assert_frame_equal(table, isolation_table(runs, asked.reuse(result)))
    assert list(table.columns) == COLUMNS


def test_a_failed_run_leaves_nothing_to_compare(tmp_path: Path, asked: Isolation) -> None:
    wild = replace(asked, fixed={**FIXED, "train.learning_rate": 1e30, "train.clip": 1e30})
    text = (
        r"^[0-9]+ of 12 runs failed, the first with: the loss is no longer a number .*; a comparison needs all of them$"
    )
    with pytest.raises(InvalidValueError, match=text):
        wild(tmp_path / "wild")


@pytest.mark.parametrize(
    ("group", "changes", "error", "text"),
    [
        ("copy+shift", {"seeds": (1,)}, InvalidValueError,
         "1 seeds are too few to compare conditions over; allowed are 2 to 20, and p is never below 1 / 2^seeds"),
        ("copy+shift", {"seeds": (1, 1)}, InvalidValueError,
         ("config key 'axes' = {'condition': ('auxiliary', 'alone', 'control', 'shuffled', 'short', 'matched'), "
          "'seed': (1, 1)}: axis 'seed' names 1 twice; each value may stand once")),
        ("copy+shift", {"n": 3}, InvalidValueError, "n = 3 examples are too few for an isolation; use at least 4"),
        ("copy+shift", {"permutations": 0}, InvalidValueError,
         "permutations = 0 is not possible; allowed is 1 or more"),
        ("copy+shift", {"fixed": {"seed": 3}}, InvalidValueError,
         "fixed names 'seed', which an isolation chooses itself; leave it out there"),
        ("copy+shft", {}, UnknownNameError, "unknown group 'copy+shft'; did you mean 'copy+shift'?"),
        ("copy+shift", {"fixed": {"train.stepz": 3}}, UnknownNameError, "unknown grid key 'train.stepz'; did you mean"),
        ("copy+shift", {"preset": "smal"}, UnknownNameError, "unknown preset 'smal'; did you mean 'small'?"),
        ("copy+shift", {"fixed": {"main_length": 5000}}, InvalidValueError, "length 5000 is not possible for task"),
    ],
)  # fmt: skip
def test_what_is_refused_before_training(
    group: str, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        Isolation(group, **changes)


def test_a_group_without_auxiliaries_has_nothing_to_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = replace(Isolation("copy+shift").tasks, auxiliaries=(), controls=())
    monkeypatch.setattr("training.sweep.cells.get_group", lambda _: lonely)
    text = "group 'copy+shift' has no auxiliary tasks, so there is nothing to isolate; choose another group"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        Isolation("copy+shift")


def test_every_column_is_explained_in_order() -> None:
    (after,) = PAGE.read_text(encoding="utf-8").split("| column | meaning |")[1:]
    assert re.findall(r"^\| `(\w+)` \|", after.partition("\n\n")[0], re.MULTILINE) == COLUMNS


def test_every_condition_is_explained_in_order() -> None:
    (after,) = PAGE.read_text(encoding="utf-8").split("| condition | trained on | takes out |")[1:]
    assert re.findall(r"^\| `(\w+)` \|", after.partition("\n\n")[0], re.MULTILINE) == list(get_args(Condition))
