"""How weights are fitted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config.base import Config, Fraction, Momentum, Natural, Positive, PositiveFloat


class OptimizerConfig(Config):
    """How the weights are fitted.

    Attributes:
        steps: Optimiser steps.
        batch_size: Examples per step.
        draw: `example`: task and length are drawn for each example, as the first paper does; `batch`: one task and one
            length are drawn for all examples of a step. Both give every example the same distribution; `batch` has much
            noisier gradients (see docs/results/copy-shift.md for what that does to transfer).
        algorithm: `AdamW`, whose weight decay is decoupled from the gradient, or `Adam`, whose decay is part of it.
        learning_rate: Peak learning rate.
        schedule: `warmup_decay`: linear warm-up, constant, then half a cosine (Extrapolation by Association); `cosine`:
            linear warm-up, then half a cosine to the end; `constant`: linear warm-up, then constant; `one_cycle`: half
            a cosine from 1/25 of the peak up to it over the warm-up, then half a cosine down to the end (Task Hinting).
        warmup: Steps of warm-up.
        decay: Share of the steps, at the end, over which the rate falls; `warmup_decay` only.
        final: The last learning rate, as a share of the peak; not with `constant`.
        weight_decay: Strength of the decay.
        decayed: What decays: `matrices` (all but norms, biases and temperatures), `hidden` (those but the embedding,
            the position table and the unembedding), or `all`.
        eps: Added to the root of the squared gradient's average.
        beta1: Decay of the gradient's average.
        beta2: Decay of its square's.
        clip: Greatest norm of the gradient; longer ones are scaled down to it.
        average: Decay per step of the exponential moving average of the weights; early on min(average, (1+t)/(10+t)).
            Several decays keep several averages side by side; the first is the one that is meant by `averaged`.
        precision: `bfloat16`: matrix products in bfloat16 (autocast), while weights, their averages, the optimiser's
            moments, softmax, norms and the loss stay float32. `bfloat16_weights`: the model itself is in bfloat16; the
            optimiser moves a float32 copy of its weights, with float32 gradients, moments and averages, so small steps
            add up; softmax and loss are float32. `float32`: everything.
        token_budget: About how many tokens are read at once, at most. A batch with more is read in parts whose
            gradients are summed, so it bounds the memory of a step; the gradient is the same to rounding.
        recompute: What is not kept for the gradient but computed a second time: nothing (`none`), or all that is inside
            the `blocks`, of which only what enters each is kept (Chen et al. 2016). It takes less memory and about a
            third more time; the gradient is the same to rounding.
    """

    steps: Positive
    batch_size: Positive = 64
    draw: Literal["example", "batch"] = "example"
    algorithm: Literal["AdamW", "Adam"] = "AdamW"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["warmup_decay", "cosine", "constant", "one_cycle"] = "warmup_decay"
    warmup: Natural = 100
    decay: Fraction = 0.4
    final: Fraction = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    decayed: Literal["matrices", "hidden", "all"] = "matrices"
    eps: PositiveFloat = 1e-12
    beta1: Momentum = 0.9
    beta2: Momentum = 0.98
    clip: PositiveFloat = 1.0
    average: Fraction | Annotated[tuple[Fraction, ...], Field(min_length=1)] = 0.998
    precision: Literal["float32", "bfloat16", "bfloat16_weights"] = "float32"
    token_budget: Positive = 8_192
    recompute: Literal["none", "blocks"] = "none"

    @property
    def averages(self) -> tuple[float, ...]:
        """The decays of all averages that are kept."""
        return self.average if isinstance(self.average, tuple) else (self.average,)

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.averages)) < len(self.averages):
            raise ValueError(f"average names a decay twice: {', '.join(map(str, self.averages))}; each may stand once")
        return self
