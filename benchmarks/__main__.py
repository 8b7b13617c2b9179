"""`python -m benchmarks`: training, interventions, evaluation and sampling, side by side with what users have today."""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

import torch
from cyclopts import App, Parameter
from rich.console import Console

from benchmarks import machine, operations
from benchmarks.ablation_row import compare_ablation
from benchmarks.attribution_row import compare_attribution
from benchmarks.devices import Device, check_device
from benchmarks.evaluation_row import compare_evaluation
from benchmarks.overlap_row import Overlaps, measure_overlap, print_overlap
from benchmarks.patching_row import compare_patching
from benchmarks.probing_row import Probes, measure_probing, print_probing
from benchmarks.results import Comparison, print_comparison
from benchmarks.sampling_row import Sampling, measure_sampling, print_sampling
from benchmarks.shapes import Shape
from benchmarks.training_row import compare_training
from tasks import InterpError

Row = Literal["training", "ablation", "patching", "attribution", "evaluation", "sampling", "overlap", "probing"]

ROWS: dict[str, Callable[..., Comparison]] = {
    "training": compare_training,
    "ablation": compare_ablation,
    "patching": compare_patching,
    "attribution": compare_attribution,
    "evaluation": compare_evaluation,
}

app = App(name="python -m benchmarks", help="Measure speed side by side with other libraries.")


@app.default
def bench(
    *,
    rows: Annotated[tuple[Row, ...], Parameter(consume_multiple=True)] = get_args(Row),
    shapes: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("2/4/64", "4/4/128", "6/6/384"),
    seconds: float = 120.0,
    threads: int = torch.get_num_threads(),
    device: Device = "cpu",
    examples: int | Literal["fitting"] = "fitting",
    out: Path | None = None,
) -> None:
    """Measure rows of the speed table (docs/benchmarks.md).

    Args:
        rows: Which rows.
        shapes: Model shapes as layers/heads/d_model (sampling, overlap and probing have their own).
        seconds: About how long all timed rounds take together; each comparison has at least three rounds.
        threads: Threads of torch, the same for all.
        device: Where models and examples are; cuda for ablation, patching and attribution.
        examples: Examples per task of ablation and evaluation; "fitting" is what takes two cores seconds.
        out: Where to write everything measured, as JSON.
    """
    warnings.filterwarnings("ignore", module="transformer_lens")
    check_device(device, rows)
    torch.set_num_threads(threads)
    chosen = [Shape.parse(shape).on(device, examples=examples) for shape in shapes]
    facts, console = machine.facts(device), Console(width=None if sys.stdout.isatty() else 150, soft_wrap=False)
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()), highlight=False)
    console.print(f"Operations counted: {operations.FORMULA}.\n", highlight=False)
    each = seconds / (len(rows) * len(chosen))
    found: list[Comparison | Sampling | Overlaps | Probes] = []
    for row in rows:
        if row == "sampling":
            sampling = measure_sampling(seconds=each * len(chosen))
            print_sampling(console, sampling)
            found.append(sampling)
            continue
        if row == "overlap":
            overlaps = measure_overlap(seconds=each * len(chosen))
            print_overlap(console, overlaps)
            found.append(overlaps)
            continue
        if row == "probing":
            probes = measure_probing(seconds=each * len(chosen))
            print_probing(console, probes)
            found.append(probes)
            continue
        for shape in chosen:
            comparison = ROWS[row](shape, seconds=each)
            print_comparison(console, comparison)
            found.append(comparison)
    if out is not None:
        values = {"machine": facts, "operations": operations.FORMULA, "rows": [one.values() for one in found]}
        out.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    try:
        app()
    except InterpError as error:
        sys.exit(f"error: {error}")
