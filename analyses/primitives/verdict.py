"""What the evidence of a head amounts to, after Benjamini-Hochberg over heads and primitives."""

from dataclasses import dataclass, fields
from math import isfinite

import numpy as np
import pandas as pd

from analyses.statistics.correction import benjamini_hochberg
from tasks import InvalidValueError

VERDICTS = ("implements", "attends and writes", "attends only", "writes only", "none")

EVIDENCE = ("attention", "write", "causal")


@dataclass(frozen=True)
class Least:
    """How large evidence must be, besides significant.

    Attributes:
        share: Share of uses whose strongest attention is a source.
        mass: Mean attention on the sources.
        write: Share of uses whose read-out ranks the yielded token first.
        effect: Nats that ablating the head, and cutting its attention to the sources, must each cost.
    """

    share: float = 0.3
    mass: float = 0.2
    write: float = 0.3
    effect: float = 0.05

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isfinite(value) or value < 0 or (field.name != "effect" and value > 1):
                allowed = "0 or more" if field.name == "effect" else "0 to 1"
                raise InvalidValueError(f"least {field.name} = {value} is not possible; allowed is {allowed}")


def with_verdicts(table: pd.DataFrame, *, least: Least, level: float) -> pd.DataFrame:
    """The table with p of all the evidence together, a q for each p, and the verdict.

    A head that implements a primitive has every kind of evidence, so the hypothesis to reject is that one is absent: p
    is the greatest of the p-values there are (an intersection-union test), and q comes of it. The primitive that yields
    no token needs no write evidence, and can't be `writes only`.
    """
    parts = [f"p_{kind}" for kind in EVIDENCE]
    table = table.assign(p=table[parts].max(axis=1))
    for kind in EVIDENCE:
        table = _with_q(table, f"p_{kind}", f"q_{kind}")
    table = benjamini_hochberg(table)
    written = table["write_tokens"].isna()
    attends = (table["q_attention"] < level) & (table["share"] >= least.share) & (table["mass"] >= least.mass)
    best = table[["write_tokens", "write_values"]].max(axis=1)
    writes = (table["q_write"] < level) & (best >= least.write)
    matters = table["least_loss"] >= least.effect
    implements = attends & (writes | written) & matters & (table["q"] < level)
    choices = [implements, attends & writes, attends, writes]
    return table.assign(verdict=np.select(choices, VERDICTS[:-1], VERDICTS[-1]))


def _with_q(table: pd.DataFrame, p: str, q: str) -> pd.DataFrame:
    """The q of the rows that have a p; missing in the others."""
    present = table[table[p].notna()]
    corrected = benjamini_hochberg(present, p=p, q=q) if len(present) else present.assign(**{q: np.nan})
    return table.assign(**{q: corrected[q].reindex(table.index)})
