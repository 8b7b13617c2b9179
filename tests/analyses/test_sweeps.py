"""Several sweeps as one analysis: shares of the progress, journals side by side."""

from pathlib import Path

from analyses import Journal, Running
from analyses.journal import Record
from analyses.sweeps import Sweeps


def test_each_sweep_has_an_equal_share_of_the_progress_however_much_it_counts() -> None:
    seen: list[tuple[int, int]] = []
    sweeps = Sweeps(Running(on_done=lambda *done: seen.append(done)), 2)
    sweeps.running(0).on_done(2, 4)  # half of the first half
    sweeps.running(0).on_done(4, 4)
    sweeps.running(1).on_done(1, 10)  # a tenth of the second half
    assert seen == [(2, 8), (4, 8), (11, 20)]


def test_each_sweep_has_a_journal_beside_the_whole_s(tmp_path: Path) -> None:
    sweeps = Sweeps(Running(journal=Journal(tmp_path / "x.journal", seconds=7.0)), 2)
    journals = [sweeps.running(place).journal for place in range(2)]
    for journal in journals:
        assert journal is not None
        assert journal.seconds == 7
        journal.write(Record.empty(metrics=1, interventions=1, examples=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.0.journal", "x.1.journal"]
    sweeps.finish()
    assert list(tmp_path.iterdir()) == []


def test_without_a_journal_there_is_none() -> None:
    sweeps = Sweeps(Running(), 2)
    assert sweeps.running(1).journal is None
    sweeps.finish()
