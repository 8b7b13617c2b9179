"""What a comparison found, as a table for people and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.rounds import Rounds, Spread
from benchmarks.shapes import Shape

OURS = "ours"

HALF = "ours, bfloat16"

TRANSFORMER_LENS = "TransformerLens"

PLAIN = "plain PyTorch"


@dataclass(frozen=True)
class Measured:
    """One contender in one row and shape.

    Attributes:
        name: The contender.
        flops: Floating-point operations that a unit of its work needs.
        seconds: Per unit of work (a training step; the maps of both tasks).
        speeds: What it did in a second, by what is counted.
        share: Needed floating-point operations per second, over the rate of matrix products in the same round.
        peak: Bytes that tensors took at the most during a unit, beyond weights and optimiser state.
        ratio: How many times faster ours was; None for ours itself.
        half: How many times faster ours was in bfloat16; None for itself, or if that was not measured.
    """

    name: str
    flops: float
    seconds: Spread
    speeds: dict[str, Spread]
    share: Spread
    peak: int
    ratio: Spread | None
    half: Spread | None = None


@dataclass(frozen=True)
class Comparison:
    """All contenders in one row and shape.

    Attributes:
        title: The row.
        shape: `layers/heads/d_model`.
        detail: Sizes.
        rounds: How many rounds there were.
        units: Units of work in each round.
        matrix_rate: Operations per second of square matrix products, in the same rounds.
        measured: The contenders, ours first.
        left_out: Contenders that are not here, and why.
        slopes: By contender, the MiB that peak memory grows by with 1,000 tokens, where that was measured.
    """

    title: str
    shape: str
    detail: str
    rounds: int
    units: int
    matrix_rate: Spread
    measured: tuple[Measured, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    slopes: Mapping[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def compared(
    title: str,
    shape: Shape,
    rounds: Rounds,
    *,
    per_unit: Mapping[str, float],
    flops: float,
    own_flops: Mapping[str, float] | None = None,
    peaks: Mapping[str, int],
    detail: str,
    left_out: Mapping[str, str] | None = None,
    slopes: Mapping[str, float] | None = None,
) -> Comparison:
    """Summarises timed rounds: medians and ranges over rounds, ratios and shares taken within each round.

    Args:
        title: The row.
        shape: The models' shape, and where they are.
        rounds: What was timed.
        per_unit: How much of what a unit of work holds.
        flops: Floating-point operations that a unit needs.
        own_flops: The same for contenders that do other work.
        peaks: Peak memory of each contender, ours first.
        detail: Sizes.
        left_out: Contenders that are not here, and why.
        slopes: Growth of peak memory.
    """
    product = rounds.seconds[machine.MATRIX_PRODUCT]
    product_flops = machine.matrix_product_flops(shape.device)

    def measured(name: str) -> Measured:
        own, needed = rounds.seconds[name], (own_flops or {}).get(name, flops)
        share = [needed / mine / (product_flops / other) for mine, other in zip(own, product, strict=True)]
        speeds = {what: rounds.speed(name, per_unit=count) for what, count in per_unit.items()}
        ratio, half = (
            rounds.ratio(one, over=name) if one in rounds.seconds and one != name else None for one in (OURS, HALF)
        )
        return Measured(name, needed, Spread.of(own), speeds, Spread.of(share), peaks[name], ratio, half)

    rate = rounds.speed(machine.MATRIX_PRODUCT, per_unit=product_flops)
    everyone, sizes = tuple(measured(name) for name in peaks), f"on {shape.device}, {detail}"
    return Comparison(title, str(shape), sizes, len(rounds), rounds.units, rate, everyone, left_out or {}, slopes or {})


def print_comparison(console: Console, found: Comparison) -> None:
    """One table, ours first."""
    rate = found.matrix_rate
    about = f"{found.rounds} rounds of {found.units}; matrix products {rate.median / 1e9:.0f} GFLOP/s"
    about += f" ({rate.low / 1e9:.0f}-{rate.high / 1e9:.0f})"
    table = Table(title=f"{found.title}, {found.shape} ({found.detail}; {about})", title_justify="left")
    table.add_column("")
    table.add_column("s per unit", justify="right")
    for what in found.measured[0].speeds:
        table.add_column(f"{what}/s", justify="right")
    halves = any(one.half for one in found.measured)
    for heading in ("share of rate", "peak MiB", "ours is faster by", *(["in bfloat16 by"] if halves else [])):
        table.add_column(heading, justify="right")
    for one in found.measured:
        speeds = [_speed(speed.median) for speed in one.speeds.values()]
        ratios = [_ratio(one.ratio), *([_ratio(one.half)] if halves else [])]
        share, peak = f"{one.share.median:.0%}", f"{one.peak / 2**20:.1f}"
        table.add_row(one.name, f"{one.seconds.median:.3g}", *speeds, share, peak, *ratios)
    console.print(table)
    for name, slope in found.slopes.items():
        console.print(f"{name}: {slope:.1f} MiB more with every 1,000 tokens", highlight=False)
    for name, reason in found.left_out.items():
        console.print(f"{name} left out: {reason}", highlight=False)


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _ratio(ratio: Spread | None) -> str:
    return f"{ratio.median:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})" if ratio else ""
