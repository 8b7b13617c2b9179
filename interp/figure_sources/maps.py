"""The data of `interp figure ablation-maps` and `overlap`: what removing each head costs each task."""

import pandas as pd

from analyses import HeadAblation, HeadEffects, HeadOverlap
from analyses.heads import all_heads
from analyses.store import stored_table
from interp.asking.figure_options import Asked
from interp.asking.options import Which
from interp.figure_sources.drawn import Drawn, asked_run, effects_of, length_of, maps_of, tasks_of, two_tasks, which
from interp.figures.heads import HeadMap
from interp.paper import ablation_maps_figure, overlap_figure
from tasks import same_prompts
from training import Run, named_generator

_EFFECTS = ("task", "layer", "head", "clean", "ablated", "effect", "stderr")


def ablation_maps(asked: Asked) -> Drawn:
    """A map for each task of a run."""
    run, metric = asked_run(asked), asked.measure.metric or "accuracy"
    names, length = tasks_of(asked, run), length_of(asked, run)
    maps, table = maps_of(effects_of(run, names, which(asked, n=512), length=length, metric=metric))
    width = asked.look.width or ("page" if len(names) > 1 else "column")
    figure = ablation_maps_figure(maps, metric=metric, width=width)
    title = f"{run.name}: mean ablation at length {length}, {metric}; effect > 0: the head helped"
    return Drawn(figure, table, _EFFECTS, title, run.path, run.name)


def overlap(asked: Asked) -> Drawn:
    """Two tasks' maps head by head, and how alike they are."""
    run, metric = asked_run(asked), asked.measure.metric or "accuracy"
    names, length, measured = two_tasks(asked, run), length_of(asked, run), which(asked, n=512)
    first, second = effects_of(run, list(names), measured, length=length, metric=metric)
    (main, auxiliary), _ = maps_of([first, second])
    likeness = _likeness(run, first, second, measured)
    figure = overlap_figure(
        (main, auxiliary), likeness, metric=metric, generator=named_generator(measured.seed, "band"),
        width=asked.look.width or "page",
    )  # fmt: skip
    title = f"{run.name}: {names[0]} and {names[1]} at length {length}, mean ablation, {metric}"
    table = _side_by_side(run, main, auxiliary)
    return Drawn(figure, table, tuple(map(str, table)), title, run.path, run.name, {"likeness": likeness})


def _side_by_side(run: Run, main: HeadMap, auxiliary: HeadMap) -> pd.DataFrame:
    """A row per head, with its effect on both tasks."""
    rows = [
        {
            "layer": head.layer, "head": head.head, "first": main.task, "second": auxiliary.task,
            "first_effect": main.effect[head], "first_stderr": main.stderr[head],
            "second_effect": auxiliary.effect[head], "second_stderr": auxiliary.stderr[head],
        }
        for head in all_heads(run.config.model)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _likeness(run: Run, first: HeadEffects, second: HeadEffects, which: Which) -> pd.DataFrame:
    """`HeadOverlap`'s table, kept with the run."""
    tasks = run.task(first.task), run.task(second.task)
    heads = run.config.model.n_layers * run.config.model.n_heads
    matched = same_prompts(*tasks, length=first.length)
    comparison = HeadOverlap(k=min(3, heads), resample="together" if matched else "separately")
    key = {
        "comparison": repr(comparison), "ablation": repr(HeadAblation(kind="mean", metric=first.metric.name)),
        "tasks": [task.key for task in tasks], "weights": run.digest(which.step, weights=which.weights),
        "length": first.length, "n": which.n, "seed": which.seed,
    }  # fmt: skip

    def compute() -> pd.DataFrame:
        return comparison(first, second, generator=named_generator(which.seed, "overlap", first.metric.name))

    return stored_table(run.path / "results", f"overlap-{first.task}-{second.task}", key, compute)
