"""What is kept and measured on the way: checkpoints, averages, metrics, times."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from tasks import UnknownNameError
from tests.training.tiny import StopError, numbers, stop_at, tiny_config
from training import Progress, Run, evaluate, named_generator, train
from training.config import MeasureConfig
from training.files import read_tensors
from training.keeping import checkpoint_steps
from training.mixture import draw_examples
from training.run_config import mixture_of
from training.runs import checkpoint_path, fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("steps", "checkpoints", "kept"),
    [(12, 3, {4, 8, 12}), (10, 3, {3, 7, 10}), (2, 20, {1, 2}), (7, 1, {7}), (1, 1, {1})],
)
def test_checkpoints_are_equally_spaced_and_end_at_the_end(steps: int, checkpoints: int, kept: set[int]) -> None:
    assert checkpoint_steps(steps, MeasureConfig(checkpoints=checkpoints)) == kept


@pytest.mark.parametrize(
    ("steps", "checkpoints", "kept"),
    # 1000^(k/3) = 10, 100, 1000; 100^(k/8) = 1.8, 3.2, 5.6, 10, 17.8, 31.6, 56.2, 100; 4^(k/4) = 1.4, 2, 2.8, 4.
    [(1000, 3, {10, 100, 1000}), (100, 8, {2, 3, 6, 10, 18, 32, 56, 100}), (4, 9, {1, 2, 3, 4}), (7, 1, {7})],
)
def test_checkpoints_spaced_by_equal_factors(steps: int, checkpoints: int, kept: set[int]) -> None:
    assert checkpoint_steps(steps, MeasureConfig(checkpoints=checkpoints, spacing="log")) == kept


def test_chosen_checkpoints_need_no_spacing() -> None:
    assert checkpoint_steps(9, MeasureConfig(checkpoints=(2, 5), spacing="log")) == {2, 5, 9}


def test_lengths_measured_are_the_trained_ones_unless_given(tmp_path: Path) -> None:
    run = train(tiny_config(train={"steps": 1}, measure={"lengths": [], "checkpoints": 1}), tmp_path / "run")
    assert sorted(set(run.metrics["length"])) == [3, 5]


def test_a_checkpoint_every_so_many_steps_and_at_the_end() -> None:
    assert checkpoint_steps(10, MeasureConfig(checkpoints=4, spacing="every")) == {4, 8, 10}
    assert checkpoint_steps(8, MeasureConfig(checkpoints=4, spacing="every")) == {4, 8}
    assert checkpoint_steps(3, MeasureConfig(checkpoints=4, spacing="every")) == {3}


def test_several_averages_by_hand(tmp_path: Path) -> None:
    config = tiny_config(train={"average": [0.9, 0.5, 0.995]}, measure={"checkpoints": 1, "spacing": "every", "n": 1})
    run = train(config, tmp_path / "run")
    assert run.steps == list(range(1, 13))
    assert set(run.metrics["weights"]) == {"raw", "averaged", "averaged-0.5", "averaged-0.995"}
    for decay, kind in ((0.9, "averaged"), (0.5, "averaged-0.5"), (0.995, "averaged-0.995")):
        expected = fresh_model(config).W_U.detach().double()
        for step in range(12):
            d = min(decay, (1 + step) / (10 + step))
            expected = d * expected + (1 - d) * run.model(step + 1, weights="raw").W_U.detach().double()
            torch.testing.assert_close(run.model(step + 1, weights=kind).W_U.double(), expected, rtol=1e-5, atol=1e-7)


def test_several_averages_survive_a_stop(tmp_path: Path) -> None:
    config = tiny_config(train={"average": [0.9, 0.5]})
    train(config, tmp_path / "whole")
    with pytest.raises(StopError):
        train(config, tmp_path / "run", on_step=stop_at(9))
    train(config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_weights_that_a_run_does_not_keep_are_refused(whole: Run) -> None:
    text = "unknown weights 'averaged-0.9'; did you mean 'averaged'? run '.*' has raw, averaged"
    with pytest.raises(UnknownNameError, match=text.replace("?", "[?]")):
        whole.model(weights="averaged-0.9")


def test_checkpoints_in_half_the_space_are_what_was_measured(whole: Run, tmp_path: Path) -> None:
    run = train(tiny_config(measure={"storage": "bfloat16"}), tmp_path / "run")
    for kind in ("raw", "averaged"):
        exact, stored = (read_tensors(checkpoint_path(one.path, 12, kind)) for one in (whole, run))
        assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
        for name, tensor in exact.items():
            assert torch.equal(stored[name], tensor.to(torch.bfloat16)), "training itself is not touched"
        model = run.model(weights=kind)
        assert model.dtype == torch.float32
        rows = run.metrics[(run.metrics["step"] == 12) & (run.metrics["weights"] == kind)]
        for member in run.mixture:
            generator = named_generator(0, "measure", member.task.name)
            again = evaluate(model, member.task, lengths=[2, 4], n=8, generator=generator)
            assert again["nll"].tolist() == rows.loc[rows["task"] == member.task.name, "nll"].tolist()


def test_times_of_each_checkpoint(tmp_path: Path) -> None:
    config = tiny_config()
    began = time.perf_counter()
    with pytest.raises(StopError):
        train(config, tmp_path / "run", on_step=stop_at(9))
    run = train(config, tmp_path / "run")
    took = time.perf_counter() - began
    timing = run.timing
    assert timing["step"].tolist() == [4, 8, 12]
    assert timing["seconds"].is_monotonic_increasing
    assert 0 < timing["seconds"].iloc[-1] < took
    # The same steps took the same time whatever is counted: scored tokens and examples are in the batches' proportion.
    read = scored = 0
    for step in range(4):
        batch = draw_examples(mixture_of(config), n=8, generator=named_generator(0, "train", step)).batch
        read += sum(max(row.nonzero()).item() for row in batch.scored)  # what stands before the last scored token
        scored += int(batch.scored.sum())
    first = timing.iloc[0]
    assert first["tokens_per_second"] / first["examples_per_second"] == pytest.approx(read / 32)
    assert first["scored_tokens_per_second"] / first["examples_per_second"] == pytest.approx(scored / 32)
    assert 50 < first["peak_memory_mib"] < 100_000
    assert json.loads((run.path / "environment.json").read_text())["seconds"] < took + 0.1


def test_metrics_can_be_read_while_the_run_goes_on(whole: Run, tmp_path: Path) -> None:
    seen: dict[int, set[int]] = {}

    def look(progress: Progress) -> None:
        file = tmp_path / "run.partial" / "metrics.parquet"
        seen[progress.step] = set(pd.read_parquet(file)["step"]) if file.exists() else set()

    train(whole.config, tmp_path / "run", on_step=look)
    assert seen == {step: {kept for kept in (4, 8, 12) if kept <= step} for step in range(1, 13)}
