"""`python -m benchmarks.gpu`: what is measured on a GPU alone, at the size of Extrapolation by Association (`p1`).

    python -m benchmarks.gpu check                 the GPU against the processor: losses, gradients, effects of heads
    python -m benchmarks.gpu speed                 steps of p1 per second, compiled and not; ablation maps of 6/6/384
    python -m benchmarks.gpu transfer --out DIR    paper-sized groups: accuracy by length, and every head's effects

`transfer` writes small tables, each one Parquet file over all runs and whole after every run: `metrics` (as training
measured), `effects` (per example, of the last checkpoint), `maps` (of every checkpoint) and `timing`.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
from cyclopts import App, Parameter

from analyses import HeadAblation, ablate
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from benchmarks import machine
from benchmarks.ablation_row import sample_batches
from benchmarks.shapes import LARGE_WEIGHTS, Shape
from tasks import InterpError, get_group
from training import Run, TrainConfig, load_preset, named_generator, train
from training.conditions import Condition, condition_config
from training.feed import feed
from training.loop import Training

app = App(name="python -m benchmarks.gpu", help="Measure on a GPU, at the size of the first paper.")

Several = Parameter(consume_multiple=True)

BUDGETS = (4096, 2**15, 2**17, 2**19)
"""Tokens that an ablation map runs at a time."""


@app.command
def check() -> None:
    """Compare the GPU with the processor: the same training steps, and the same ablation map."""
    _say(machine.facts("cuda"))
    config = condition_config(get_group("copy+shift"), load_preset("small"), "auxiliary", seed=1)
    processor, card, plain = Training(config), Training(config, device="cuda"), Training(config, device="cuda")
    plain.model.compile_packed(backend=None)
    for step in range(5):
        losses, norm = processor.step(step)
        for name, one in (("compiled", card), ("not compiled", plain)):
            found, other = one.step(step)
            loss = ((found - losses).abs().max() / losses[:, 0].max()).item()
            gradient = abs(other.item() / norm.item() - 1)
            _say(f"step {step}, {name}: losses differ by {loss:.1e}, the gradient's norm by {gradient:.1e} (relative)")
    task = processor.mixture[0].task
    maps = [
        HeadAblation(metric="nll")(one.model, task, length=8, n=64, generator=named_generator(0, "check"))["effect"]
        for one in (processor, card)
    ]
    worst, largest = (maps[0] - maps[1]).abs().max(), maps[0].abs().max()
    _say(f"effects of heads after 5 steps differ by {worst:.1e}, of up to {largest:.1e}")


@app.command
def speed(
    *, groups: Annotated[tuple[str, ...], Several] = ("add/carry", "capitalize_reverse"), steps: int = 100
) -> None:
    """Time the steps of `p1`, compiled and not, and the ablation map of a 6/6/384 model on two tasks.

    Args:
        groups: Which groups' mixtures.
        steps: Steps timed, after 20 to warm up.
    """
    _say(machine.facts("cuda"))
    for group, compiled in product(groups, (True, False)):
        _time_steps(group, compiled=compiled, steps=steps)
    model = Shape.parse("6/6/384").on("cuda", examples=1024).model(initializer_range=LARGE_WEIGHTS)
    batches, sets = sample_batches(1024, device="cuda"), [(head,) for head in all_heads(model.config)]
    for budget in BUDGETS:
        for batch in batches:  # to warm up
            ablate(model, Examples(batch), sets, kind="mean", running=Running(token_budget=budget))
        began = _now()
        for batch in batches:
            ablate(model, Examples(batch), sets, kind="mean", running=Running(token_budget=budget))
        _say(f"map of 6/6/384, two tasks of 1,024 examples, {budget:,} tokens at a time: {_now() - began:.2f} s")


def _time_steps(group: str, *, compiled: bool, steps: int) -> None:
    config = condition_config(get_group(group), load_preset("p1"), "auxiliary", seed=1)
    training = Training(config, device="cuda")
    if not compiled:
        training.model.compile_packed(backend=None)
    reading, began = feed(config, training.mixture, first=0, device="cuda"), _now()
    for step in range(20):
        training.step(step, next(reading))
    warm, tokens = _now(), 0
    for step in range(20, 20 + steps):
        training.step(step, next(reading))
        tokens += training.tokens
    each = (_now() - warm) / steps
    _say(
        f"{group}, {'compiled' if compiled else 'not compiled'}: {1000 * each:.2f} ms a step, "
        f"{tokens / steps / each / 1e6:.2f} million tokens/s, first 20 steps {warm - began:.1f} s, "
        f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB; "
        f"{config.train.steps:,} steps would take {config.train.steps * each / 60:.1f} min"
    )


def _now() -> float:
    """Seconds, when all that was given to the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def _say(what: object) -> None:
    print(what, flush=True)


@app.command
def transfer(
    *,
    out: Path,
    groups: Annotated[tuple[str, ...], Several] = ("add/carry", "capitalize_reverse"),
    conditions: Annotated[tuple[Condition, ...], Several] = ("auxiliary", "alone"),
    seeds: Annotated[tuple[int, ...], Several] = (1, 2, 3),
    steps: int = 20_000,
    checkpoints: int = 10,
    n: int = 256,
    seconds: float = 3600.0,
) -> None:
    """Train paper-sized models and measure transfer and heads, within a time that the first run of its kind foretells.

    Args:
        out: Where the tables are written.
        groups: Which groups.
        conditions: Which conditions, each with every seed.
        seeds: Which seeds.
        steps: Training steps; warm-up is a tenth of them.
        checkpoints: Checkpoints per run.
        n: Examples per accuracy and per map.
        seconds: No run is begun when less is left of these than the first run of its group and condition took.
    """
    began, longest = time.perf_counter(), dict[tuple[str, Condition], float]()
    tables = dict[str, list[pd.DataFrame]]()
    out.mkdir(parents=True, exist_ok=True)
    for seed, group, condition in product(seeds, groups, conditions):
        left = seconds - (time.perf_counter() - began)
        if longest.get((group, condition), 0.0) > left:
            _say(f"{group}, {condition}, seed {seed}: left out, {left:.0f} s are left")
            continue
        started = time.perf_counter()
        config = _config(group, condition, seed=seed, steps=steps, checkpoints=checkpoints, n=n)
        with tempfile.TemporaryDirectory() as folder:  # checkpoints take gigabytes, and are not needed afterwards
            run = train(config, Path(folder) / "run", device="cuda")
            for name, table in _measured(run, n).items():
                tables.setdefault(name, []).append(table.assign(group=group, condition=condition, seed=seed))
                pd.concat(tables[name], ignore_index=True).to_parquet(out / f"{name}.parquet")
            longest[group, condition] = time.perf_counter() - started
            _say(f"{group}, {condition}, seed {seed}: {_curve(run)}, {longest[group, condition]:.0f} s")


def _curve(run: Run) -> str:
    """The main task's accuracy by length, at the end."""
    final = run.metrics.query("step == step.max() and weights == 'averaged'")
    main = final[final["task"] == run.mixture[0].task.name]
    return ", ".join(f"{row.accuracy:.3f} at {row.length}" for row in main.itertuples())


def _config(group: str, condition: Condition, *, seed: int, steps: int, checkpoints: int, n: int) -> TrainConfig:
    chosen = get_group(group)
    config = condition_config(chosen, load_preset("p1"), condition, seed=seed)
    main, longest = chosen.main.max_length, max(member.max_length for member in chosen.auxiliaries)
    lengths = sorted({main // 2, main, *range(main, longest + 1, 4), main + 2, longest})
    train_changes = {"steps": steps, "warmup": steps // 10}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=train_changes),
            "measure": config.measure.model_copy(
                update={"checkpoints": checkpoints, "n": n, "lengths": tuple(lengths)}
            ),
        }
    )


def _measured(run: Run, n: int) -> dict[str, pd.DataFrame]:
    """What is kept of a run: accuracies, and the effects of heads if it has tasks to compare."""
    tables = {"metrics": run.metrics, "timing": run.timing}
    if len(run.mixture) == 1:
        return tables
    main, longest = run.mixture[0].max_length, max(member.max_length for member in run.mixture)
    halfway = (main + longest) // 2
    tables["effects"] = pd.concat(
        [_effects(run, run.steps[-1], length, n) for length in (main, halfway, longest)], ignore_index=True
    )
    maps = [_effects(run, step, halfway, n).assign(step=step) for step in run.steps]
    about = ["step", "task", "length", "metric", "heads"]
    tables["maps"] = pd.concat(maps).groupby(about, sort=False)["effect"].mean().reset_index()
    return tables


def _effects(run: Run, step: int, length: int, n: int) -> pd.DataFrame:
    model = run.model(step).to("cuda")
    tables: list[pd.DataFrame] = []
    for member in run.mixture:
        found = HeadAblation().effects(
            model, member.task, length=length, n=n, generator=named_generator(run.config.seed, "ablation"),
            task_head=run.task_head(member.task.name), also=("nll",),
        )  # fmt: skip
        tables += [one.examples() for one in found]
    return pd.concat(tables, ignore_index=True)


def _main(arguments: Sequence[str]) -> None:
    try:
        app(arguments)
    except InterpError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    _main(sys.argv[1:])
