"""The generalization gap, against real greedy decoding and numbers worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest

from analyses.transfer.gap import GeneralizationGap, gap_grid
from tasks import InvalidValueError
from tests.training.tiny import COPY, SHIFT, tiny_config
from training import Run, named_generator, train
from training.decoding import greedy_decode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that is right now and then at length 1 and 2, so that the curves are neither 0 nor equal."""
    config = tiny_config(train={"steps": 60, "batch_size": 32}, measure={"checkpoints": 1})
    return train(config, tmp_path_factory.mktemp("gap") / "run")


def decoded_accuracy(run: Run, task: str, length: int, n: int, skipped: list[int]) -> float:
    """Share of prompts whose answer greedy decoding writes; `skipped` lengths were drawn from the stream before."""
    bound, generator = run.task(task), named_generator(0, "gap")
    for before in skipped:
        bound.sample(n, length=before, generator=generator, stream="test")
    batch = bound.sample(n, length=length, generator=generator, stream="test")
    right = 0
    for row, scored in zip(batch.tokens, batch.scored, strict=True):
        prompt, answer = row[: int(scored.int().argmax())], row[scored]
        right += greedy_decode(run.model(), prompt[None], steps=len(answer))[0].tolist() == answer.tolist()
    return right / n


def test_gap_is_the_mean_distance_of_the_two_curves(run: Run) -> None:
    lengths = [1, 2, 3, 4, 5]  # up to copy's 5, the longer of the two
    curves = {
        task: [decoded_accuracy(run, task, length, 16, lengths[:place]) for place, length in enumerate(lengths)]
        for task in ("shift", "copy")
    }
    assert curves["shift"] != curves["copy"]
    expected = sum(abs(a - b) for a, b in zip(curves["shift"], curves["copy"], strict=True)) / 5
    found = GeneralizationGap(n=16)(run)
    assert found["gap"] == pytest.approx(expected)
    assert found["longer_accuracy"] == pytest.approx(sum(curves["copy"]) / 5)
    assert {key: found[key] for key in ("main", "auxiliaries", "main_length", "auxiliary_length", "seed")} == {
        "main": "shift", "auxiliaries": "copy", "main_length": 3, "auxiliary_length": 5, "seed": 0,
    }  # fmt: skip
    assert (found["shortest"], found["longest"], found["lengths"], found["n"]) == (1, 5, 5, 16)
    stored = list((run.path / "results").glob("gap-curves-*.parquet"))
    assert GeneralizationGap(n=16)(run) == found
    assert list((run.path / "results").glob("gap-curves-*.parquet")) == stored
    assert GeneralizationGap(n=16, weights="raw")(run)["weights"] == "raw"
    assert len(list((run.path / "results").glob("gap-curves-*.parquet"))) == len(stored) + 1


def test_another_version_measures_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    GeneralizationGap(n=4).curves(run)
    stored = set((run.path / "results").glob("gap-curves-*.parquet"))
    monkeypatch.setattr("analyses.transfer.gap.version", lambda name: f"another {name}")
    GeneralizationGap(n=4).curves(run)
    assert len(set((run.path / "results").glob("gap-curves-*.parquet")) - stored) == 1


def test_long_grids_are_thinned_evenly(tmp_path: Path) -> None:
    config = tiny_config(mixture=[SHIFT, COPY | {"max_length": 94}], train={"steps": 1}, measure={"checkpoints": 1})
    lengths = GeneralizationGap().lengths(train(config, tmp_path / "run"))
    assert lengths == list(range(1, 95, 3))  # 32 lengths from 1 to 94


def test_a_run_of_one_task_has_no_gap(tmp_path: Path) -> None:
    run = train(tiny_config(mixture=[COPY], train={"steps": 1}, measure={"checkpoints": 1}), tmp_path / "run")
    with pytest.raises(InvalidValueError, match="has no auxiliary task, so there is no gap; choose runs"):
        GeneralizationGap()(run)


def gaps(*rows: tuple[int, int, int, float]) -> pd.DataFrame:
    same = {"main": "a", "auxiliaries": "b", "shortest": 1, "lengths": 9, "longest": 9, "n": 4, "weights": "raw"}
    names = ("main_length", "auxiliary_length", "seed", "gap")
    return pd.DataFrame([{**same, **dict(zip(names, row, strict=True)), "longer_accuracy": 0.5} for row in rows])


def test_grid_by_hand() -> None:
    # 0.2, 0.4, 0.6: mean 0.4, deviation 0.2; t(2) = 4.302653: half width 0.2 * 4.302653 / sqrt(3) = 0.496828.
    # 0.5, 0.6: mean 0.55, deviation 0.0707107; t(1) = 12.7062: half width 0.635310, cut off at 0 and 1.
    table = gap_grid(
        gaps((5, 10, 1, 0.2), (5, 10, 2, 0.4), (5, 10, 3, 0.6), (5, 5, 1, 0.5), (5, 5, 2, 0.6), (9, 5, 1, 1))
    )
    found = table[["main_length", "auxiliary_length", "seeds", "gap", "low", "high"]].to_numpy().tolist()
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert found[0] == pytest.approx([5, 5, 2, 0.55, 0, 1])
    assert found[1] == pytest.approx([5, 10, 3, 0.4, 0, 0.896828], rel=1e-5)
    assert found[2][:4] == [9, 5, 1, 1]
    assert found[2][4:] == [nan, nan]


def test_grids_of_other_pairs_or_other_settings_are_refused() -> None:
    two = gaps((5, 10, 1, 0.2), (5, 10, 2, 0.2))
    two.loc[1, "main"] = "c"
    with pytest.raises(InvalidValueError, match="of one pair of tasks, and these are of several: a with b; c with b"):
        gap_grid(two)
    with pytest.raises(InvalidValueError, match="have main length 5, auxiliary length 10 and seed 1; they"):
        gap_grid(gaps((5, 10, 1, 0.2), (5, 10, 1, 0.3)))
