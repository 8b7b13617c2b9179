"""The page about training names what is there."""

import re
from pathlib import Path

import pytest

from tests.training.tiny import files, tiny_config
from training import MeasureConfig, ModelConfig, OptimizerConfig, train

pytestmark = pytest.mark.usefixtures("one_thread")

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_files_and_columns_of_a_run_are_explained(tmp_path: Path) -> None:
    run = train(tiny_config(train={"steps": 1}), tmp_path / "run")
    for name in files(run.path):
        assert f"`{re.sub('[0-9]{7}', '0000500', name)}`" in PAGE
    for column in ("step", "weights", "loss", "learning_rate", "gradient_norm"):
        assert column in run.metrics
        assert f"`{column}`" in PAGE


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(code.replace("train.steps=500", 'train.steps=1", "measure.n=1'), names := {})
    assert names["run"].steps == [1]
    assert (tmp_path / "runs" / "mine").is_dir()


def test_fields_that_it_names_exist() -> None:
    fields = {*ModelConfig.model_fields, *OptimizerConfig.model_fields, *MeasureConfig.model_fields}
    assert {"draw", "token_budget", "task_heads", "clip", "warmup", "final", "decay", "average"} <= fields
