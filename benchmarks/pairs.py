"""Clean examples beside their counterfactuals, and a user's metric of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.devices import Device, pair_on
from benchmarks.results import OURS
from benchmarks.shapes import PAIR_LENGTH, TASKS
from tasks import Pair
from training import named_generator


def sample_pair(n: int, *, length: int = PAIR_LENGTH, device: Device = "cpu") -> Pair:
    """Test examples of the main task, each with a counterfactual; the same on every device."""
    task, generator = TASKS[0].task, named_generator(0, "pairs")
    clean = task.sample(n, length=length, generator=generator, stream="test")
    return pair_on(task.counterfactual(clean, generator=generator), device)


def logit_differences(logits: Tensor, pair: Pair) -> Tensor:
    """From logits [batch, pos, vocab], each example's clean minus counterfactual logit: the mean where they differ."""
    tokens = torch.stack((pair.clean.tokens, pair.counterfactual.tokens), dim=-1)[:, 1:]
    clean, counterfactual = logits.gather(-1, tokens).unbind(-1)
    differs = pair.differs[:, 1:]
    return ((clean - counterfactual) * differs).sum(dim=1) / differs.sum(dim=1)


def check_close(found: Mapping[str, Tensor], *, tolerance: float) -> None:
    """Raises RuntimeError unless all contenders found what ours found, to this share of the greatest, or of 1."""
    ours = found[OURS].cpu()
    for name, values in found.items():
        difference, scale = (values.cpu() - ours).abs().max().item(), ours.abs().max().item()
        if difference > tolerance * max(1.0, scale):
            raise RuntimeError(f"what {name} found and what ours found differ by {difference:.1e}")
