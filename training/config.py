"""Configurations: frozen, checked when made, and refused when they name a key that does not exist."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks import InvalidValueError, Member, UnknownNameError, Vocabulary, get_task
from tasks.errors import unknown_name
from tasks.lengths import LengthDistribution
from tasks.targets import Targets

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Config(BaseModel):
    """A frozen configuration without room for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Makes the configuration from plain values.

        Raises:
            UnknownNameError: A key that does not exist.
            InvalidValueError: A value that is not allowed, or a key that is missing.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _one_line(cls, error) from None


def _one_line(config: type[Config], error: ValidationError) -> InvalidValueError | UnknownNameError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *path, key = first["loc"]
        keys = list(_owner(config, path).model_fields)
        where = f" of {place.rpartition('.')[0]!r}" if path else ""
        return unknown_name("config key", str(key), keys, listing=f"the keys{where} are {', '.join(keys)}")
    text = first["msg"].removeprefix("Value error, ")
    if not place:
        return InvalidValueError(text)
    if first["type"] == "missing":
        return InvalidValueError(f"config key {place!r} is missing; it must be given")
    return InvalidValueError(f"config key {place!r} = {first['input']!r}: {text[0].lower()}{text[1:]}")


def _owner(config: type[Config], path: Sequence[int | str]) -> type[Config]:
    """The configuration class that holds the keys at a path; a number stands for a place in a tuple of them."""
    for part in path:
        if isinstance(part, str):
            kind = config.model_fields[part].annotation
            config = next(one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, Config))
    return config


class ModelConfig(Config):
    """The shape of a `HookedTransformer`. Defaults are the first paper's family, at the size asked for.

    Attributes:
        n_layers: Blocks.
        n_heads: Query heads per block.
        d_model: Width of the residual stream.
        d_vocab: Tokens of the vocabulary.
        d_head: Width of a head; `d_model / n_heads` unless given.
        d_mlp: Hidden width of the MLP; `4 * d_model` unless given.
        n_key_value_heads: Key and value heads (grouped-query attention if fewer than `n_heads`, the default).
        positions: `rotary` and `none` run at any length; `learned` has a table of `n_ctx` positions.
        rotary_base: Base of the rotary frequencies (theta).
        n_ctx: Positions of the learned table; only `learned` positions have one.
        norm: Layer norm or root-mean-square norm, before each sub-layer and at the end.
        norm_eps: Added to the variance (or mean square) before the root.
        mlp: `gated`: act(x W_gate) * (x W_in) before W_out; `plain`: act(x W_in).
        activation: The MLP's nonlinearity; `silu` with `gated` is SwiGLU.
        biases: Which maps have biases: none, the query, key and value maps, or all.
        unembedding: `separate`, or `tied` to the embedding (W_U = W_E transposed).
        temperature: `log_n` multiplies a query's attention logits by beta_layer * ln(n), n = how many tokens it attends
            to (Task Hinting, section 5).
        task_heads: 1: one unembedding for every task; more: one for each task (hard parameter sharing).
        initializer_range: Standard deviation of the initial weights.

    Raises:
        InvalidValueError: Through `read`: a configuration that contradicts itself.
    """

    n_layers: Positive
    n_heads: Positive
    d_model: Positive
    d_vocab: Positive
    d_head: Positive
    d_mlp: Positive
    n_key_value_heads: Positive
    positions: Literal["rotary", "none", "learned"] = "rotary"
    rotary_base: PositiveFloat = 1e5
    n_ctx: Natural = 0
    norm: Literal["LN", "RMS"] = "RMS"
    norm_eps: PositiveFloat = 1e-5
    mlp: Literal["plain", "gated"] = "gated"
    activation: Literal["relu", "gelu", "silu"] = "silu"
    biases: Literal["none", "qkv", "all"] = "none"
    unembedding: Literal["separate", "tied"] = "separate"
    temperature: Literal["none", "log_n"] = "none"
    task_heads: Positive = 1
    initializer_range: PositiveFloat = 0.02

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not all(isinstance(values.get(k), int) for k in ("d_model", "n_heads")):
            return values
        filled = dict(values)
        if "d_head" not in filled:
            if filled["n_heads"] < 1 or filled["d_model"] % filled["n_heads"]:
                raise ValueError(
                    f"d_model {filled['d_model']} is not divisible by n_heads {filled['n_heads']}; "
                    "choose a multiple, or give d_head"
                )
            filled["d_head"] = filled["d_model"] // filled["n_heads"]
        filled.setdefault("d_mlp", 4 * filled["d_model"])
        filled.setdefault("n_key_value_heads", filled["n_heads"])
        return filled

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.n_heads % self.n_key_value_heads:
            raise ValueError(
                f"n_heads {self.n_heads} is not divisible by n_key_value_heads {self.n_key_value_heads}; "
                "every key-value head serves the same number of query heads"
            )
        if self.positions == "rotary" and self.d_head % 2:
            raise ValueError(f"rotary positions need an even d_head, got {self.d_head}; change d_head or positions")
        if (self.positions == "learned") != (self.n_ctx > 0):
            raise ValueError(
                f"n_ctx {self.n_ctx} with positions {self.positions!r}: "
                "learned positions need n_ctx >= 1, others n_ctx = 0"
            )
        if self.unembedding == "tied" and self.task_heads > 1:
            raise ValueError(
                "a tied unembedding is one for all tasks; set task_heads to 1 or unembedding to 'separate'"
            )
        return self


class MemberConfig(Config):
    """A task of the training mixture.

    Attributes:
        task: The task's name.
        parameters: The task's own parameters.
        max_length: The greatest training length.
        lengths: How training lengths are distributed up to there (`tasks.lengths`).
        targets: Which answers training examples have: their own, or, `shuffled`, those of other prompts
            (`tasks.targets`). What is measured is measured with true ones.
    """

    task: str
    parameters: dict[str, int | float | str] = {}
    max_length: Positive
    lengths: LengthDistribution = "uniform"
    targets: Targets = "true"

    @classmethod
    def of(cls, member: Member) -> Self:
        """The configuration that `member` makes again."""
        task = member.task
        return cls.read(
            {
                "task": task.source,
                "parameters": task.parameters,
                "max_length": member.max_length,
                "lengths": member.lengths,
                "targets": member.targets,
            }
        )

    def member(self, vocabulary: Vocabulary) -> Member:
        """The task, bound to a vocabulary, with its lengths.

        Raises:
            UnknownNameError: No task has that name.
            InvalidValueError: The task refuses a parameter or the length, or the vocabulary lacks one of its tokens.
        """
        task = get_task(self.task, **self.parameters).bind(vocabulary)
        return Member(task, self.max_length, self.lengths, self.targets)


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
            moments, softmax, norms and the loss stay float32. `float32`: everything.
        token_budget: About how many tokens are read at once, at most. A batch with more is read in parts whose
            gradients are summed, so it bounds the memory of a step; the gradient is the same to rounding.
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
    precision: Literal["float32", "bfloat16"] = "float32"
    token_budget: Positive = 8_192

    @property
    def averages(self) -> tuple[float, ...]:
        """The decays of all averages that are kept."""
        return self.average if isinstance(self.average, tuple) else (self.average,)

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.averages)) < len(self.averages):
            raise ValueError(f"average names a decay twice: {', '.join(map(str, self.averages))}; each may stand once")
        return self


class MeasureConfig(Config):
    """What is kept and measured while training.

    Attributes:
        checkpoints: How many checkpoints are kept, the last at the end; or the steps themselves, and the end.
        spacing: Whether so many checkpoints are equally spaced (`even`), or their steps grow by equal factors (`log`;
            early ones that fall on one step are one); `every`: the number is the distance between two, in steps.
        storage: Number format of the weights in checkpoints. `bfloat16` takes half the space and rounds them to three
            significant digits; what is measured is measured with the rounded weights. Training itself is not touched.
        lengths: Lengths at which accuracy is measured at each checkpoint, for every task of the mixture.
        n: Test examples per task and length at a checkpoint.
    """

    checkpoints: Positive | tuple[Positive, ...] = 20
    spacing: Literal["even", "log", "every"] = "even"
    storage: Literal["float32", "bfloat16"] = "float32"
    lengths: tuple[Positive, ...] = ()
    n: Positive = 128


class TrainConfig(Config):
    """Everything that determines a training run; two runs with equal configurations are equal.

    Attributes:
        mixture: The tasks; each example's task is drawn uniformly.
        vocabulary: Every token of the model, at least those that the tasks need.
        model: The model's shape.
        train: How the weights are fitted.
        measure: What is kept and measured on the way.
        seed: Seeds the initial weights, the training stream and the test stream, each separately.
        data_seed: Seeds the training stream, where it is not `seed`: runs with one data seed and several seeds differ
            in their initial weights only, as those of Extrapolation by Association do.
    """

    mixture: tuple[MemberConfig, ...] = Field(min_length=1)
    vocabulary: tuple[str, ...]
    model: ModelConfig
    train: OptimizerConfig
    measure: MeasureConfig = MeasureConfig()
    seed: Natural = 0
    data_seed: Natural | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model.d_vocab != len(self.vocabulary):
            raise ValueError(
                f"d_vocab {self.model.d_vocab} differs from the vocabulary's {len(self.vocabulary)} tokens"
            )
        chosen = self.measure.checkpoints
        if isinstance(chosen, tuple) and max(chosen, default=0) > self.train.steps:
            raise ValueError(f"checkpoint {max(chosen)} lies beyond the last step, {self.train.steps}")
        if self.model.task_heads not in (1, len(self.mixture)):
            raise ValueError(
                f"task_heads {self.model.task_heads} with {len(self.mixture)} tasks; "
                "allowed are 1 and the number of tasks"
            )
        names = [member.task for member in self.mixture]
        if len(set(names)) < len(names):
            raise ValueError(f"the mixture names a task twice: {', '.join(names)}; each may stand once")
        return self
