"""Clean examples beside their counterfactuals, and a user's metric of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.results import OURS
from benchmarks.shapes import PAIR_LENGTH, TASKS
from tasks import Pair
from training import named_generator


def sample_pair(n: int) -> Pair:
    """Test examples of the main task, each with a counterfactual."""
    task, generator = TASKS[0].task, named_generator(0, "pairs")
    return task.counterfactual(
        task.sample(n, length=PAIR_LENGTH, generator=generator, stream="test"), generator=generator
    )


def logit_differences(logits: Tensor, pair: Pair) -> Tensor:
    """From logits [batch, pos, vocab], each example's clean minus counterfactual logit: the mean where they differ."""
    tokens = torch.stack((pair.clean.tokens, pair.counterfactual.tokens), dim=-1)[:, 1:]
    clean, counterfactual = logits.gather(-1, tokens).unbind(-1)
    differs = pair.differs[:, 1:]
    return ((clean - counterfactual) * differs).sum(dim=1) / differs.sum(dim=1)


def check_close(found: Mapping[str, Tensor], *, tolerance: float) -> None:
    """Raises RuntimeError unless all contenders found what ours found, to this share of the greatest, or of 1."""
    ours = found[OURS]
    for name, values in found.items():
        difference, scale = (values - ours).abs().max().item(), ours.abs().max().item()
        if difference > tolerance * max(1.0, scale):
            raise RuntimeError(f"what {name} found and what ours found differ by {difference:.1e}")
