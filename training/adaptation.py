"""What the optimiser moves, and how the model's weights follow: themselves, exact copies, or low-rank factors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from training.config import StartConfig, TrainConfig
from training.model import HookedTransformer
from training.model.layout import from_linear, to_linear
from training.randomness import named_generator

ATTENTION = ("W_Q", "W_K", "W_V", "W_O")
"""The maps of attention, by the last part of their weights' names."""

MLP = ("W_gate", "W_in", "W_out")
"""The maps of the MLP; a plain one has no gate."""


@dataclass(frozen=True, eq=False)
class Whole:
    """The model's own weights are trained.

    Attributes:
        trained: What the optimiser moves, by name.
    """

    trained: Mapping[str, nn.Parameter]

    @property
    def exact(self) -> Mapping[str, Tensor]:
        """The weights of the model that change, by name, before any rounding to the model's type: they themselves."""
        return self.trained

    def follow(self) -> None:
        """Nothing has to follow."""


@dataclass(frozen=True, eq=False)
class Copied:
    """Exact copies of the model's weights are trained, and the model has them rounded to its own type.

    A step that is smaller than half the distance to the next number of that type would be lost if it were taken there;
    in the copy such steps add up. Gradients are summed in the copy's type, too, and the model's are freed at once.

    Attributes:
        trained: What the optimiser moves, by name.
        model: The model.
    """

    trained: Mapping[str, nn.Parameter]
    model: HookedTransformer

    @classmethod
    def of(cls, model: HookedTransformer, dtype: torch.dtype) -> "Copied":
        """Copies the weights of a model, then rounds them there.

        Args:
            model: The model; it is changed in place.
            dtype: Its type from now on.
        """
        named = dict(model.named_parameters())
        trained = {name: nn.Parameter(weight.detach().clone()) for name, weight in named.items()}
        model.to(dtype)
        for name, weight in named.items():
            weight.register_post_accumulate_grad_hook(
                lambda weight, copy=trained[name]: _add(copy, _taken(weight, copy))
            )
        return cls(trained, model)

    @property
    def exact(self) -> Mapping[str, Tensor]:
        """The weights of the model that change, by name, before they are rounded to the model's type: the copies."""
        return self.trained

    @torch.no_grad()
    def follow(self) -> None:
        """Rounds the copies into the model."""
        for name, weight in self.model.named_parameters():
            weight.copy_(self.trained[name])


@dataclass(frozen=True, eq=False)
class LowRank:
    """A change W + scale * A B to the matrix of one map, for rows times matrix: x W + scale * (x A) B.

    The heads of a map are one matrix, as in a linear layer: W_Q is [d_model, head * d_head], W_O the other way round.

    Attributes:
        leaf: The last part of the weight's name, such as `W_Q`.
        base: The weight without the change, in our axes.
        A: Drawn at random.
        B: Zero at first, so that nothing changes at first.
        scale: alpha / rank.
        d_head: Width of a head.
    """

    leaf: str
    base: Float[Tensor, "..."]
    A: Float[nn.Parameter, "input rank"]
    B: Float[nn.Parameter, "rank output"]
    scale: float
    d_head: int

    @torch.no_grad()
    def merged(self) -> Float[Tensor, "..."]:
        """The changed weight; every place that needs it has it from here, so it is the same to the bit everywhere."""
        change = from_linear(self.leaf, (self.A @ self.B).T, d_head=self.d_head)
        return self.base + self.scale * change

    @torch.no_grad()
    def take(self, gradient: Float[Tensor, "..."]) -> None:
        """Turns the gradient G of the merged weight into those of the factors: scale * G B^T and scale * A^T G."""
        whole = to_linear(self.leaf, gradient).T
        _add(self.A, self.scale * (whole @ self.B.T))
        _add(self.B, self.scale * (self.A.T @ whole))


@dataclass(frozen=True, eq=False)
class Factors:
    """Low-rank factors of some maps are trained (Hu et al. 2021, "LoRA").

    The model's weights are the merged ones at every step, so whatever reads the model reads the finetuned one, on the
    same paths as any other. The gradient of a merged weight is made into those of its factors as soon as it is there.

    Attributes:
        maps: The change of each adapted map, by its weight's name.
        trained: What the optimiser moves, by name: that of the weight, with `.A` or `.B` behind it.
        exact: The merged weights, by name, before they are rounded to the model's type.
        model: The model.
    """

    maps: Mapping[str, LowRank]
    trained: Mapping[str, nn.Parameter]
    exact: Mapping[str, Tensor]
    model: HookedTransformer

    @classmethod
    def of(cls, model: HookedTransformer, start: StartConfig, *, seed: int, dtype: torch.dtype) -> "Factors":
        """Puts factors on a model's maps, and lets nothing else be trained.

        A is uniform within 1 / sqrt(input width), B zero, as in `peft`.

        Args:
            model: The model; it is changed in place.
            start: Which maps, their rank and strength.
            seed: Draws A of each map from a stream of its own.
            dtype: The model's type from now on.
        """
        named, maps = dict(model.named_parameters()), {}
        for name, weight in named.items():
            weight.requires_grad_(False)
            leaf = name.rpartition(".")[2]
            if leaf in (ATTENTION if start.adapted == "attention" else ATTENTION + MLP):
                maps[name] = _low_rank(name, weight.detach(), start, seed, model.config.d_head)
        exact = {name: one.base.clone() for name, one in maps.items()} if dtype != model.dtype else {}
        model.to(dtype)
        for name, one in maps.items():
            weight = named[name].requires_grad_(True)
            weight.register_post_accumulate_grad_hook(lambda weight, one=one: one.take(_taken(weight, one.A)))
            exact.setdefault(name, weight)
        trained = {f"{name}.{part}": getattr(one, part) for name, one in maps.items() for part in ("A", "B")}
        return cls(maps, trained, exact, model)

    @torch.no_grad()
    def follow(self) -> None:
        """Merges the factors into the model."""
        for name, one in self.maps.items():
            self.exact[name].copy_(one.merged())
            self.model.get_parameter(name).copy_(self.exact[name])


Adaptation = Whole | Copied | Factors
"""What the optimiser moves (`trained`), and how the model's weights `follow`."""


def adapt(model: HookedTransformer, config: TrainConfig) -> Adaptation:
    """Sets a model up for training as a configuration says, in place."""
    dtype = torch.bfloat16 if config.train.precision == "bfloat16_weights" else model.dtype
    if config.start is not None and config.start.adaptation == "lora":
        return Factors.of(model, config.start, seed=config.seed, dtype=dtype)
    return Whole(dict(model.named_parameters())) if dtype == model.dtype else Copied.of(model, dtype)


def _low_rank(name: str, weight: Tensor, start: StartConfig, seed: int, d_head: int) -> LowRank:
    leaf = name.rpartition(".")[2]
    width, height = to_linear(leaf, weight).T.shape
    generator, bound = named_generator(seed, "adaptation", name), width**-0.5
    A = torch.empty(width, start.rank).uniform_(-bound, bound, generator=generator).to(weight)
    B = torch.zeros(start.rank, height).to(weight)
    return LowRank(leaf, weight.clone(), nn.Parameter(A), nn.Parameter(B), start.alpha / start.rank, d_head)


def _taken(weight: Tensor, like: Tensor) -> Tensor:
    """A weight's gradient in another's type, taken away from the weight."""
    gradient, weight.grad = weight.grad, None
    if gradient is None:
        raise AssertionError("a hook on accumulated gradients is called when there is one")
    return gradient.to(like.dtype)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    """Adds to a parameter's gradient; the parts of a batch are summed there."""
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
