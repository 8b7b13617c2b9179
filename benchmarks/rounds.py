"""Interleaved timing: every contender does the same work in every round, so that a busy machine slows them all."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.devices import Device, wait_for

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: Its name in the tables.
        work: Does unit number i of the work; unit i is the same work for every contender.
    """

    name: str
    work: Callable[[int], object]


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the greatest value seen."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Median, minimum and maximum of some values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Rounds:
    """Seconds per unit of work, for each contender, round by round.

    Attributes:
        units: Units of work that each contender did in each round.
        seconds: By contender's name, the seconds per unit in each round.
    """

    units: int
    seconds: dict[str, list[float]]

    def __len__(self) -> int:
        return len(next(iter(self.seconds.values())))

    def speed(self, name: str, *, per_unit: float) -> Spread:
        """How much of something a contender does in a second, if one unit of work holds `per_unit` of it."""
        return Spread.of([per_unit / seconds for seconds in self.seconds[name]])

    def ratio(self, name: str, *, over: str) -> Spread:
        """How many times faster `name` was than `over`, round by round."""
        pairs = zip(self.seconds[name], self.seconds[over], strict=True)
        return Spread.of([other / mine for mine, other in pairs])


def run_rounds(contenders: Sequence[Contender], *, seconds: float, first: int = 0, device: Device = "cpu") -> Rounds:
    """Times the contenders in rounds A B C A B C ...

    The first two units of each contender (one, if that is slow) warm up and set how many units make a round; rounds
    then go on until the time is used up, at least three of them. In each round all contenders do the same units, in an
    order that turns by one place from round to round.

    Args:
        contenders: What to compare.
        seconds: About how long the timed rounds take together.
        first: The first unit's number.
        device: Where the work is done: a unit ends when it is done there.
    """
    once = sum(_seconds(contender, range(first, first + 1), device) for contender in contenders)
    if LEAST_ROUNDS * once < seconds:  # there is time to measure it again, warm
        once = min(once, sum(_seconds(contender, range(first + 1, first + 2), device) for contender in contenders))
    units = max(1, int(seconds / (8 * once)))
    count = max(LEAST_ROUNDS, round(seconds / (units * once)))
    measured: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for place in range(count):
        numbers = range(first + 2 + place * units, first + 2 + (place + 1) * units)
        turn = place % len(contenders)
        gc.collect()
        for contender in (*contenders[turn:], *contenders[:turn]):
            measured[contender.name].append(_seconds(contender, numbers, device) / units)
    return Rounds(units, measured)


def _seconds(contender: Contender, numbers: range, device: Device) -> float:
    started = time.perf_counter()
    for number in numbers:
        contender.work(number)
        wait_for(device)
    return time.perf_counter() - started
