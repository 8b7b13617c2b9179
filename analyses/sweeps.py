"""A long analysis as several sweeps, one after the other: each has a journal of its own and its share of the bar."""

from dataclasses import dataclass, replace

from analyses.examples import Running
from analyses.journal import Journal


@dataclass(frozen=True)
class Sweeps:
    """The sweeps of an analysis, each over its own interventions or examples.

    Attributes:
        whole: How the whole is divided, followed and kept.
        count: How many sweeps there are; each counts as much of the progress as any other.
    """

    whole: Running
    count: int

    def running(self, place: int) -> Running:
        """How the sweep of that number, from 0, is run: its journal stands beside the whole's."""

        def on_done(done: int, total: int) -> None:
            self.whole.on_done(place * total + done, self.count * total)

        return replace(self.whole, on_done=on_done, journal=self._journal(place))

    def finish(self) -> None:
        """Removes the journals, when all sweeps are done."""
        for place in range(self.count):
            if journal := self._journal(place):
                journal.remove()

    def _journal(self, place: int) -> Journal | None:
        if self.whole.journal is None:
            return None
        path, seconds = self.whole.journal.path, self.whole.journal.seconds
        return Journal(path.with_suffix(f".{place}{path.suffix}"), seconds=seconds)
