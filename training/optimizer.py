"""How the weights move: learning-rate schedule, AdamW, clipping, and the running average of the weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.config import OptimizerConfig


def learning_rate(step: int, config: OptimizerConfig) -> float:
    """The learning rate of a step, counted from 0: linear warm-up, constant, then half a cosine.

    The warm-up reaches the peak at step `warmup - 1`; the last `decay * steps` steps fall to `final` times the peak.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    falling = round(config.decay * config.steps)
    into = step + 1 - (config.steps - falling)
    if into <= 0 or not falling:
        return config.learning_rate
    share = config.final + (1 - config.final) * (1 + math.cos(math.pi * into / falling)) / 2
    return config.learning_rate * share


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW whose weight decay spares norms, biases and temperatures: whatever is not called `W_...`."""
    named = [(name.rpartition(".")[2].startswith("W_"), parameter) for name, parameter in model.named_parameters()]
    groups = [
        {"params": [p for matrix, p in named if matrix], "weight_decay": config.weight_decay},
        {"params": [p for matrix, p in named if not matrix], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=1e-12, fused=True)


@dataclass(frozen=True)
class AveragedWeights:
    """An exponential moving average of a model's weights (`present`, which the optimiser changes in place).

    After step t (from 0) average <- d * average + (1 - d) * weights, with d = min(decay, (1 + t) / (10 + t)), so that
    the first weights are soon forgotten.
    """

    weights: dict[str, Tensor]
    present: tuple[Tensor, ...]
    decay: float

    @classmethod
    def of(cls, model: nn.Module, *, decay: float) -> "AveragedWeights":
        """Starts the average at the model's present weights."""
        present = dict(model.named_parameters())
        weights = {name: weight.detach().clone() for name, weight in present.items()}
        return cls(weights, tuple(present.values()), decay)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the model's weights after a step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), self.present, 1 - decay)
