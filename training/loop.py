"""The state of training in memory, and one step of it."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks import BrokenRunError
from training.adaptation import adapt
from training.config import TrainConfig
from training.feed import Part, StepExamples, read_at
from training.files import AGAIN
from training.model import HookedTransformer
from training.optimizer import AveragedWeights, learning_rate, make_optimizer
from training.run_config import mixture_of
from training.runs import fresh_model, weight_kinds

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Training:
    """A model in training: its weights, their running averages, the optimiser, and the steps done.

    Attributes:
        config: What is trained.
        mixture: The tasks, bound to the vocabulary.
        model: The model.
        adaptation: What of it the optimiser moves.
        averages: The running averages of the weights that change, merged ones where factors are trained, by name
            (`weight_kinds`).
        done: Steps done.
        examples: Of the last step, how many examples of each task it had [task].
        tokens: Of the last step, how many tokens the model read.
    """

    def __init__(self, config: TrainConfig, *, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.mixture = mixture_of(config)
        self.model = fresh_model(config).to(device)
        self.model.recompute = config.train.recompute
        self.adaptation = adapt(self.model, config)
        if self.model.device.type == "cuda":
            self.model.compile_packed()
        self.optimizer = make_optimizer(self.adaptation.trained, config.train)
        names = weight_kinds(config.train)[1:]
        self.averages = {
            name: AveragedWeights.of(self.adaptation.exact, decay=decay)
            for name, decay in zip(names, config.train.averages, strict=True)
        }
        self.done = 0
        self.examples = torch.zeros(len(self.mixture), dtype=torch.int64)
        self.tokens = 0

    def step(self, step: int, read: StepExamples | None = None) -> tuple[Tensor, Tensor]:
        """One optimiser step.

        Args:
            step: Its number, on which its examples and its learning rate depend.
            read: Its examples, if they were drawn before (`feed`).

        Returns:
            For each task the summed loss (nats) and the number of scored tokens [task, 2]; and the gradient's norm
            before clipping.
        """
        settings = self.config.train
        read = read or read_at(self.config, self.mixture, step)
        self.examples, self.tokens = read.examples, read.tokens
        losses = torch.zeros(len(self.mixture), 2, device=self.model.device)
        for part in read.parts:
            part = part.to(self.model.device)
            with torch.autocast(self.model.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                nll, task = token_losses(self.model, part)
            (nll.sum() / read.scored).backward()
            found = torch.stack((nll.detach(), torch.ones_like(nll)), dim=1)
            losses += torch.zeros_like(losses).index_add_(0, task, found)
        norm = torch.nn.utils.clip_grad_norm_(self.adaptation.trained.values(), settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.adaptation.follow()
        for average in self.averages.values():
            average.update(step)
        self.done = step + 1
        return losses.to("cpu"), norm

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """All kinds of weights (`weight_kinds`), complete, in float32 at least.

        `raw` is a copy, the averages are those that go on changing. Weights that are not trained are the same in all.
        """
        exact = self.adaptation.exact
        raw = {name: _copy(exact.get(name, weight)) for name, weight in self.model.named_parameters()}
        return {"raw": raw, **{kind: {**raw, **average.weights} for kind, average in self.averages.items()}}

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Puts weights into the model."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs to go on from here, bit for bit."""
        trained = self.adaptation.trained
        moments = {
            f"{moment}.{name}": self.optimizer.state[parameter][moment]
            for name, parameter in trained.items()
            for moment in _MOMENTS
        }
        weights = {f"raw.{name}": parameter for name, parameter in trained.items()}
        for kind, average in self.averages.items():
            weights |= {f"{kind}.{name}": weight for name, weight in average.weights.items()}
        return {"step": torch.tensor(self.done), **weights, **moments}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], path: Path) -> None:
        """Goes back to a state that was read from a file.

        Raises:
            KeyError: The state lacks a tensor.
            BrokenRunError: The weights are not those of this model.
        """
        self.done = int(state["step"])
        _fill(self.adaptation.trained, _under("raw.", state), path)
        for kind, average in self.averages.items():
            _fill(average.weights, _under(f"{kind}.", state), path)
        self.adaptation.follow()
        for name, parameter in self.adaptation.trained.items():
            moments = {moment: state[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS}
            steps = torch.tensor(float(self.done), device=parameter.device)  # where the fused optimiser wants it
            self.optimizer.state[parameter] = {"step": steps, **moments}


def token_losses(model: HookedTransformer, part: Part) -> tuple[Tensor, Tensor]:
    """The negative log likelihood of every scored token [scored], and its task [scored]."""
    hidden, task = model.packed_residual(part.packed), part.task
    if model.config.task_heads == 1:
        return F.cross_entropy(_exact(model.logits(hidden)), part.targets, reduction="none"), task
    order = task.argsort(stable=True)
    targets, counts = part.targets[order], task.bincount(minlength=model.config.task_heads).tolist()
    parts = [
        F.cross_entropy(_exact(model.logits(rows, task=place)), wanted, reduction="none")
        for place, (rows, wanted) in enumerate(zip(hidden[order].split(counts), targets.split(counts), strict=True))
    ]
    return torch.cat(parts), task[order]


def _exact(values: Tensor) -> Tensor:
    """The same values in float32, or a wider type if they have one."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)


def _fill(into: Mapping[str, Tensor], values: Mapping[str, Tensor], path: Path) -> None:
    """Copies values of the same names, which must have the same shapes."""
    for name, tensor in into.items():
        if values[name].shape != tensor.shape:
            detail = f"{name} has shape {tuple(values[name].shape)}, not {tuple(tensor.shape)}"
            raise BrokenRunError(f"{str(path)!r} does not fit its configuration ({detail}); {AGAIN}")
        tensor.copy_(values[name])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
