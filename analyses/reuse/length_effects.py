"""What ablating each head did to each example at lengths in range, at transfer and beyond, and the table made of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from analyses.effects import HeadEffects
from analyses.heads import Head
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.strata import StratifiedMean
from tasks import InvalidValueError, Task

Zone = Literal["in_range", "transfer", "beyond"]
"""`in_range`: lengths up to the main task's longest trained one; `transfer`: from there to the auxiliary's; `beyond`:
from there to a quarter further."""

ZONES: tuple[Zone, ...] = get_args(Zone)

COLUMNS = [
    "task", "zone", "lengths", "layer", "head", "kind", "positions", "metric", "clean", "ablated", "effect", "stderr",
    "low", "high", "null", "p", "q", "family", "correction", "n", "seeds", "seed",
]  # fmt: skip

NULL = "Student's t"
"""What effects are compared with: t of a mean of 0."""


@dataclass(frozen=True)
class LengthEffects:
    """What ablating each head did to each example, at several lengths.

    Attributes:
        effects: The effects at each length, rising.
        zones: The zone that each length lies in.
        seed: Of the generator that drew the examples.

    Raises:
        InvalidValueError: No effects, those of joint sets or of several tasks, heads, kinds, scopes or metrics, or
            fewer than 2 examples of a length.
    """

    effects: tuple[HeadEffects, ...]
    zones: tuple[Zone, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.effects or len(self.zones) != len(self.effects):
            raise InvalidValueError(
                f"{len(self.effects)} maps and {len(self.zones)} zones; give one map or more, and a zone for each"
            )
        first = self.effects[0]
        for other in self.effects[1:]:
            for name in ("task", "kind", "positions", "metric"):
                if first.about[name] != other.about[name]:
                    raise InvalidValueError(
                        f"the maps at lengths {first.length} and {other.length} differ in {name}: "
                        f"{first.about[name]} and {other.about[name]}; measure both alike"
                    )
            if first.sets != other.sets:
                raise InvalidValueError(
                    f"the maps at lengths {first.length} and {other.length} are those of different heads; "
                    "ablate the same ones at every length"
                )
        if [(head,) for head in self.heads] != list(first.sets):
            raise InvalidValueError(
                "length maps are those of single heads, not of parts or joint sets; ablate each head"
            )
        few = min(len(one.clean) for one in self.effects)
        if few < 2:
            raise InvalidValueError(f"{few} example of a length gives no error; use 2 or more of each")

    @property
    def heads(self) -> list[Head]:
        """The heads that were ablated, one at a time."""
        return [one for components in self.effects[0].sets for one in components if isinstance(one, Head)]

    @property
    def lengths(self) -> dict[Zone, list[int]]:
        """The lengths of each zone that has any, in their order."""
        return {
            zone: [one.length for one, own in zip(self.effects, self.zones, strict=True) if own == zone]
            for zone in ZONES
            if zone in self.zones
        }

    @cached_property
    def means(self) -> dict[Zone, StratifiedMean]:
        """The effect of every head in each zone: the mean over its lengths of the mean over examples."""
        return {zone: StratifiedMean.of([one.effects.numpy() for one in self._of(zone)]) for zone in self.lengths}

    @property
    def about(self) -> dict[str, Any]:
        """What tables say of every head: task, layer, head, kind, positions, metric, seeds, seed."""
        about = self.effects[0].about
        chosen = {name: about[name] for name in ("task", "kind", "positions", "metric")}
        where = {"layer": [head.layer for head in self.heads], "head": [head.head for head in self.heads]}
        return {**chosen, **where, "seeds": 1, "seed": self.seed}

    def count(self, zone: Zone) -> int:
        """How many examples a zone has, of all its lengths."""
        return sum(len(one.clean) for one in self._of(zone))

    def table(self) -> pd.DataFrame:
        """One row per zone and head.

        Columns: task, zone, lengths (as `4 7 10`), layer, head, kind, positions, metric, clean, ablated, effect (means
        over the zone's lengths of the means over examples), stderr, low, high (95 % t interval over examples, the
        lengths given; `StratifiedMean`), null, p (one-sided, effect above 0), q, family (heads of the zone),
        correction, n (examples of all the zone's lengths), seeds (models: 1), seed.
        """
        table = pd.concat([self._table(zone) for zone in self.lengths], ignore_index=True)
        return benjamini_hochberg(table, within=["zone"])[COLUMNS]

    def examples(self) -> pd.DataFrame:
        """One row per length, head and example: zone, seed and the columns of `HeadEffects.examples`."""
        parts = [
            one.examples().assign(zone=zone, seed=self.seed) for one, zone in zip(self.effects, self.zones, strict=True)
        ]
        return pd.concat(parts, ignore_index=True)

    @classmethod
    def from_examples(cls, table: pd.DataFrame) -> "LengthEffects":
        """The effects that `examples` wrote down, of one task, kind, scope of positions and metric.

        Raises:
            InvalidValueError: As `HeadEffects.from_examples` and the effects themselves; several seeds, or a length in
                several zones.
            UnknownNameError: The metric is the user's own, so its name does not say which way is better.
        """
        about = table[["length", "zone", "seed"]].drop_duplicates().sort_values("length")
        if about["length"].duplicated().any() or about["seed"].nunique() != 1:
            raise InvalidValueError(
                "the table must be that of one seed, with each length in one zone; select one first"
            )
        effects = tuple(HeadEffects.from_examples(table[table["length"] == length]) for length in about["length"])
        return cls(effects, tuple(about["zone"]), int(about["seed"].iloc[0]))

    def _of(self, zone: Zone) -> list[HeadEffects]:
        return [one for one, own in zip(self.effects, self.zones, strict=True) if own == zone]

    def _table(self, zone: Zone) -> pd.DataFrame:
        parts, mean = self._of(zone), self.means[zone]
        low, high = mean.interval()
        return pd.DataFrame(
            {
                **self.about,
                "zone": zone,
                "lengths": " ".join(str(one.length) for one in parts),
                "clean": np.mean([one.clean.mean().item() for one in parts]),
                "ablated": np.mean([one.ablated.mean(dim=1).numpy() for one in parts], axis=0),
                "effect": mean.estimate,
                "stderr": mean.stderr,
                "low": low,
                "high": high,
                "null": NULL,
                "p": mean.p_above(),
                "n": self.count(zone),
            }
        )


def zone_lengths(task: Task, *, main_length: int, auxiliary_length: int, per_zone: int) -> dict[Zone, list[int]]:
    """Evenly spaced lengths of each zone, its longest among them; all of them if there are no more than `per_zone`.

    in range: from the task's shortest to `main_length`; transfer: above it, to `auxiliary_length`; beyond: above that,
    to 1.25 `auxiliary_length`, rounded up, or the task's longest. A zone without a length is absent: transfer if both
    lengths are equal, beyond if the task can make none.

    Raises:
        InvalidValueError: A length that the task cannot make, an auxiliary length below the main one.
    """
    for length in (main_length, auxiliary_length):
        task.check_length(length)
    if auxiliary_length < main_length:
        raise InvalidValueError(
            f"auxiliary_length = {auxiliary_length} is below main_length = {main_length}; "
            "the auxiliary task is trained at lengths as long, or longer"
        )
    ends = [task.min_length - 1, main_length, auxiliary_length, min(-(-5 * auxiliary_length // 4), task.max_length)]
    zones: dict[Zone, list[int]] = {
        zone: [before + -(-(last - before) * step // per_zone) for step in range(1, per_zone + 1)]
        for zone, before, last in zip(ZONES, ends[:-1], ends[1:], strict=True)
        if last > before
    }
    return {zone: sorted(set(lengths)) for zone, lengths in zones.items()}
