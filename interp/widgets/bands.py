"""Bands of length: what a run was trained at, what it may transfer to, and what lies beyond."""

from collections.abc import Sequence
from dataclasses import dataclass

from analyses.reuse.length_effects import Zone, zone_lengths
from interp.asking.lengths import default_length
from tasks import InvalidValueError, Task
from training import Run

WORDS: dict[Zone, str] = {"in_range": "in range", "transfer": "transfer", "beyond": "beyond"}
"""The bands' names in words."""


@dataclass(frozen=True)
class Band:
    """Lengths that stand in one relation to training.

    Attributes:
        zone: Which relation (`analyses.reuse.length_effects`).
        low: The shortest length.
        high: The longest.
        length: The one at which maps are measured: positions align at one length only.
        lengths: Those at which a head's effect by length is measured.
    """

    zone: Zone
    low: int
    high: int
    length: int
    lengths: tuple[int, ...]

    @property
    def label(self) -> str:
        """What a menu calls it."""
        reach = str(self.low) if self.low == self.high else f"{self.low} to {self.high}"
        return f"{WORDS[self.zone]} ({reach}), maps at {self.length}"


def bands_of(run: Run, tasks: Sequence[Task], *, per_band: int = 2) -> tuple[Band, ...]:
    """The bands that all tasks can make examples of, from short to long.

    in range: up to the least of the longest lengths that the run's tasks were trained at; transfer: up to the greatest;
    beyond: a quarter further. Maps are measured at the longest in range, halfway between both for transfer, and at the
    first of `per_band` evenly spaced lengths beyond.

    Args:
        run: The run.
        tasks: The tasks.
        per_band: How many lengths of each band a head's effect by length has.

    Raises:
        InvalidValueError: No length that all tasks can make.
    """
    longest = [member.max_length for member in run.mixture]
    main, auxiliary, middle = min(longest), max(longest), default_length(run)
    low = max(task.min_length for task in tasks)
    top = min(task.max_length for task in tasks)
    if low > top:
        raise InvalidValueError(
            f"tasks {' and '.join(repr(task.name) for task in tasks)} have no length in common; choose tasks that do"
        )
    if not low <= main <= auxiliary <= top:
        length = min(max(middle, low), top)
        return (Band("transfer", low, top, length, tuple(sorted({low, length, top}))),)
    zones = zone_lengths(tasks[0], main_length=main, auxiliary_length=auxiliary, per_zone=per_band)
    starts: dict[Zone, int] = {"in_range": low, "transfer": main + 1, "beyond": auxiliary + 1}
    chosen = {"in_range": main, "transfer": middle}
    bands = []
    for zone, every in zones.items():
        lengths = [length for length in every if low <= length <= top]
        if lengths:
            length = chosen.get(zone, lengths[0])
            bands.append(Band(zone, starts[zone], lengths[-1], length, tuple(sorted({*lengths, length}))))
    return tuple(bands)
