"""`python -m benchmarks.profile`: where our training step and our ablation map spend their time."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks.ablation_row import our_map, sample_batches
from benchmarks.memory import quiet_profiler
from benchmarks.results import HALF, OURS
from benchmarks.shapes import LARGE_WEIGHTS, Shape
from benchmarks.training_row import training_steps

KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": ("_scaled_dot_product", "aten::bmm", "aten::_softmax"),
    "rotation, gate, sums": ("aten::mul", "aten::add", "aten::sub", "aten::neg", "aten::silu", "aten::cat"),
    "norms": ("rms_norm", "aten::pow", "aten::mean", "aten::rsqrt", "aten::div", "aten::sum", "aten::expand"),
    "optimiser": ("adamw", "lerp", "linalg_vector_norm", "_foreach", "Optimizer"),
    "indexing, copies": ("aten::index", "aten::copy_", "aten::fill_", "aten::nonzero", "aten::where", "aten::sort"),
}
"""Parts of operators' names, by what they are for; the first kind with a match counts."""

OTHER = "views, bookkeeping, data"

app = App(name="python -m benchmarks.profile", help="Show where training and ablation spend their time.")


@app.default
def show(
    *,
    shapes: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("2/4/64", "4/4/128", "6/6/384"),
    threads: int = torch.get_num_threads(),
) -> None:
    """Print each kind of operator's share of the time, for our training step and our ablation map.

    Args:
        shapes: Model shapes as layers/heads/d_model.
        threads: Threads of torch.
    """
    torch.set_num_threads(threads)
    columns: dict[str, dict[str, float]] = {}
    for shape in map(Shape.parse, shapes):
        steps = training_steps(shape.config())
        columns[f"train {shape}"] = shares(steps[OURS], units=3)
        columns[f"{shape}, bfloat16"] = shares(steps[HALF], units=3)
        model = shape.model(initializer_range=LARGE_WEIGHTS)
        one_map = partial(our_map, model, sample_batches(shape.examples)[0], "accuracy")
        columns[f"ablate {shape}"] = shares(lambda _, one_map=one_map: one_map(), units=1)
    table = Table(title=f"Share of the time, {threads} threads", title_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for kind in (*KINDS, OTHER):
        table.add_row(kind, *(f"{column.get(kind, 0.0):.0%}" for column in columns.values()))
    Console(width=150).print(table)


def shares(work: Callable[[int], object], *, units: int) -> dict[str, float]:
    """Each kind's share of the operators' own time, over some units of work after one that warms up."""
    work(0)
    with quiet_profiler(), profile(activities=[ProfilerActivity.CPU]) as recorded:
        for unit in range(1, 1 + units):
            work(unit)
    times: dict[str, float] = {}
    for event in recorded.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)), OTHER)
        times[kind] = times.get(kind, 0.0) + event.self_cpu_time_total
    whole = sum(times.values())
    return {kind: time / whole for kind, time in times.items()}


if __name__ == "__main__":
    app()
