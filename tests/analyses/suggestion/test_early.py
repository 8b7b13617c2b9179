"""A run stopped early is, to the bit, the beginning of the whole one; and where it is not, that is known."""

from pathlib import Path
from typing import Any

import pytest

from analyses.suggestion.early import early_config, is_beginning, is_kept
from tests.training.tiny import tiny_config
from training import TrainConfig, train
from training.optimizer import learning_rate

pytestmark = pytest.mark.usefixtures("one_thread")

FLAT = {"schedule": "warmup_decay", "decay": 0.0}
LATE = {"schedule": "warmup_decay", "decay": 0.4}  # of 12 steps the last round(4.8) = 5 fall


@pytest.mark.parametrize(
    ("settings", "steps", "schedule"),
    [
        ({"schedule": "constant"}, 3, "constant"),
        (FLAT, 3, "warmup_decay"),
        (FLAT, 1, "warmup_decay"),  # within the warm-up of 2 steps
        (LATE, 7, "constant"),  # up to where the rate begins to fall
    ],
)
def test_the_last_checkpoint_is_that_of_the_whole_run_to_the_bit(
    tmp_path: Path, settings: dict[str, Any], steps: int, schedule: str
) -> None:
    whole = tiny_config(train=settings, measure={"checkpoints": (steps, 12)})
    early = early_config(whole, steps=steps)
    assert is_kept(early, whole)
    assert (early.train.steps, early.train.schedule) == (steps, schedule)
    short, long = train(early, tmp_path / "early"), train(whole, tmp_path / "whole")
    assert short.steps == [steps]
    for weights in ("raw", "averaged"):
        assert short.digest(weights=weights) == long.digest(steps, weights=weights)
        assert short.digest(weights=weights) != long.digest(weights=weights)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [(LATE, 8), ({"schedule": "cosine"}, 4), ({"schedule": "one_cycle", "warmup": 6}, 8)],
)
def test_where_the_rate_falls_it_is_a_run_of_its_own(settings: dict[str, Any], steps: int) -> None:
    whole = tiny_config(train=settings)
    early = early_config(whole, steps=steps)
    assert not is_beginning(early, whole)
    assert early.train == whole.train.model_copy(update={"steps": steps})
    rates = [learning_rate(step, early.train) for step in range(steps)]
    assert rates[-1] == pytest.approx(whole.train.final * whole.train.learning_rate), "the whole schedule, squeezed"


def test_a_run_of_all_steps_is_the_whole_one_whatever_its_schedule() -> None:
    whole = tiny_config(train={"schedule": "cosine"})
    assert is_beginning(early_config(whole, steps=12), whole)


@pytest.mark.parametrize(
    "other",
    [
        tiny_config(train=FLAT, seed=1),
        tiny_config(train={**FLAT, "batch_size": 4}),
        tiny_config(train={**FLAT, "average": 0.9}),
        tiny_config(train={**FLAT, "learning_rate": 1e-3}),
        tiny_config(train={**FLAT, "warmup": 3}),
        tiny_config(train=FLAT, model={"n_heads": 4}),
        tiny_config(train=FLAT, measure={"storage": "bfloat16"}),
        tiny_config(train={**FLAT, "steps": 2}),
    ],
)
def test_a_run_with_other_settings_is_no_beginning(other: TrainConfig) -> None:
    whole = tiny_config(train=FLAT)
    assert is_beginning(early_config(whole, steps=3), whole)
    assert not is_beginning(early_config(whole, steps=3), other)


def test_what_is_measured_does_not_matter() -> None:
    whole = tiny_config(train=FLAT)
    other = tiny_config(train=FLAT, measure={"lengths": [3], "n": 4, "checkpoints": 12})
    assert is_beginning(early_config(other, steps=3), whole)


def test_the_end_is_in_the_whole_run_where_that_has_a_checkpoint() -> None:
    whole = tiny_config(train=FLAT)  # checkpoints at 4, 8 and 12
    assert [step for step in range(1, 13) if is_kept(early_config(whole, steps=step), whole)] == [4, 8, 12]
    falling = tiny_config(train={"schedule": "cosine"})
    assert not is_kept(early_config(falling, steps=8), falling), "a checkpoint, but of another run"
