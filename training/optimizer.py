"""How the weights move: learning-rate schedule, AdamW, clipping, and the running average of the weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.config import OptimizerConfig

ONE_CYCLE_START = 1 / 25
"""Where a one-cycle schedule begins, as a share of its peak: what `torch.optim.lr_scheduler.OneCycleLR` begins with."""

_EMBEDDINGS = ("W_E", "W_pos", "W_U")


def learning_rate(step: int, config: OptimizerConfig) -> float:
    """The learning rate of a step, counted from 0 (the schedules: `OptimizerConfig.schedule`).

    The warm-up reaches the peak at step `warmup - 1`; the last step of a falling schedule has `final` times the peak.
    """
    if step < config.warmup:
        if config.schedule == "one_cycle":
            done = step / (config.warmup - 1) if config.warmup > 1 else 1.0
            return config.learning_rate * _cosine(done, start=ONE_CYCLE_START, end=1.0)
        return config.learning_rate * (step + 1) / config.warmup
    falling = {
        "warmup_decay": round(config.decay * config.steps),
        "constant": 0,
    }.get(config.schedule, config.steps - config.warmup)
    into = step + 1 - (config.steps - falling)
    if into <= 0 or not falling:
        return config.learning_rate
    return config.learning_rate * _cosine(into / falling, start=1.0, end=config.final)


def _cosine(share: float, *, start: float, end: float) -> float:
    """Half a cosine from `start` (at share 0) to `end` (at share 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(trained: Mapping[str, nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW or Adam, with weight decay on what `config.decayed` names.

    Args:
        trained: What it moves, by name; matrices are whatever is called `W_...`, and factors of one, `W_....A`.
        config: How.
    """
    named = [(_decays(name, config), parameter) for name, parameter in trained.items()]
    groups = [
        {"params": [p for decays, p in named if decays], "weight_decay": config.weight_decay},
        {"params": [p for decays, p in named if not decays], "weight_decay": 0.0},
    ]
    algorithm = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam}[config.algorithm]
    return algorithm(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.eps, fused=True)


def _decays(path: str, config: OptimizerConfig) -> bool:
    name = next((part for part in path.split(".") if part.startswith("W_")), "")
    matrix = bool(name)
    return {"matrices": matrix, "hidden": matrix and name not in _EMBEDDINGS, "all": True}[config.decayed]


@dataclass(frozen=True)
class AveragedWeights:
    """An exponential moving average of weights (`present`, which training changes in place).

    After step t (from 0) average <- d * average + (1 - d) * weights, with d = min(decay, (1 + t) / (10 + t)), so that
    the first weights are soon forgotten.
    """

    weights: dict[str, Tensor]
    present: tuple[Tensor, ...]
    decay: float

    @classmethod
    def of(cls, present: Mapping[str, Tensor], *, decay: float) -> "AveragedWeights":
        """Starts the average at the present weights, given by name."""
        weights = {name: weight.detach().clone() for name, weight in present.items()}
        return cls(weights, tuple(present.values()), decay)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), self.present, 1 - decay)
