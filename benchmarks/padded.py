"""The training loop that users write around any model: one padded batch, every logit. Needs nothing but torch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IGNORED = -100
"""The target at positions whose prediction does not count."""

Step = Callable[[Tensor, Tensor, float], Tensor]
"""Inputs [batch, pos], targets [batch, pos], learning rate -> the loss before the step, in nats per scored token."""


def padded_steps(
    model: nn.Module, *, weight_decay: float, betas: tuple[float, float], clip: float, precision: str = "float32"
) -> Step:
    """Training steps of a model: cross-entropy with ignored positions, clip, AdamW; `bfloat16` by autocast."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=betas, eps=1e-12, fused=True)

    def step(inputs: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        return loss.detach()

    return step
