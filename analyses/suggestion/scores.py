"""Cheap scores of a pair of tasks, from a model that was trained on both for a while."""

from importlib.metadata import version
from typing import Literal, get_args

import pandas as pd

from analyses.ablation import HeadAblation
from analyses.reuse.attention import AttentionDifference
from analyses.reuse.gradients import GradientSimilarity
from analyses.reuse.representation import RepresentationSimilarity
from analyses.reuse.similarity import cosine, spearman
from analyses.store import stored_table
from training import Run, evaluate, named_generator

Mechanistic = Literal["map_cosine", "map_spearman", "attention", "representation", "gradient"]
Baseline = Literal["early_accuracy", "prompts"]
Ranking = Literal[
    "combined", "map_cosine", "map_spearman", "attention", "representation", "gradient", "early_accuracy", "prompts"
]

MECHANISTIC: tuple[Mechanistic, ...] = get_args(Mechanistic)
"""How alike a model does two tasks:

    map_cosine       cosine of the two maps of head effects: heads mean-ablated, in nll
    map_spearman     Spearman's correlation of the same maps over heads
    attention        `AttentionDifference`, offset_cosine, mean over heads
    representation   `RepresentationSimilarity`, covariance_cosine, mean over layers
    gradient         `GradientSimilarity`, cosine, all parameters
"""

BASELINES: tuple[Baseline, ...] = get_args(Baseline)
"""What the others must beat:

    early_accuracy   token accuracy of the main task at the transfer length, less that of the main task alone
    prompts          1 if both tasks read the same prompts, else 0; needs no training
"""

RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
"""All that candidates can be ranked by; `combined` is what the mechanistic scores say together (`ranking.combined`)."""

WEIGHTS = "averaged"
"""The weights that are measured."""

PARTS = 4
"""Groups of examples that a gradient is taken in: as few as may be, since the cosine does not depend on them."""

Examples = Literal["test", "gain"]
"""Which test examples: those of a score, or those of the gain."""

MAP = HeadAblation(kind="mean", metric="nll")


def mechanistic_scores(run: Run, step: int, *, length: int, n: int) -> dict[Mechanistic, float]:
    """The mechanistic scores of the two tasks of a run at a step, kept in its `results`.

    Args:
        run: A run with two tasks.
        step: The step of the checkpoint.
        length: The length of all examples.
        n: Examples of each task.
    """
    key = {**_key(run, step), "tasks": [member.task.key for member in run.mixture], "length": length, "n": n}
    table = stored_table(
        run.path / "results", "suggestion-scores", key, lambda: pd.DataFrame([_measured(run, step, length, n)])
    )
    return {score: float(table[score].iloc[0]) for score in MECHANISTIC}


def main_accuracy(run: Run, step: int, *, length: int, n: int, examples: Examples) -> tuple[float, float]:
    """Exact match and token accuracy of a run's first task.

    Runs of one seed are tested on the same examples: one set of them for scores, and another for the gain, since a
    score that shared the gain's examples would share its noise.
    """
    task = run.mixture[0].task

    def compute() -> pd.DataFrame:
        return evaluate(
            run.model(step, weights=WEIGHTS), task, lengths=[length], n=n, task_head=run.task_head(task.name),
            generator=named_generator(run.config.seed, examples, task.name),
        )  # fmt: skip

    key = {**_key(run, step), "tasks": task.key, "length": length, "n": n, "examples": examples}
    row = stored_table(run.path / "results", "suggestion-accuracy", key, compute).iloc[0]
    return float(row["accuracy"]), float(row["token_accuracy"])


def _key(run: Run, step: int) -> dict[str, object]:
    digest = run.digest(step, weights=WEIGHTS)
    return {"weights": digest, "seed": run.config.seed, "version": version("interp-toolkit")}


def _measured(run: Run, step: int, length: int, n: int) -> dict[Mechanistic, float]:
    model, seed = run.model(step, weights=WEIGHTS), run.config.seed
    main, other = (member.task for member in run.mixture)
    heads = (run.task_head(main.name), run.task_head(other.name))
    maps = [  # from one state: tasks that read the same prompts get the same examples
        MAP(model, task, length=length, n=n, generator=named_generator(seed, "ablation"), task_head=head)["effect"]
        .to_numpy(dtype=float)
        for task, head in zip((main, other), heads, strict=True)
    ]  # fmt: skip
    attention = AttentionDifference(measures=("offset_cosine",)).totals(
        model, main, other, length=length, n=n, generator=named_generator(seed, "attention")
    )
    streams = RepresentationSimilarity(measures=("covariance_cosine",), groups=2)(
        model, main, other, length=length, n=n, generator=named_generator(seed, "streams")
    )
    gradients = GradientSimilarity(groups=PARTS)(
        model, main, other, length=length, n=n, generator=named_generator(seed, "gradients"), task_heads=heads
    )
    return {
        "map_cosine": float(cosine(*maps)),
        "map_spearman": float(spearman(*maps)),
        "attention": attention["offset_cosine"],
        "representation": _of_all(streams, "covariance_cosine"),
        "gradient": _of_all(gradients, "cosine"),
    }


def _of_all(table: pd.DataFrame, measure: str) -> float:
    """The estimate over all layers."""
    return float(table.loc[(table["measure"] == measure) & table["layer"].isna(), "estimate"].iloc[0])
