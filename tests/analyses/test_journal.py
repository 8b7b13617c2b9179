"""What a sweep has measured is kept: an interrupted one goes on, and ends with the same numbers."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from analyses import ablate
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from analyses.interventions import Intervention, Outcome
from analyses.interventions.stacked import Stacked
from analyses.journal import Journal, Record
from tasks import Pair, get_task
from tests.analyses.models import random_model, seeded
from training import HookedTransformer
from training.files import write_tensors

TASK = get_task("copy", alphabet=4, case="lower")
METRICS = ("nll", "accuracy")
BUDGET = 60  # parts of three examples, two or three heads at a time


class StopError(Exception):
    """What the user's own code raises."""


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=2)


@pytest.fixture(scope="module")
def pair() -> Pair:
    generator = seeded(3)
    return TASK.counterfactual(TASK.sample(7, length=3, generator=generator), generator=generator)


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many interventions each stack had that was run."""
    sizes, original = [], Stacked.logits

    def logits(self: Stacked, stack: Sequence[Intervention]) -> torch.Tensor:
        sizes.append(len(stack))
        return original(self, stack)

    monkeypatch.setattr(Stacked, "logits", logits)
    return sizes


def sweep(model: HookedTransformer, pair: Pair, running: Running) -> Outcome:
    sets = [(head,) for head in all_heads(model.config)]
    return ablate(model, Examples.of_pair(pair), sets, kind="counterfactual", metrics=METRICS, running=running)


def stopping(after: int, *, error: type[BaseException] = StopError) -> Running:
    calls: list[int] = []

    def on_done(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == after:
            raise error

    return Running(token_budget=BUDGET, on_done=on_done)


def kept_in(journal: Journal, running: Running) -> Running:
    return Running(running.token_budget, running.on_done, journal)


def assert_identical(found: Outcome, wanted: Outcome) -> None:
    for name in METRICS:
        for part in ("unedited", "other", "edited"):
            assert torch.equal(getattr(found, part)[name], getattr(wanted, part)[name])


@pytest.mark.parametrize("after", [1, 4, 9])
@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt])
def test_interrupted_sweep_goes_on(
    model: HookedTransformer, pair: Pair, stacks: list[int], tmp_path: Path, after: int, error: type[BaseException]
) -> None:
    wanted = sweep(model, pair, Running(BUDGET))
    whole = list(stacks)
    assert len(whole) > 10
    path = tmp_path / "kept" / "journal.safetensors"
    stacks.clear()
    with pytest.raises(error):
        sweep(model, pair, kept_in(Journal(path), stopping(after, error=error)))
    assert stacks == whole[:after]
    stacks.clear()
    seen: list[tuple[int, int]] = []
    found = sweep(model, pair, Running(BUDGET, lambda *done: seen.append(done), Journal(path)))
    assert stacks == whole[after:]  # nothing that was finished is measured again
    assert_identical(found, wanted)
    assert seen[-1] == (7 * 8, 7 * 8)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_interrupted_twice_and_gone_in_the_end(
    model: HookedTransformer, pair: Pair, stacks: list[int], tmp_path: Path
) -> None:
    wanted = sweep(model, pair, Running(BUDGET))
    whole, journal = list(stacks), Journal(tmp_path / "journal.safetensors")
    stacks.clear()
    for after in (3, 7):
        with pytest.raises(StopError):
            sweep(model, pair, kept_in(journal, stopping(after)))
    assert_identical(sweep(model, pair, kept_in(journal, Running(BUDGET))), wanted)
    assert stacks == whole
    assert journal.path.is_file()
    journal.remove()
    assert not journal.path.exists()
    assert list(tmp_path.iterdir()) == []
    journal.remove()  # and again, without complaint


def test_a_process_that_is_killed_keeps_what_was_written_in_time(
    model: HookedTransformer, pair: Pair, stacks: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, written = tmp_path / "journal.safetensors", Journal.write
    eager, patient = Journal(path, seconds=0.0), Journal(tmp_path / "patient.safetensors", seconds=1000.0)
    times: list[int] = []

    def write(self: Journal, record: Record) -> None:
        times.append(int(record.done.sum()))
        written(self, record)

    monkeypatch.setattr(Journal, "write", write)
    sweep(model, pair, kept_in(eager, Running(BUDGET)))
    assert len(times) == len(stacks)
    assert times == sorted(set(times))
    assert times[-1] == 7 * 8
    sweep(model, pair, kept_in(patient, Running(BUDGET)))
    assert len(times) == len(stacks) // 2  # not once more, and no file
    assert not patient.path.exists()


@pytest.mark.parametrize("what", ["cut", "no safetensors", "other names", "other shapes", "a folder"])
def test_file_that_is_damaged_or_of_another_sweep_is_not_read(
    model: HookedTransformer, pair: Pair, stacks: list[int], tmp_path: Path, what: str
) -> None:
    wanted = sweep(model, pair, Running(BUDGET))
    path, count = tmp_path / "journal.safetensors", len(stacks)
    if what == "a folder":
        path.mkdir()
    elif what == "other names":
        write_tensors(path, {"unedited": torch.zeros(2, 7), "foreign": torch.zeros(3)})
    elif what == "other shapes":
        write_tensors(path, vars(Record.empty(metrics=2, interventions=9, examples=7)))
    else:
        with pytest.raises(StopError):
            sweep(model, pair, kept_in(Journal(path), stopping(4)))
        path.write_bytes(b"not a tensor" if what == "no safetensors" else path.read_bytes()[:-40])
    stacks.clear()
    assert_identical(sweep(model, pair, kept_in(Journal(path), Running(BUDGET))), wanted)
    assert len(stacks) == count


def test_another_token_budget_goes_on_where_it_can(
    model: HookedTransformer, pair: Pair, stacks: list[int], tmp_path: Path
) -> None:
    wanted = sweep(model, pair, Running(BUDGET))
    journal = Journal(tmp_path / "journal.safetensors")
    with pytest.raises(StopError):
        sweep(model, pair, kept_in(journal, stopping(4)))
    found = sweep(model, pair, kept_in(journal, Running(10 * BUDGET)))
    for name in METRICS:
        torch.testing.assert_close(found.edited[name], wanted.edited[name], rtol=1e-5, atol=1e-5)


def test_record_by_hand() -> None:
    record = Record.empty(metrics=1, interventions=3, examples=4)
    assert not record.has([0], slice(0, 4))
    record.put([0, 2], slice(1, 3), torch.tensor([[[1.0, 2], [3, 4]]], dtype=torch.float64))
    assert record.has([2, 0], slice(1, 3))
    assert not record.has([0], slice(0, 3))
    assert not record.has([0, 1], slice(1, 3))
    record.put_runs(slice(1, 3), torch.tensor([[5.0, 6]]), torch.tensor([[7.0, 8]]))
    unedited, other, edited = record.results
    assert unedited.tolist() == [[0, 5, 6, 0]]
    assert other.tolist() == [[0, 7, 8, 0]]
    assert edited.tolist() == [[[0, 1, 2, 0], [0] * 4, [0, 3, 4, 0]]]
    assert edited.dtype == torch.float64
