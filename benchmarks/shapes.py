"""What is measured: model shapes, the mixture they train on, and how many examples fit the time."""

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.devices import Device
from tasks import InvalidValueError, Member, get_group
from training import HookedTransformer, MemberConfig, ModelConfig, OptimizerConfig, TrainConfig, named_generator

MAIN_LENGTH, AUXILIARY_LENGTH = 16, 32
"""Training lengths are uniform over 1..16 (main task) and 1..32 (auxiliary), as in the first paper."""

ABLATION_LENGTH = 16

PAIR_LENGTH, WIDE_PAIR_LENGTH = 8, 5
"""Of the pairs that are patched and attributed, and of a wide model's: TransformerLens patches every position in a pass
of its own."""

EVALUATION_LENGTH = 32

LARGE_WEIGHTS = 0.1
"""Standard deviation of the weights of models that are analysed: large enough that heads matter (freshly initialised
ones hardly do)."""

GROUP = get_group("copy+shift").with_lengths(main=MAIN_LENGTH, auxiliary=AUXILIARY_LENGTH)
"""Two string tasks on 12 letters; nothing that is measured depends on which two."""

TASKS: tuple[Member, ...] = (GROUP.main, *GROUP.auxiliaries)


@dataclass(frozen=True)
class Shape:
    """A model's shape, Llama-like (root-mean-square norm, SwiGLU of 4 d_model, rotary), written `layers/heads/d_model`.

    Attributes:
        n_layers: Blocks.
        n_heads: Heads per block.
        d_model: Width of the residual stream.
        batch_size: Examples of a training step.
        examples: Examples per task of an ablation map.
        pairs: Pairs that are patched and attributed.
        pair_length: Their length.
        device: Where models and examples are.
    """

    n_layers: int
    n_heads: int
    d_model: int
    batch_size: int
    examples: int
    pairs: int
    pair_length: int = PAIR_LENGTH
    device: Device = "cpu"

    def __str__(self) -> str:
        return f"{self.n_layers}/{self.n_heads}/{self.d_model}"

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Reads `layers/heads/d_model`; the wider a model, the smaller its batches, so that rounds take seconds.

        Raises:
            InvalidValueError: The text is not of that form.
        """
        parts = text.split("/")
        if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
            raise InvalidValueError(f"shape {text!r} is not of the form 'layers/heads/d_model', as in '2/4/64'")
        n_layers, n_heads, d_model = map(int, parts)
        if d_model >= 256:
            return cls(n_layers, n_heads, d_model, 32, 16, 2, WIDE_PAIR_LENGTH)
        sizes = (64, 256, 16) if d_model >= 128 else (64, 256, 64)
        return cls(n_layers, n_heads, d_model, *sizes)

    def on(self, device: Device, *, examples: int | Literal["fitting"]) -> "Shape":
        """The same on a device, with so many examples per task.

        Raises:
            InvalidValueError: Fewer than two examples: a mean over one is that example's own value.
        """
        if examples == "fitting":
            return replace(self, device=device)
        if examples < 2:
            raise InvalidValueError(f"examples must be at least 2, or 'fitting'. Got {examples}")
        return replace(self, device=device, examples=examples)

    def config(self, *, initializer_range: float = 0.02) -> TrainConfig:
        """The training configuration: the group's mixture, and the optimiser as it is by default."""
        vocabulary = GROUP.vocabulary
        shape = {"n_layers": self.n_layers, "n_heads": self.n_heads, "d_model": self.d_model}
        return TrainConfig(
            mixture=tuple(MemberConfig.of(member) for member in TASKS),
            vocabulary=vocabulary.tokens,
            model=ModelConfig.read({**shape, "d_vocab": len(vocabulary), "initializer_range": initializer_range}),
            train=OptimizerConfig(steps=10_000, batch_size=self.batch_size),
        )

    def model(self, *, initializer_range: float = 0.02) -> HookedTransformer:
        """Our model of this shape with its initial weights, the same on every device."""
        config = self.config(initializer_range=initializer_range)
        weights = named_generator(config.seed, "weights")
        return HookedTransformer(config.model, vocabulary=GROUP.vocabulary, generator=weights).to(self.device)
