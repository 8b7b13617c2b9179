"""Reuse and transfer at every checkpoint: each quantity computed anew, by other code, from what it is made of."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analyses import AttentionDifference, HeadAblation, ReuseOverTraining
from analyses.reuse.over_training import COLUMNS, METRICS, halfway
from tasks import InvalidValueError, UnknownNameError, Vocabulary, get_task
from tests.training.tiny import COPY, LETTERS, SHIFT, tiny_config
from training import Run, load_run, named_generator, train

pytestmark = pytest.mark.usefixtures("one_thread")

REVERSE: dict[str, Any] = {"task": "reverse", "parameters": LETTERS, "max_length": 8}
REUSE = ReuseOverTraining(n=12, k=2)
LENGTH = {"copy": 4, "reverse": 5}  # halfway from 3 to 5, and from 3 to 8 (5.5, rounded down)
MEASURED = [1, 2, 4, 5, 7, 9]


def vocabulary() -> Vocabulary:
    first, *others = (get_task(name, **LETTERS).vocabulary for name in ("shift", "copy", "reverse"))
    for other in others:
        first = first.union(other)
    return first


@pytest.fixture(scope="module")
def run(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three tasks and two checkpoints that is right now and then at short lengths."""
    config = tiny_config(
        mixture=[SHIFT, COPY, REVERSE],
        vocabulary=vocabulary(),
        seed=3,
        model={"n_heads": 4},
        train={"steps": 60, "batch_size": 32, "learning_rate": 2e-2},
        measure={"checkpoints": 2, "lengths": MEASURED, "n": 16},
    )
    return train(config, tmp_path_factory.mktemp("over") / "run")


@pytest.fixture(scope="module")
def table(run: Run) -> pd.DataFrame:
    return REUSE(run)


def value(table: pd.DataFrame, step: int, auxiliary: str, quantity: str, metric: str = "") -> float:
    rows = table[
        (table["step"] == step)
        & (table["auxiliary"] == auxiliary)
        & (table["quantity"] == quantity)
        & (table["metric"] == metric)
    ]
    (found,) = rows["value"]
    return float(found)


def test_a_row_per_checkpoint_auxiliary_and_quantity(run: Run, table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert run.steps == [30, 60]
    quantities = {
        "mean_absolute_difference": -1, "cosine": 1, "spearman": 1, "weighted_jaccard": 1, "rank_biased_overlap": 1,
        "jaccard": 1, "overlap_coefficient": 1,
    }  # fmt: skip
    attention = {"attention_difference": -1, "jensen_shannon": -1, "offset_cosine": 1}
    transfer = {"gap": -1, "accuracy": 1, "nll": -1}
    expected = {(name, metric, "reuse", sign) for name, sign in quantities.items() for metric in METRICS}
    expected |= {(name, "", "reuse", sign) for name, sign in attention.items()}
    expected |= {(name, "", "transfer", sign) for name, sign in transfer.items()}
    for (auxiliary, step), part in table.groupby(["auxiliary", "step"]):
        assert auxiliary in LENGTH
        assert step in run.steps
        found = list(part[["quantity", "metric", "role", "alike"]].itertuples(index=False, name=None))
        assert sorted(found) == sorted(expected)
    assert len(table) == 2 * 2 * len(expected)
    assert (table["auxiliary"].map(LENGTH) == table["length"]).all()
    same = table[["run", "main", "seed", "weights"]].drop_duplicates().to_numpy().tolist()
    assert same == [[run.name, "shift", 3, "averaged"]]
    assert set(table[table["metric"] != ""]["n"]) == {12}
    assert set(table[table["role"] == "transfer"]["n"]) == {16}
    assert table["step"].tolist() == sorted(table["step"][:40].tolist()) * 2


@pytest.mark.parametrize("step", [30, 60])
@pytest.mark.parametrize("auxiliary", ["copy", "reverse"])
@pytest.mark.parametrize("metric", METRICS)
def test_similarities_are_those_of_the_two_maps(
    run: Run, table: pd.DataFrame, step: int, auxiliary: str, metric: str
) -> None:
    one, two = (
        HeadAblation(kind="mean", metric=metric)(
            run.model(step), run.task(task), length=LENGTH[auxiliary], n=12, generator=named_generator(3, "ablation")
        )["effect"].to_numpy(dtype=float)
        for task in ("shift", auxiliary)
    )
    assert metric == "accuracy" or np.abs(one - two).max() > 1e-3, "numbers that could be wrong"

    def found(quantity: str) -> float:
        return value(table, step, auxiliary, quantity, metric)

    assert found("mean_absolute_difference") == pytest.approx(np.mean(np.abs(one - two)), abs=1e-9)
    length = np.sqrt((one @ one) * (two @ two))
    assert found("cosine") == pytest.approx(one @ two / length if length else 0, abs=1e-9)
    constant = np.ptp(one) == 0 or np.ptp(two) == 0
    assert found("spearman") == pytest.approx(0 if constant else scipy.stats.spearmanr(one, two).statistic, abs=1e-9)
    needed = [np.clip(values, 0, None) for values in (one, two)]
    most = np.maximum(*needed).sum()
    assert found("weighted_jaccard") == pytest.approx(np.minimum(*needed).sum() / most if most else 0, abs=1e-9)
    if len(set(one)) == len(set(two)) == 4:  # without ties: plain sets
        tops = [set(np.argsort(-values)[:2]) for values in (one, two)]
        assert found("jaccard") == pytest.approx(len(tops[0] & tops[1]) / len(tops[0] | tops[1]))
        assert found("overlap_coefficient") == pytest.approx(len(tops[0] & tops[1]) / 2)
        orders = [np.argsort(-values) for values in (one, two)]
        shared = [len(set(orders[0][:depth]) & set(orders[1][:depth])) / depth for depth in (1, 2, 3, 4)]
        assert found("rank_biased_overlap") == pytest.approx(np.average(shared, weights=[1, 0.9, 0.81, 0.729]))


@pytest.mark.parametrize("auxiliary", ["copy", "reverse"])
def test_attention_is_the_total_of_the_attention_difference(run: Run, table: pd.DataFrame, auxiliary: str) -> None:
    direct = AttentionDifference(bootstraps=2)(
        run.model(30), run.task("shift"), run.task(auxiliary), length=LENGTH[auxiliary], n=12,
        generator=named_generator(3, "attention"),
    )  # fmt: skip
    totals = direct[direct["head"].isna()].set_index("measure")["estimate"]
    assert len(totals) == 3
    for quantity, expected in totals.items():
        assert value(table, 30, auxiliary, str(quantity)) == pytest.approx(expected, rel=1e-6)


def test_attention_is_compared_on_64_examples_at_most(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied, asked = load_run(shutil.copytree(run.path, tmp_path / "run")), []

    def totals(self: AttentionDifference, *_: object, n: int, **__: object) -> dict[str, float]:
        asked.append(n)
        return {"offset_cosine": 1.0}

    monkeypatch.setattr(AttentionDifference, "totals", totals)
    found = ReuseOverTraining(n=65, k=1)(copied)
    assert asked == [64] * 4
    assert set(found[found["quantity"] == "offset_cosine"]["n"]) == {64}
    assert set(found[found["quantity"] == "cosine"]["n"]) == {65}
    assert "jensen_shannon" not in set(found["quantity"]), "measures that are not defined have no rows"


@pytest.mark.parametrize("weights", ["averaged", "raw"])
def test_transfer_is_what_training_measured(run: Run, table: pd.DataFrame, weights: str) -> None:
    found = table if weights == "averaged" else replace(REUSE, weights=weights)(run)
    measured = {
        (row["step"], row["task"], row["length"]): row
        for row in run.metrics.to_dict("records")
        if row["weights"] == weights
    }
    for step in run.steps:
        for auxiliary, grid in (("copy", [1, 2, 4, 5]), ("reverse", [1, 2, 4, 5, 7])):  # 9 is beyond both, 7 beyond 5
            distances = [
                abs(measured[step, "shift", at]["accuracy"] - measured[step, auxiliary, at]["accuracy"]) for at in grid
            ]
            assert value(found, step, auxiliary, "gap") == pytest.approx(sum(distances) / len(grid))
            main = measured[step, "shift", LENGTH[auxiliary]]
            assert value(found, step, auxiliary, "accuracy") == main["accuracy"]
            assert value(found, step, auxiliary, "nll") == main["nll"]
            rows = found[(found["auxiliary"] == auxiliary) & (found["role"] == "transfer")]
            assert set(rows["lengths"]) == {" ".join(map(str, grid))}
    assert found[found["quantity"] == "gap"]["value"].max() > 0, "numbers that could be wrong"
    assert set(found[found["role"] == "reuse"]["lengths"]) == {""}


def test_maps_have_a_row_per_auxiliary_task_metric_and_head(run: Run) -> None:
    maps = REUSE.maps(run, 60)
    counts = maps.groupby(["auxiliary", "task", "metric"], sort=False).size()
    assert counts.to_dict() == {
        (auxiliary, task, metric): 4
        for auxiliary in ("copy", "reverse")
        for task in ("shift", auxiliary)
        for metric in METRICS
    }
    assert maps["n"].unique().tolist() == [12]


def test_asked_again_nothing_is_computed(run: Run, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "model", None)  # what would be called to measure anything
    seen: list[tuple[int, int]] = []
    pd.testing.assert_frame_equal(REUSE(run, on_step=lambda *at: seen.append(at)), table)
    assert seen == [(1, 2), (2, 2)]
    other = replace(REUSE, k=1)(run)  # of the same maps
    assert value(other, 60, "copy", "cosine", "nll") == value(table, 60, "copy", "cosine", "nll")
    for changed in ({"n": 11}, {"kind": "zero"}):
        with pytest.raises(TypeError):
            replace(REUSE, **changed)(run)


def test_an_interrupted_measurement_keeps_the_checkpoints_it_has(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied = load_run(shutil.copytree(run.path, tmp_path / "run"))
    shutil.rmtree(copied.path / "results", ignore_errors=True)

    def interrupt(done: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        REUSE(copied, on_step=interrupt)
    opened, real = [], Run.model

    def counted(self: Run, step: int | None = None, *, weights: str = "averaged") -> object:
        opened.append(step)
        return real(self, step, weights=weights)

    monkeypatch.setattr(Run, "model", counted)
    REUSE(copied)
    assert set(opened) == {60}


def test_halfway_is_rounded_down(run: Run) -> None:
    main, *others = run.mixture
    assert [halfway(main, other) for other in others] == [4, 5]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"k": 5}, InvalidValueError, "k = 5 top heads of 4; allowed are 1 to 4"),
        ({"k": 0}, InvalidValueError, "k = 0 top heads of 4; allowed are 1 to 4"),
        ({"weights": "mean"}, UnknownNameError, "unknown weights 'mean'; run '.*' has raw, averaged"),
        ({"n": 0}, InvalidValueError, "n = 0 examples cannot be measured; allowed is 1 or more"),
        ({"n": 1}, InvalidValueError, "kind 'mean' of one example would put the .* use n >= 2, or .*"),
        ({"kind": "men"}, UnknownNameError, "unknown .*kind 'men'; did you mean 'mean'.*"),
    ],
)
def test_refused(run: Run, changes: dict[str, Any], error: type[Exception], text: str, unchecked: None) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        replace(REUSE, **changes)(run)


def test_runs_that_do_not_tell_are_refused(tmp_path: Path) -> None:
    few = {"steps": 1, "batch_size": 2}
    alone = train(tiny_config(mixture=[SHIFT], train=few, measure={"checkpoints": 1}), tmp_path / "alone")
    with pytest.raises(InvalidValueError) as caught:
        REUSE(alone)
    assert str(caught.value) == (
        f"run {alone.name!r} has no auxiliary task, so nothing can be shared; choose runs trained with one"
    )
    elsewhere = train(tiny_config(train=few, measure={"checkpoints": 1, "lengths": [2, 3]}), tmp_path / "elsewhere")
    with pytest.raises(InvalidValueError) as caught:
        replace(REUSE, k=1)(elsewhere)
    assert str(caught.value) == (
        "training measured 'shift' at 2, 3, and not at 4, where transfer is judged; train with that length among "
        "measure.lengths"
    )
