"""The shape of a model."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from training.config.base import Config, Natural, Positive, PositiveFloat


class RotaryScaling(Config):
    """How rotary frequencies, base^(-2i / d_head), are changed for positions beyond those of a first training.

    Fields that a kind does not read keep their defaults.

    Attributes:
        kind: `none`; `linear`: all divided by the factor (Chen et al. 2023); `llama3`: those that turn less than `low`
            times within the original length divided, those that turn more than `high` times kept, between them a
            mixture (Llama 3.1); `yarn`: the mixture falls linearly over the frequencies' numbers, from the one that
            turns `fast` times to the one that turns `slow` times, and cosines and sines are multiplied by `attention`
            (Peng et al. 2024, section 3).
        factor: How many times longer the positions became.
        original: The length before, in tokens; `llama3` and `yarn`.
        low: Turns below which a frequency is divided by the factor; `llama3`.
        high: Turns above which a frequency is kept; `llama3`.
        fast: Turns at which a frequency is kept; `yarn`.
        slow: Turns at which a frequency is divided by the factor; `yarn`.
        ramp: Whether the ends of `yarn`'s mixture are rounded outwards to whole frequencies.
        attention: Length of a turn; `yarn`.

    Raises:
        InvalidValueError: Through `read`: a kind without its lengths, or limits in the wrong order.
    """

    kind: Literal["none", "linear", "llama3", "yarn"] = "none"
    factor: PositiveFloat = 1.0
    original: Natural = 0
    low: PositiveFloat = 1.0
    high: PositiveFloat = 4.0
    fast: PositiveFloat = 32.0
    slow: PositiveFloat = 1.0
    ramp: Literal["rounded", "exact"] = "rounded"
    attention: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.kind in ("llama3", "yarn") and self.original < 1:
            raise ValueError(f"rotary scaling {self.kind!r} needs original, the length before scaling, >= 1; give it")
        if self.kind == "llama3" and self.low >= self.high:
            raise ValueError(f"rotary scaling 'llama3' needs low < high, got {self.low:g} and {self.high:g}")
        return self

    def __hash__(
        self,
    ) -> int:  # as pydantic's own for frozen classes, but type checkers know it: tables are cached by it
        return hash(tuple(self.__dict__.values()))


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
        rotary_scaling: How the frequencies are changed for longer positions, as some pretrained models have it.
        n_ctx: Positions of the learned table; only `learned` positions have one.
        norm: Layer norm or root-mean-square norm, before each sub-layer and at the end.
        norm_eps: Added to the variance (or mean square) before the root.
        mlp: `gated`: act(x W_gate) * (x W_in) before W_out; `plain`: act(x W_in).
        activation: The MLP's nonlinearity; `silu` with `gated` is SwiGLU.
        biases: Which maps have biases: none, the query, key and value maps, those and the attention's output map, or
            all.
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
    rotary_scaling: RotaryScaling = RotaryScaling()
    n_ctx: Natural = 0
    norm: Literal["LN", "RMS"] = "RMS"
    norm_eps: PositiveFloat = 1e-5
    mlp: Literal["plain", "gated"] = "gated"
    activation: Literal["relu", "gelu", "silu"] = "silu"
    biases: Literal["none", "qkv", "attention", "all"] = "none"
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
        if self.positions != "rotary" and self.rotary_scaling.kind != "none":
            raise ValueError(
                f"rotary scaling {self.rotary_scaling.kind!r} with positions {self.positions!r}: only rotary positions "
                "have frequencies; leave rotary_scaling out"
            )
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

    def narrowest(self, maps: Literal["attention", "all"]) -> int:
        """The smallest side of the matrices of some maps, which bounds their ranks: all heads of a map are one matrix.

        Args:
            maps: Those of `attention`, or `all`, the MLPs' too.
        """
        sides = (self.d_model, self.n_heads * self.d_head, self.n_key_value_heads * self.d_head)
        return min(*sides, *((self.d_mlp,) if maps == "all" else ()))
