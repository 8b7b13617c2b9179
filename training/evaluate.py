"""Exact-match accuracy by length, in one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from tasks import Batch, InvalidValueError, Task
from training.model import HookedTransformer

TOKEN_BUDGET = 16_384
"""Tokens read at a time; larger blocks leave the processor's cache and are slower."""


@dataclass(frozen=True)
class Scores:
    """One number per example.

    Attributes:
        correct: True where every scored token is the most probable one.
        token_accuracy: Share of the scored tokens that are.
        nll: Mean negative log likelihood in nats per scored token.
    """

    correct: Bool[Tensor, " batch"]
    token_accuracy: Float[Tensor, " batch"]
    nll: Float[Tensor, " batch"]


def score_logits(logits: Float[Tensor, "scored vocab"], batch: Batch) -> Scores:
    """Scores each example from the logits at its predicting positions, in the order of `batch.targets`.

    Greedy decoding writes the whole target if and only if the teacher-forced argmax equals the target at every scored
    position: up to the first difference both have read the same tokens. So exact match needs one pass.
    """
    row = batch.scored.nonzero()[:, 0]
    counts = batch.scored.sum(dim=1)
    zeros = torch.zeros(len(batch), device=logits.device)
    hits = zeros.index_add(0, row, (logits.argmax(dim=-1) == batch.targets).to(zeros.dtype))
    nll = zeros.index_add(0, row, F.cross_entropy(logits.float(), batch.targets, reduction="none"))
    return Scores(hits == counts, hits / counts, nll / counts)


@torch.inference_mode()
def score(model: HookedTransformer, batch: Batch, *, task_head: int = 0) -> Scores:
    """Scores a batch, a token budget at a time."""
    rows = max(1, TOKEN_BUDGET // batch.tokens.shape[1])
    parts = []
    for first in range(0, len(batch), rows):
        part = batch[first : first + rows]
        logits = model.scored_logits(part.inputs, part.predicting, task=task_head)
        parts.append(score_logits(logits, part))
    return join_scores(parts)


def join_scores(parts: Sequence[Scores]) -> Scores:
    """The scores of several batches, one after the other."""
    return Scores(*(torch.cat(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True)))


def evaluate(
    model: HookedTransformer,
    task: Task,
    *,
    lengths: Sequence[int],
    n: int = 1024,
    generator: Generator,
    task_head: int = 0,
) -> pd.DataFrame:
    """Accuracy of greedy decoding by length, on prompts of the test stream.

    Args:
        model: Any model whose vocabulary holds the task's tokens.
        task: The task; it is bound to the model's vocabulary.
        lengths: The lengths to measure.
        n: Examples for each length.
        generator: The source of the examples; drawn length by length, in the order given.
        task_head: Which unembedding to use, if the model has one for each task.

    Returns:
        A row per length: task, length, n, accuracy (exact match, in [0, 1]), stderr (its standard error,
        sqrt(a (1 - a) / n)), token_accuracy (in [0, 1]), nll (nats per scored token, averaged within examples first).

    Raises:
        InvalidValueError: A length that the task cannot make, n below 1, a vocabulary without the task's tokens.
    """
    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be scored; allowed is 1 or more")
    bound = task.bind(model.vocabulary)
    for length in lengths:
        bound.check_length(length)
    rows = []
    for length in lengths:
        batch = bound.sample(n, length=length, generator=generator, stream="test").to(model.device)
        rows.append({"task": task.name, "length": length, "n": n, **_summary(score(model, batch, task_head=task_head))})
    columns = ["task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll"]
    return pd.DataFrame(rows, columns=columns)


def _summary(scores: Scores) -> dict[str, float]:
    accuracy = scores.correct.double().mean().item()
    return {
        "accuracy": accuracy,
        "stderr": (accuracy * (1 - accuracy) / len(scores.correct)) ** 0.5,
        "token_accuracy": scores.token_accuracy.double().mean().item(),
        "nll": scores.nll.double().mean().item(),
    }
