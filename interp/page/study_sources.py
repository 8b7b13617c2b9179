"""The tables behind the figures of a study of one seed, and the commands that measure them again."""

import pandas as pd

from analyses.transfer.study_results import StudyResults
from interp.panels.sources import Source, columns_of, command

ABLATION = ("task", "length", "kind", "metric", "layer", "head", "clean", "ablated", "effect", "stderr", "n")


def study_sources(results: StudyResults, run: str) -> dict[str, Source]:
    """A source for each part of the page.

    Args:
        results: What the study found.
        run: The name by which commands know the study; without one, the study's own command makes everything again.
    """
    whole = (command("interp", "report", run),) if run else (results.command,)
    return {
        "accuracy": Source("accuracy-by-length", results.accuracy, _evaluate(results, run) or whole),
        "training": Source("accuracy-over-training", results.training, whole),
        "ablation": Source("head-ablation", columns_of(results.ablation, ABLATION), _ablate(results, run) or whole),
        "overlap": Source("overlap", results.overlap, _overlap(results, run) or whole),
        "attention": Source("attention", _patterns(results), whole),
    }


def _evaluate(results: StudyResults, run: str) -> tuple[str, ...]:
    """One command per model: accuracy by length, of the averaged weights."""
    table = results.accuracy
    if not run or not len(table):
        return ()
    lengths = sorted(int(length) for length in table["length"].unique())
    about = ["--lengths", *lengths, "--n", int(table["n"].iloc[0]), "--seed", results.settings.get("seed", 0)]
    return tuple(
        command("interp", "evaluate", f"{run}/{condition}", about) for condition in dict.fromkeys(table["condition"])
    )


def _ablate(results: StudyResults, run: str) -> tuple[str, ...]:
    table = results.ablation
    if not run or not len(table):
        return ()
    about = _about(results, int(table["length"].iloc[0]), int(table["n"].iloc[0]))
    return tuple(
        command("interp", "ablate", run, "--heads", "--metric", metric, about)
        for metric in dict.fromkeys(table["metric"])
    )


def _overlap(results: StudyResults, run: str) -> tuple[str, ...]:
    table = results.overlap
    if not run or not len(table):
        return ()
    about = _about(results, int(table["length"].iloc[0]), int(table["n"].iloc[0]))
    return tuple(
        command("interp", "overlap", run, "--metric", metric, about) for metric in dict.fromkeys(table["metric"])
    )


def _about(results: StudyResults, length: int, n: int) -> list[object]:
    return ["--length", length, "--n", n, "--seed", results.settings.get("seed", 0)]


def _patterns(results: StudyResults) -> pd.DataFrame:
    """Every weight that is not 0 to three decimals, with its query and key."""
    rows = [
        {
            "task": example.task, "layer": example.layer, "head": example.head, "query": query, "key": key,
            "query_token": example.tokens[query], "key_token": example.tokens[key],
            "weight": round(float(example.pattern[query, key]), 4),
        }
        for example in results.attention
        for query in range(len(example.tokens))
        for key in range(query + 1)
        if not abs(float(example.pattern[query, key])) < 0.0005
    ]  # fmt: skip
    return pd.DataFrame(rows)
