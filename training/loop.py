"""The state of training in memory, and one step of it."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import TrainConfig
from training.mixture import Bucket, draw_buckets
from training.model import HookedTransformer
from training.optimizer import AveragedWeights, learning_rate, make_optimizer
from training.randomness import named_generator
from training.run_config import mixture_of
from training.runs import fresh_model, load_weights

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Training:
    """A model in training: its weights, their running average, the optimiser, and the steps done.

    Attributes:
        config: What is trained.
        mixture: The tasks, bound to the vocabulary.
        model: The model.
        averaged: The running average of its weights.
        done: Steps done.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.mixture = mixture_of(config)
        self.model = fresh_model(config)
        self.optimizer = make_optimizer(self.model, config.train)
        self.averaged = AveragedWeights.of(self.model, decay=config.train.average)
        self.done = 0

    def step(self, step: int) -> tuple[Tensor, Tensor]:
        """One optimiser step.

        Args:
            step: Its number, on which its examples and its learning rate depend.

        Returns:
            For each task the summed loss (nats) and the number of scored tokens [task, 2]; and the gradient's norm
            before clipping.
        """
        optimizer = self.config.train
        generator = named_generator(self.config.seed, "train", step)
        buckets = draw_buckets(
            self.mixture,
            n=optimizer.batch_size,
            buckets=optimizer.buckets,
            generator=generator,
            draw=optimizer.draw,
        )
        scored = sum(int(bucket.batch.scored.sum()) for bucket in buckets)
        losses = torch.zeros(len(self.mixture), 2)
        for bucket in buckets:
            nll, task = token_losses(self.model, bucket)
            (nll.sum() / scored).backward()
            losses.index_add_(0, task, torch.stack((nll.detach(), torch.ones_like(nll)), dim=1))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), optimizer.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.averaged.update(step)
        self.done = step + 1
        return losses, norm

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights."""
        return {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Puts weights into the model."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs to go on from here, bit for bit."""
        moments = {
            f"{moment}.{name}": self.optimizer.state[parameter][moment]
            for name, parameter in self.model.named_parameters()
            for moment in _MOMENTS
        }
        averaged = {f"averaged.{name}": weight for name, weight in self.averaged.weights.items()}
        weights = {f"raw.{name}": weight for name, weight in self.weights().items()}
        return {"step": torch.tensor(self.done), **weights, **averaged, **moments}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], path: Path) -> None:
        """Goes back to a state that was read from a file.

        Raises:
            KeyError: The state lacks a tensor.
            BrokenRunError: The weights are not those of this model.
        """
        self.done = int(state["step"])
        load_weights(self.model, _under("raw.", state), path)
        for name, weight in _under("averaged.", state).items():
            self.averaged.weights[name].copy_(weight)
        for name, parameter in self.model.named_parameters():
            moments = {moment: state[f"{moment}.{name}"] for moment in _MOMENTS}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(self.done)), **moments}


def token_losses(model: HookedTransformer, bucket: Bucket) -> tuple[Tensor, Tensor]:
    """The negative log likelihood of every scored token [scored], and its task [scored]."""
    batch = bucket.batch
    hidden = model.scored_residual(batch.inputs, batch.predicting)
    task = bucket.task.repeat_interleave(batch.scored.sum(dim=1))
    if model.config.task_heads == 1:
        return F.cross_entropy(model.logits(hidden), batch.targets, reduction="none"), task
    order = task.argsort(stable=True)
    targets, counts = batch.targets[order], task.bincount(minlength=model.config.task_heads).tolist()
    parts = [
        F.cross_entropy(model.logits(part, task=place), wanted, reduction="none")
        for place, (part, wanted) in enumerate(zip(hidden[order].split(counts), targets.split(counts), strict=True))
    ]
    return torch.cat(parts), task[order]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
