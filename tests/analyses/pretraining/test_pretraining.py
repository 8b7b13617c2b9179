"""A family of checkpoints: values worked out by hand, a real small sweep, and what is refused."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analyses import HeadAblation
from analyses.pretraining import (
    PretrainingReuse,
    PretrainingSeries,
    finetuned_accuracy,
    finetuned_runs,
    over_pretraining,
    pretraining_association,
    pretraining_gains,
    pretraining_step,
    pretraining_transfer,
)
from analyses.reuse.similarity import cosine
from docs.results.pretraining import Pretraining, write_untrained
from tasks import InvalidValueError
from tests.analyses.models import seeded
from training import Grid, named_generator, run_sweep
from training.pretrained import load_for_tasks

# ----------------------------------------------------------------------------------------------------------- series


def test_series_of_a_folder_in_the_order_of_steps(tmp_path: Path) -> None:
    for name in ("step-1000", "step-0", "step-250", "notes"):
        (tmp_path / name).mkdir()
    series = PretrainingSeries.of_folder(tmp_path)
    assert list(series) == [(step, f"{tmp_path}@step-{step}") for step in (0, 250, 1000)]
    assert series.revisions == ("step-0", "step-250", "step-1000")


@pytest.mark.parametrize(
    ("revision", "step"), [("step-160000", 160_000), ("stage1-step1000", 1000), ("7", 7), ("step-0", 0)]
)
def test_step_of_a_revision(revision: str, step: int) -> None:
    assert pretraining_step(revision) == step


def test_refused_series(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="revision 'main' does not say its pretraining step; name checkpoints"):
        pretraining_step("main")
    with pytest.raises(InvalidValueError, match="revision '0a1b.*' does not say its pretraining step"):
        pretraining_step("0a1b2c3d4e" * 4)  # a commit
    with pytest.raises(InvalidValueError, match="has 0 folders named 'step-N', and a series needs two or more"):
        PretrainingSeries.of_folder(tmp_path)
    for name in ("step-8", "step-08"):
        (tmp_path / name).mkdir()
    with pytest.raises(InvalidValueError, match="the steps of a series must ascend, each once. Got 8 8; order them"):
        PretrainingSeries.of_folder(tmp_path)
    with pytest.raises(InvalidValueError, match=re.escape("a series needs two checkpoints or more. Got 1")):
        PretrainingSeries.named({3: "a@x"})
    with pytest.raises(InvalidValueError, match=re.escape("must ascend, each once. Got 5 2; order them")):
        PretrainingSeries(((5, "a@x"), (2, "a@y")))


# --------------------------------------------------------------------------------------------------- transfer by hand


def accuracy_table(values: dict[tuple[str, int, int, str], list[float]]) -> pd.DataFrame:
    """Accuracy at lengths 2, 4, 6, 8 by condition, pretraining step, seed and task; main task m up to 4, x up to 6."""
    rows = [
        {
            "group": "m+x", "condition": condition, "pretraining_step": step, "seed": seed, "run": "r", "main": "m",
            "task": task, "length": length, "main_length": 4, "auxiliary_length": 6 if condition == "auxiliary" else 4,
            "weights": "averaged", "n": 10, "accuracy": accuracy, "stderr": 0.0, "nll": 0.0,
        }
        for (condition, step, seed, task), accuracies in values.items()
        for length, accuracy in zip((2, 4, 6, 8), accuracies, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


VALUES = {
    ("auxiliary", 0, 1, "m"): [1.0, 0.8, 0.2, 0.9],
    ("auxiliary", 0, 1, "x"): [1.0, 1.0, 0.8, 0.0],
    ("alone", 0, 1, "m"): [1.0, 0.9, 0.1, 0.9],
    ("auxiliary", 0, 2, "m"): [1.0, 0.8, 0.4, 0.9],
    ("auxiliary", 0, 2, "x"): [1.0, 1.0, 1.0, 0.0],
    ("alone", 0, 2, "m"): [1.0, 0.9, 0.1, 0.9],
}


def test_beyond_and_gap_by_hand() -> None:
    table = pretraining_transfer(accuracy_table(VALUES)).set_index(["condition", "seed", "quantity"])
    # Beyond: length 6 alone, since 4 is trained and 8 is longer than any task's. The run alone is judged there too.
    assert table["value"]["auxiliary", 1, "beyond"] == pytest.approx(0.2)
    assert table["value"]["alone", 1, "beyond"] == pytest.approx(0.1)
    # Gap: (0 + .2 + .6) / 3 at lengths 2, 4, 6.
    assert table["value"]["auxiliary", 1, "gap"] == pytest.approx(0.8 / 3)
    assert table["lengths"]["auxiliary", 1, "gap"] == "2 4 6"
    assert ("alone", 1, "gap") not in table.index


def test_refused_transfers() -> None:
    accuracy = accuracy_table(VALUES)
    other = accuracy.assign(run="s")  # as of a sweep that varies the learning rate, too
    text = "group m+x, condition auxiliary, pretraining_step 0, seed 1: 2 runs, r, s; they differ in something else"
    with pytest.raises(InvalidValueError, match=re.escape(text)):
        pretraining_transfer(pd.concat([accuracy, other]))
    text = "group 'm+x': nothing was measured beyond the main task's length 4 up to 6, the longest auxiliary's; name"
    with pytest.raises(InvalidValueError, match=re.escape(text)):
        pretraining_transfer(accuracy[accuracy["length"] != 6])


def test_gain_and_mean_over_seeds_by_hand() -> None:
    accuracy = accuracy_table(VALUES)
    gains = pretraining_gains(accuracy).set_index("length")
    # At 6: (.2 - .1 + .4 - .1) / 2; both positive, so p is 1 of 2^2 sign flips.
    assert gains["gain"][6] == pytest.approx(0.2)
    assert gains["p"][6] == pytest.approx(0.25)
    assert list(gains["pretraining_step"].unique()) == [0]
    beyond = pretraining_transfer(accuracy).query("quantity == 'beyond' and condition == 'auxiliary'")
    row = over_pretraining(beyond, by=["group"]).iloc[0]
    # Mean .3, standard deviation .1414 over sqrt(2) = .1; t of one degree of freedom 12.706.
    assert (row["mean"], row["low"], row["seeds"]) == (pytest.approx(0.3), pytest.approx(0.3 - 1.2706, abs=1e-4), 2)


# ------------------------------------------------------------------------------------------------------- association


def series_table(values: list[list[float]]) -> pd.DataFrame:
    rows = [
        {"group": "g", "pretraining_step": 10**place, "seed": seed, "value": value}
        for seed, one in enumerate(values)
        for place, value in enumerate(one)
    ]
    return pd.DataFrame(rows)


def test_association_is_scipys_mean_over_seeds_and_its_p_that_of_all_orders() -> None:
    values = [[0.1, 0.3, 0.2, 0.9], [0.0, 0.1, 0.4, 0.3]]
    row = pretraining_association(series_table(values), by=["group"], draws=40_000, generator=seeded(1)).iloc[0]
    steps = range(4)
    each = [spearmanr(steps, one).statistic for one in values]
    assert row["spearman"] == pytest.approx(np.mean(each))
    orders = list(itertools.permutations(steps))
    alike = [np.mean([spearmanr(order, one).statistic for one in values]) for order in orders]
    apart = [
        (spearmanr(one, values[0]).statistic + spearmanr(other, values[1]).statistic) / 2
        for one in orders
        for other in orders
    ]
    for p, null in (("p", alike), ("p_within", apart)):
        exact = np.mean(np.abs(null) >= abs(np.mean(each)) - 1e-9)
        assert row[p] == pytest.approx(exact, abs=0.01)
    assert (row["checkpoints"], row["seeds"], row["draws"]) == (4, 2, 40_000)


def test_association_of_what_does_not_change_is_zero() -> None:
    row = pretraining_association(series_table([[0.0] * 5] * 3), by=["group"], draws=50, generator=seeded()).iloc[0]
    assert (row["spearman"], row["p"], row["p_within"]) == (0, 1, 1)


def test_refused_associations() -> None:
    table = series_table([[0.1, 0.2, 0.3, 0.4]] * 2)
    with pytest.raises(InvalidValueError, match="group g: 3 checkpoints, of which every seed needs a value, and 4"):
        pretraining_association(table[table["pretraining_step"] < 999], by=["group"], generator=seeded())
    with pytest.raises(InvalidValueError, match="group g: a seed has a checkpoint twice; tell its rows apart with by"):
        pretraining_association(pd.concat([table, table]), by=["group"], generator=seeded())


# ------------------------------------------------------------------------------------------------------- a real sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random checkpoints, finetuned for two steps with the auxiliary and alone."""
    folder = tmp_path_factory.mktemp("family")
    for seed, step in enumerate((0, 40)):
        write_untrained(Pretraining(d_model=16, seed=seed), folder / "pretrained" / f"step-{step}")
    grid = Grid.read(
        {
            "name": "family",
            "fixed": {
                "group": "copy+shift", "preset": "finetune", "start.checkpoint": str(folder / "pretrained"),
                "train.steps": 2, "train.batch_size": 4, "measure.checkpoints": 1, "measure.n": 4, "main_length": 3,
                "auxiliary_length": 6,
            },
            "axes": {"start.revision": ["step-0", "step-40"], "condition": ["auxiliary", "alone"]},
        }
    )  # fmt: skip
    run_sweep(grid, folder / "sweep")
    return folder / "sweep"


@pytest.mark.slow
def test_runs_of_a_sweep(sweep: Path) -> None:
    runs = finetuned_runs(sweep)
    assert [(one.step, one.condition, one.group) for one in runs] == [
        (step, condition, "copy+shift") for step in (0, 40) for condition in ("auxiliary", "alone")
    ]
    table = finetuned_accuracy(runs)
    metrics = runs[0].run.metrics
    last = metrics[(metrics["step"] == 2) & (metrics["weights"] == "averaged")]
    mine = table[(table["pretraining_step"] == 0) & (table["condition"] == "auxiliary")]
    assert mine["nll"].tolist() == last["nll"].tolist()
    assert (table["main"] == "shift").all()
    assert set(table[["main_length", "auxiliary_length"]].itertuples(index=False, name=None)) == {(3, 6), (3, 3)}
    assert [one.step for one in finetuned_runs(sweep, steps={"step-0": 7, "step-40": 9})] == [7, 7, 9, 9]


@pytest.mark.slow
def test_reuse_before_is_the_checkpoints_own_and_after_the_runs(sweep: Path) -> None:
    one = next(one for one in finetuned_runs(sweep) if one.step == 40 and one.condition == "auxiliary")
    table = PretrainingReuse(n=4)(one)
    config = one.run.config
    assert config.start is not None
    before = load_for_tasks(
        config.start.checkpoint, one.run.mixture[0].task.vocabulary, revision="step-40",
        generator=named_generator(config.seed, "weights"),
    ).model  # fmt: skip
    for when, model in (("before", before), ("after", one.run.model())):
        maps = [
            HeadAblation("mean", "nll")(
                model, one.run.task(name), length=4, n=4, generator=named_generator(0, "ablation")
            )
            for name in ("shift", "copy")
        ]
        wanted = cosine(*(one["effect"].to_numpy() for one in maps))
        found = table[(table["when"] == when) & (table["quantity"] == "cosine")]["value"].item()
        assert found == pytest.approx(wanted, abs=1e-5)
    pd.testing.assert_frame_equal(table, PretrainingReuse(n=4)(one))  # read, not measured
    assert set(table["quantity"]) == {"cosine", "spearman", "weighted_jaccard"}


@pytest.mark.slow
def test_refused_runs(sweep: Path) -> None:
    alone = next(one for one in finetuned_runs(sweep) if one.condition == "alone")
    with pytest.raises(InvalidValueError, match="has no auxiliary task, so nothing can be shared"):
        PretrainingReuse()(alone)
    with pytest.raises(InvalidValueError, match="no pretraining step is given for revision 'step-40'; give one for"):
        finetuned_runs(sweep, steps={"step-0": 0})
    with pytest.raises(InvalidValueError, match="has finished runs from 1 checkpoint, and a series needs two or more"):
        finetuned_runs(sweep, steps={"step-0": 3, "step-40": 3})
