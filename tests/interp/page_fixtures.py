"""A study's results made up for tests of the page: plausible numbers, any shape, any names; nothing is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyses.transfer.study_results import AttentionExample, StudyResults

N = 512
LENGTHS = range(1, 26)


@dataclass(frozen=True)
class MadeUp:
    """Parameters of `study_results`.

    Attributes:
        layers: Layers of the model.
        heads: Heads per layer.
        midpoint: Length at which each condition's accuracy has fallen to one half, with averaged weights.
        matter: Heads that matter to (main, auxiliary), with their effects.
        shown: Heads whose attention is shown.
    """

    main: str = "shift"
    auxiliaries: tuple[str, ...] = ("copy",)
    controls: tuple[str, ...] = ("reverse",)
    layers: int = 4
    heads: int = 4
    midpoint: dict[str, float] = field(default_factory=lambda: {"auxiliary": 18.0, "alone": 11.5, "control": 12.0})
    matter: dict[tuple[int, int], tuple[float, float]] = field(
        default_factory=lambda: {
            (0, 1): (0.94, 0.99),
            (1, 2): (0.93, 0.98),
            (1, 3): (0.42, 0.35),
            (2, 0): (0.93, 0.91),
            (2, 3): (0.12, 0.66),
            (3, 1): (0.71, 0.02),
            (3, 2): (-0.06, 0.0),
        }
    )
    shown: tuple[tuple[int, int], ...] = ((0, 1), (1, 2), (2, 0))


def study_results(made_up: MadeUp) -> StudyResults:
    """Results with these parameters; the same ones give the same numbers."""
    return StudyResults(
        name=f"{'+'.join(made_up.auxiliaries)}+{made_up.main}, preset small, seed 0",
        command=f"interp study {'+'.join(made_up.auxiliaries)}+{made_up.main} --preset small --seed 0",
        main=made_up.main,
        auxiliaries=made_up.auxiliaries,
        controls=made_up.controls,
        main_length=10,
        auxiliary_length=20,
        transfer_length=15,
        settings={
            "layers": made_up.layers,
            "heads": made_up.heads,
            "d_model": 64,
            "positions": "rotary",
            "steps": 3000,
            "batch": 128,
            "learning_rate": 0.002,
            "average_decay": 0.998,
            "parameters": 201472,
            "seed": 0,
            "deterministic": True,
            "lengths": [1, 20],
            "torch": "2.13.0",
        },
        accuracy=pd.DataFrame(_accuracy_rows(made_up)),
        training=pd.DataFrame(_training_rows(made_up)),
        ablation=pd.DataFrame(_ablation_rows(made_up)),
        overlap=overlap_table(made_up.main, made_up.auxiliaries),
        attention=tuple(_examples(made_up)),
    )


def _series(made_up: MadeUp) -> Iterator[tuple[str, str, float]]:
    """Condition, task and midpoint of each accuracy curve."""
    for condition, midpoint in made_up.midpoint.items():
        yield condition, made_up.main, midpoint
    for task in made_up.auxiliaries:
        yield "auxiliary", task, 23.5
    for task in made_up.controls:
        yield "control", task, 22.5


def _accuracy(length: float, midpoint: float) -> float:
    return round(N / (1 + np.exp(1.3 * (length - midpoint)))) / N


def _measured(accuracy: float) -> dict[str, float]:
    stderr = float(np.sqrt(accuracy * (1 - accuracy) / N))
    return {"n": N, "accuracy": accuracy, "stderr": stderr}


def _accuracy_rows(made_up: MadeUp) -> Iterator[dict[str, Any]]:
    for condition, task, midpoint in _series(made_up):
        for weights, shift in (("averaged", 0.0), ("raw", 1.7)):
            for length in LENGTHS:
                measured = _measured(_accuracy(length, midpoint - shift))
                about = {"condition": condition, "weights": weights, "task": task, "length": length}
                token = 1 - (1 - measured["accuracy"]) * 0.3
                yield about | measured | {"token_accuracy": token, "nll": 1 - token}


def _training_rows(made_up: MadeUp) -> Iterator[dict[str, Any]]:
    noise = np.random.default_rng(0)
    for condition, task, midpoint in _series(made_up):
        for weights in ("averaged", "raw"):
            for step in range(250, 3001, 250):
                for length in (10, 15, 20):
                    wobble = float(noise.normal(0, 1.5)) if weights == "raw" else 0.0
                    reached = midpoint * (1 - np.exp(-step / 700)) + wobble
                    about = {"condition": condition, "weights": weights, "step": step, "task": task, "length": length}
                    yield about | _measured(_accuracy(length, float(reached)))


def _ablation_rows(made_up: MadeUp) -> Iterator[dict[str, Any]]:
    noise = np.random.default_rng(1)
    for place, task in enumerate((made_up.main, *made_up.auxiliaries)):
        for metric, scale in (("accuracy", 1.0), ("nll", 2.4)):
            for layer in range(made_up.layers):
                for head in range(made_up.heads):
                    pair = made_up.matter.get((layer, head), (0.0, 0.0))
                    effect = scale * (pair[min(place, 1)] + float(noise.normal(0, 0.004)))
                    stderr = scale * float(np.sqrt(max(abs(effect / scale) * (1 - abs(effect / scale)), 0.0001) / N))
                    yield {
                        "task": task,
                        "length": 15,
                        "kind": "mean",
                        "metric": metric,
                        "layer": layer,
                        "head": head,
                        "clean": 0.98,
                        "ablated": 0.98 - effect,
                        "effect": effect,
                        "stderr": stderr,
                        "n": N,
                    }


def overlap_table(main: str, auxiliaries: Sequence[str]) -> pd.DataFrame:
    """The overlap of main with each auxiliary, as `HeadOverlap` gives it: written by hand, the same for any shape."""
    measures = [
        ("mean_absolute_difference", np.nan, 0.121, 0.098, 0.149, 0.43, 0.31, 0.55, 0.0005),
        ("cosine", np.nan, 0.83, 0.71, 0.90, 0.41, 0.20, 0.62, 0.002),
        ("spearman", np.nan, 0.31, -0.08, 0.58, 0.02, -0.44, 0.47, 0.11),
        ("jaccard", 5, 3 / 7, 1 / 4, 2 / 3, 0.19, 0.0, 3 / 7, 0.021),
    ]
    rows = [
        {
            "first": main,
            "second": auxiliary,
            "length": 15,
            "kind": "mean",
            "metric": "accuracy",
            "measure": measure,
            "k": k,
            "estimate": estimate,
            "low": low,
            "high": high,
            "null": null,
            "null_mean": mean,
            "null_low": null_low,
            "null_high": null_high,
            "p": p,
            "permutations": 1999,
            "bootstraps": 1000,
            "n": N,
            "seed": 0,
        }
        for auxiliary in auxiliaries
        for measure, k, estimate, low, high, mean, null_low, null_high, p in measures
        for null in ("free", "within_layer")
    ]
    return pd.DataFrame(rows)


def _examples(made_up: MadeUp) -> Iterator[AttentionExample]:
    """Heads that look back by the length of the prompt: what copying one character at a time needs."""
    text = "gkbdacflhejigkb"
    for layer, head in made_up.shown:
        for task in (made_up.main, *made_up.auxiliaries):
            tokens = (f"[{task}]", *text, "[=]", *text, "[EOS]")
            yield AttentionExample(task, tokens, layer, head, _pattern(len(tokens), back=len(text) + layer))


def _pattern(count: int, *, back: int) -> np.ndarray:
    scores = np.full((count, count), -np.inf)
    for query in range(count):
        for key in range(query + 1):
            scores[query, key] = 4.0 if key == max(query - back, 0) else 0.05 * (key % 5)
    weights = np.exp(scores)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
