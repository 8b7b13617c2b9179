"""The engine `processes`: the same runs as in one process; what a process that is killed costs; workers and cores."""

import contextlib
import multiprocessing
import re
from pathlib import Path

import pytest

from tasks import InvalidValueError
from tests.training.sweep.quick import Notes, quick_grid
from tests.training.tiny import numbers, tiny_config
from training import Processes, Progress, Serial, run_sweep
from training.sweep import Job
from training.sweep.processes import cores


@pytest.mark.slow
def test_results_are_those_of_one_process_and_a_failure_costs_its_cell(tmp_path: Path) -> None:
    # 2 x 2 cells, of which those with a huge learning rate fail; `clip` lets them.
    axes = {"train.learning_rate": [1e30, 1e-2], "seed": [1, 2]}
    grid, notes = quick_grid(tmp_path, axes=axes, fixed={"train.clip": 1e30}), Notes()
    names = [cell.name for cell in grid.cells()]
    results = {}
    engines = {"serial": (Serial(), Notes()), "processes": (Processes(workers=2), notes)}
    for name, (engine, watcher) in engines.items():
        (tmp_path / name).mkdir()
        with contextlib.chdir(tmp_path / name):
            results[name] = run_sweep(grid, Path("runs") / "x", engine=engine, watcher=watcher)
    assert multiprocessing.active_children() == []
    assert sorted(notes.starts) == sorted(name for name, _ in notes.ends) == sorted(names)
    assert list(results["processes"].status["status"]) == ["failed", "failed", "finished", "finished"]
    places = [tmp_path / name / "runs" / "x" for name in results]
    for name in names[2:]:
        assert numbers(places[0] / name) == numbers(places[1] / name)
        steps = [progress.step for other, progress in notes.steps if other == name]
        assert steps == [10, 12]  # a worker reports every ten steps, and the last
    for table in ("results.parquet", "cells.parquet"):
        assert (places[0] / table).read_bytes() == (places[1] / table).read_bytes()


@pytest.mark.slow
def test_a_killed_process_costs_its_own_job_only(tmp_path: Path) -> None:
    class Killing(Notes):
        def progressed(self, name: str, progress: Progress) -> None:
            super().progressed(name, progress)
            if not self.killed:
                self.killed = True
                multiprocessing.active_children()[0].kill()

        killed = False

    configs = [tiny_config(seed=seed, train={"steps": 200}, measure={"checkpoints": 10}) for seed in range(3)]
    jobs = [Job(str(seed), config, tmp_path / str(seed)) for seed, config in enumerate(configs)]
    killing = Killing()
    Processes(workers=2)(jobs, killing)
    assert sorted(name for name, _ in killing.ends) == ["0", "1", "2"]
    (lost,) = [(name, error) for name, error in killing.ends if error]
    assert lost[1].startswith("a training process was ended from outside (perhaps memory ran out); start the same comm")
    assert {job.name for job in jobs if job.path.is_dir()} == {"0", "1", "2"} - {lost[0]}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("workers", "threads", "text"),
    [
        (0, 1, "workers = 0; allowed is 1 or more"),
        (1, 0, "threads = 0; allowed is 1 or more"),
        (2, cores(), (f"2 workers of {cores()} threads each need {2 * cores()} cores, and there are {cores()}; use 1 "
         "workers or 1 thread")),
    ],
)  # fmt: skip
def test_workers_and_threads_that_cannot_be(workers: int, threads: int, text: str) -> None:
    if (workers, threads) == (2, 1):
        pytest.skip("one core")
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        Processes(workers=workers, threads=threads)


def test_workers_and_threads_that_can() -> None:
    assert Processes(workers=100 * cores()).threads == 1  # more workers than cores take turns
    assert Processes(workers=1, threads=2 * cores()).workers == 1
    assert Processes().workers == "all"
