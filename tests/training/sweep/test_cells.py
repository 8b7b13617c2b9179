"""The name of a cell: it outlives versions that add a key to the configuration."""

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import Field

from tests.training.sweep.quick import quick_grid
from tests.training.tiny import numbers, tiny_config
from training import TrainConfig, run_sweep
from training.config import ModelConfig, OptimizerConfig
from training.sweep.cells import cell_name


class LaterModel(ModelConfig):
    window: int | None = None


class LaterOptimizer(OptimizerConfig):
    noise: tuple[float, ...] = (0.0, 1.0)


class LaterConfig(TrainConfig):
    """A configuration as a later version may have it, with a new key in three places."""

    model: LaterModel  # pyright: ignore[reportIncompatibleVariableOverride]  (frozen)
    train: LaterOptimizer  # pyright: ignore[reportIncompatibleVariableOverride]  (frozen)
    curriculum: str = Field(default="none")


def test_a_key_of_a_later_version_leaves_the_name_as_it_is() -> None:
    now = tiny_config(seed=3)
    later = LaterConfig.read(now.model_dump(mode="json"))
    assert cell_name(later) == cell_name(now)
    changed = (
        later.model_copy(update={"curriculum": "short first"}),
        later.model_copy(update={"model": later.model.model_copy(update={"window": 4})}),
        later.model_copy(update={"train": later.train.model_copy(update={"noise": (0.5,)})}),
    )
    assert len({cell_name(config) for config in (now, *changed)}) == 4


def test_the_digest_is_that_of_the_keys_that_differ_from_their_defaults() -> None:
    config = TrainConfig.read(
        {
            "mixture": [{"task": "copy", "max_length": 3, "lengths": "uniform"}],
            "vocabulary": ["a", "b"],
            "model": {"n_layers": 1, "n_heads": 2, "d_model": 4, "d_vocab": 2, "positions": "rotary"},
            "train": {"steps": 5, "batch_size": 64},
            "seed": 3,
        }
    )
    # In the order of the alphabet; the sizes that follow from d_model and n_heads are written out.
    told = (
        '{"mixture": [{"max_length": 3, "task": "copy"}], '
        '"model": {"d_head": 2, "d_mlp": 16, "d_model": 4, "d_vocab": 2, "n_heads": 2, "n_key_value_heads": 2, '
        '"n_layers": 1}, "seed": 3, "train": {"steps": 5}, "vocabulary": ["a", "b"]}'
    )
    digest = hashlib.sha256(told.encode()).hexdigest()
    assert cell_name(config) == f"copy3-1x2x4-rotary-seed3-{digest[:10]}"


@pytest.mark.usefixtures("one_thread")
def test_a_cell_of_a_version_with_another_default_is_refused_and_left_alone(tmp_path: Path) -> None:
    grid = quick_grid(tmp_path, axes={"seed": [1]})
    (cell,) = run_sweep(grid, tmp_path / "sweep").cells
    file = tmp_path / "sweep" / cell.name / "config.json"
    written = json.loads(file.read_text())
    written["config"]["train"]["beta1"] = 0.8  # as if that had been the default then: the name is the same
    file.write_text(json.dumps(written))
    before = numbers(tmp_path / "sweep" / cell.name)
    result = run_sweep(grid, tmp_path / "sweep")
    assert list(result.status["status"]) == ["failed"]
    assert "with another configuration (train.beta1 is 0.8 there, 0.9 here)" in result.status["error"][0]
    assert numbers(tmp_path / "sweep" / cell.name) == before
