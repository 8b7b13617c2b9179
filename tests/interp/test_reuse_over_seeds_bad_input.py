"""Bad input of `attention`, `association` and `study --seeds`: one line, exit code 2, nothing left behind."""

from pathlib import Path

import pytest

from tests.interp.conftest import Refused

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = [
    (["overlap", "tiny", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"),
    (["attention", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"),
    (["attention", "tiny", "--tasks", "copy"], "attention is compared of two tasks, got copy; name two, as in .*"),
    (["attention", "tiny", "--tasks", "copy", "copy"], "attention is compared of two tasks, got copy copy; name .*"),
    (["attention", "tiny", "--tasks", "copy", "revrse"], "unknown task 'revrse'; did you mean 'reverse'[?] .*"),
    (["attention", "tiny", "--bootstraps", "1"], "bootstraps = 1 give no interval; allowed is 2 or more"),
    (["attention", "tiny", "--n", "1"], "n = 1 examples give no interval; allowed is 2 or more"),
    (["attention", "tiny", "--length", "0"], "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
    (["attention", "tiny", "--step", "7"], "run 'tiny' has no checkpoint of step 7; it has 10, 20, 30"),
    (["attention", "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
    (["association", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"),
    (["association", "tiny"], ("run 'tiny' has 3 checkpoints, too few to compare with shifts of them; name runs with 8 "
     "or more, or ask for --leads")),
    (["association", "tiny", "--leads", "--trajectories"], "--leads and --trajectories ask for two tables; name .*"),
    (["association", "tiny", "--leads", "--k", "5"], "k = 5 top heads of 4; allowed are 1 to 4"),
    (["association", "tiny", "--leads", "--n", "0"], "n = 0 examples cannot be measured; allowed is 1 or more"),
    (["association", "tiny", "--leads", "--weights", "mean"], "unknown weights 'mean'; run 'tiny' has raw, averaged"),
    (["association", "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), CASES, ids=[" ".join(arguments)[:60] for arguments, _ in CASES])
def test_bad_input(here: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)


def test_a_measure_that_does_not_exist(here: Path, refused: Refused, unchecked: None) -> None:
    refused(["attention", "tiny", "--measures", "cosine"], "unknown measure 'cosine'; .*")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--seeds", "0"], "0 seeds are too few to compare conditions over; allowed are 2 to 20, .*"),
        (["--seeds", "21"], "21 seeds are too many to compare conditions over; allowed are 2 to 20, .*"),
        (["--seeds", "2", "--checkpoints", "3"], "3 checkpoints are too few to follow reuse over training; use 8 .*"),
        (["--seeds", "2", "--checkpoints", "0"], ".*config key 'checkpoints.*' = 0: .* greater than or equal to 1; .*"),
        (["--seeds", "2", "--set", "train.steps=3"], "3 checkpoints are too few to follow reuse over training; .*"),
        (["--seeds", "2", "--set", "measure.checkpoints=9"], ".*'measure.checkpoints'.*"),
        (["--seeds", "2", "--n", "2"], "n = 2 examples are too few for a study; use at least 4"),
        (["--seeds", "2", "--main-length", "5000"], "length 5000 is not possible for task 'shift'; .*"),
        (["--seeds", "2", "--set", "model.n_heads=1"],
         "the study compares the top 3 heads, but the preset's model has 2; use more layers or heads"),
        (["--seeds", "2", "--engine", "serial", "--workers", "2"],
         "--engine serial trains one cell at a time; leave --workers out"),
        (["--seeds", "2", "--address", "auto"], "--address goes with --engine ray, and the engine is 'processes'; .*"),
        (["--seeds", "2", "--name", "tiny"], "'runs/tiny' holds a run, not a sweep; choose another name"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_study_over_seeds_that_is_refused(here: Path, refused: Refused, options: list[str], text: str) -> None:
    refused(["study", "copy+shift", "--preset", "tiny.toml", *options], text)
