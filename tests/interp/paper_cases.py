"""Made-up results of every size that paper figures must bear: one head, 36, 480, nothing that matters, long names."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyses.primitives.verdict import VERDICTS
from analyses.transfer.study_results import AttentionExample
from interp.figures.heads import HeadMap

SHAPES = {"one": (1, 1), "small": (4, 8), "36": (6, 6), "480": (32, 15)}

LONG = "reverse_add_with_carry_and_a_very_long_name_$100_&_ü"


def maps(shape: tuple[int, int], *, strength: float = 0.5, names: Sequence[str] = ("shift", "copy")) -> list[HeadMap]:
    """Maps of tasks of which a tenth of the heads, the same ones, matter; none for strength 0."""
    random = np.random.default_rng(0)
    where = random.random(shape) < 0.1
    where.flat[0] = True
    found = []
    for name in names:
        effect = 0.004 * random.normal(size=shape) + strength * where * random.uniform(-0.3, 1, size=shape)
        found.append(HeadMap(name, 15, effect, np.full(shape, 0.005)))
    return found


def overlap_table(*, p: float = 0.0004) -> pd.DataFrame:
    """A table as `HeadOverlap` gives it."""
    rows = [
        {"measure": name, "null": null, "k": 3, "estimate": value, "corrected": min(1, value + 0.04),
         "low": value - 0.1, "high": min(1, value + 0.1), "null_low": -0.1, "null_high": 0.45, "p": p}
        for name, value in (("mean_absolute_difference", 0.1), ("cosine", 0.9), ("spearman", 0.6), ("jaccard", 0.5),
                            ("weighted_jaccard", 0.7), ("rank_biased_overlap", 0.65))
        for null in ("free", "within_layer")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def edges(shape: tuple[int, int], *, count: int, tasks: Sequence[str] = ("shift", "copy")) -> pd.DataFrame:
    """For each task so many edges between random nodes of a model, and a path by head 0.0."""
    random = np.random.default_rng(1)
    layers, heads = shape
    rows = []
    for task in tasks:
        pairs = {("embed", "0.0.v"), ("0.0", "logits")}
        while len(pairs) < min(count, 2 + 3 * layers * heads):
            end = int(random.integers(layers))
            start = int(random.integers(-1, end))
            sender = "embed" if start < 0 else f"{start}.{random.choice([*map(str, range(heads)), 'mlp'])}"
            receiver = (
                f"{end}.mlp"
                if random.random() < 0.2
                else f"{end}.{random.integers(heads)}.{random.choice(list('qkv'))}"
            )
            pairs.add((sender, "logits" if random.random() < 0.1 else receiver))
        rows += [(task, one, other, float(random.normal(0.5, 0.6)), 0.01) for one, other in sorted(pairs)]
    return pd.DataFrame(rows, columns=["task", "sender", "receiver", "score", "stderr"])


PRIMITIVES = ("copy", "min", "successor", "identity_successor", "previous_token", "induction", "offset_copy", "carry")


def primitives_table(
    shape: tuple[int, int], *, tasks: Sequence[str] = ("shift", "copy"), some: bool = True
) -> pd.DataFrame:
    """Random verdicts, mostly none; none at all unless there are some."""
    random = np.random.default_rng(2)
    chances = [0.06, 0.03, 0.05, 0.05, 0.81] if some else [0, 0, 0, 0, 1]
    rows = [
        {"task": task, "length": 15, "primitive": name, "layer": layer, "head": head,
         "verdict": str(random.choice(VERDICTS, p=chances)), "effect": 0.1, "q": 0.01}
        for task in tasks for name in PRIMITIVES for layer in range(shape[0]) for head in range(shape[1])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def attention(count: int, *, heads: int, tasks: Sequence[str] = ("shift", "copy")) -> list[AttentionExample]:
    """Random causal patterns over so many tokens."""
    random = np.random.default_rng(3)
    examples = []
    for head in range(heads):
        for task in tasks:
            raw = np.tril(random.random((count, count)) ** 6)
            tokens = (f"[{task}]", *(chr(97 + place % 26) for place in range(count - 2)), "=")
            examples.append(AttentionExample(task, tokens, head, 7, raw / raw.sum(axis=1, keepdims=True)))
    return examples


def accuracy_table(series: Sequence[str], *, longest: int = 25) -> pd.DataFrame:
    """Curves that fall later and later."""
    lengths = np.arange(1, longest + 1)
    parts = []
    for place, name in enumerate(series):
        value = 1 / (1 + np.exp((lengths - longest * (place + 2) / (len(series) + 2)) / 1.5))
        parts.append(pd.DataFrame({"series": name, "length": lengths, "accuracy": value, "low": (value - 0.06).clip(0),
                                   "high": (value + 0.06).clip(max=1)}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def theory_table(*, precisions: Sequence[str] = ("4bit", "6bit", "bfloat16", "float32")) -> pd.DataFrame:
    """Accuracy that falls at a length that the precision sets."""
    rows = [
        {"length": length, "precision": precision, "temperature": temperature, "beta": 1.0, "noise": noise,
         "accuracy": float(length <= 16 * 4**place) * (1 - 0.4 * noise), "mass": 0.95 - 0.1 * noise}
        for length in (4, 8, 16, 32, 64, 128, 256, 512, 1024)
        for place, precision in enumerate(precisions)
        for temperature in ("none", "log_n")
        for noise in (0.0, 1.0)
    ]  # fmt: skip
    return pd.DataFrame(rows)
