"""How fast training goes."""

import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


class Stopwatch:
    """Counts what is trained, and the time it takes, from checkpoint to checkpoint.

    Args:
        before: Seconds of earlier sessions.
    """

    def __init__(self, *, before: float) -> None:
        self._started = time.perf_counter() - before
        self._training = 0.0
        self._counts = [0, 0, 0]

    @property
    def seconds(self) -> float:
        """Seconds of all sessions so far."""
        return time.perf_counter() - self._started

    @contextmanager
    def step(self) -> Generator[None, None, None]:
        """Times a training step."""
        began = time.perf_counter()
        yield
        self._training += time.perf_counter() - began

    def count(self, examples: int, tokens: int, scored: int) -> None:
        """Counts what a step has read."""
        self._counts = [old + new for old, new in zip(self._counts, (examples, tokens, scored), strict=True)]

    def lap(self) -> dict[str, float]:
        """The numbers since the last lap (`Run.timing`), which start anew."""
        names = ("examples_per_second", "tokens_per_second", "scored_tokens_per_second")
        rates = {name: count / self._training for name, count in zip(names, self._counts, strict=True)}
        self._training, self._counts = 0.0, [0, 0, 0]
        return {"seconds": self.seconds, **rates, "peak_memory_mib": _peak_memory() / 2**20}


def _peak_memory() -> int:
    """The most memory, in bytes, that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
