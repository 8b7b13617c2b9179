"""A model without weights yet, its residual stream divided into named ranges, and what is drawn on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.heads import Head, all_heads
from tasks import InvalidValueError, Task
from training import HookedTransformer, ModelConfig, named_generator
from training.model.attention import Attention

CONSTANT = 2.0**20
"""What coordinate 0 of every token holds. Beside it nothing else shows in the root mean square, so every norm, with its
weight set to that, is the identity: to 1e-6 in float64, to the last place in float32."""

LOGIT = 16.0
"""The logit of a one in the stream: a clear answer has a probability near 1, as a trained model's."""

_SPARE = 6
"""At least so many coordinates are left for idle heads to write to."""

Part = tuple[str, int]
"""A coordinate by name, and a factor."""


@dataclass(frozen=True)
class Canvas:
    """A model that computes nothing, to be given weights.

    Every token embeds as the constant, in coordinate 0, and a one in its own coordinate of the range `token`; position
    p, where positions are learned, as p in `place` and p squared in `square`. MLPs, and heads that no method was called
    for, write nothing.

    Attributes:
        model: The model.
        ranges: The coordinates of each named range; `constant` and `spare` among them.
    """

    model: HookedTransformer
    ranges: Mapping[str, range]

    @classmethod
    @torch.no_grad()
    def blank(cls, task: Task, *, spaces: Mapping[str, int], settings: Mapping[str, object]) -> "Canvas":
        """The canvas for a task.

        The width of the stream is a power of 4, so that its root, by which norms divide, is exact in any precision.

        Args:
            task: Its vocabulary is the model's.
            spaces: How wide each range is, besides `constant` and `token`, and `place` and `square` of learned
                positions.
            settings: What else the model's configuration says.
        """
        learned = {"place": 1, "square": 1} if settings.get("n_ctx") else {}
        sizes = {"constant": 1, "token": len(task.vocabulary), **learned, **spaces}
        d_model = power_of_four(sum(sizes.values()) + _SPARE)
        sizes["spare"] = d_model - sum(sizes.values())
        starts = [sum(list(sizes.values())[:place]) for place in range(len(sizes))]
        ranges = {name: range(start, start + size) for (name, size), start in zip(sizes.items(), starts, strict=True)}
        given = {"positions": "learned" if learned else "none", "mlp": "plain", "activation": "relu", "d_mlp": 1}
        config = ModelConfig.read({**given, **settings, "d_model": d_model, "d_vocab": len(task.vocabulary)})
        model = HookedTransformer(config, vocabulary=task.vocabulary, generator=named_generator(0, "ground truth"))
        for name, parameter in model.named_parameters():
            parameter.fill_(CONSTANT / math.sqrt(d_model) if name.endswith(".w") else 0)
        canvas = cls(model, ranges)
        model.embed.W_E[:, 0] = CONSTANT
        model.embed.W_E[:, canvas.slice("token")] = torch.eye(config.d_vocab)
        if learned:
            places = torch.arange(config.n_ctx).float()
            model.pos_embed.W_pos[:, canvas.at("place")] = places
            model.pos_embed.W_pos[:, canvas.at("square")] = places**2
        return canvas

    def at(self, name: str, place: int = 0) -> int:
        """A coordinate."""
        return self.ranges[name][place]

    def slice(self, name: str) -> slice:
        """The coordinates of a range."""
        return slice(self.ranges[name].start, self.ranges[name].stop)

    def token(self, symbol: str) -> int:
        """A token's id."""
        return self.model.vocabulary.index[symbol]

    def attention(self, head: Head) -> Attention:
        """The attention of a head's layer."""
        return self.model.blocks[head.layer].attn

    @property
    def root(self) -> float:
        """The root of d_head, by which attention divides its logits."""
        return math.sqrt(self.model.config.d_head)

    @torch.no_grad()
    def attend_by_token(self, head: Head, logits: Float[Tensor, "vocab vocab"]) -> None:
        """The attention logit of each key token (column) for each query token (row), before any temperature."""
        self._fits(head, len(logits))
        attention, tokens = self.attention(head), self.slice("token")
        attention.W_Q[head.head, tokens, : len(logits)] = logits.to(attention.W_Q.dtype) * self.root
        attention.W_K[head.head, tokens, : len(logits)] = torch.eye(len(logits))

    @torch.no_grad()
    def attend_to_symbols(self, head: Head, logits: Mapping[str, float]) -> None:
        """The same attention logits for every query: those of some symbols, and 0 for all others."""
        attention = self.attention(head)
        attention.W_Q[head.head, 0, 0] = self.root / CONSTANT
        for symbol, logit in logits.items():
            attention.W_K[head.head, self.at("token", self.token(symbol)), 0] = logit

    @torch.no_grad()
    def attend_to_place(self, head: Head, target: Sequence[Part], *, beta: float) -> None:
        """Attends to the position nearest to a target t: the logit of position k is beta (2 k t - k^2).

        That is beta (t^2 - (k - t)^2), less what is the same for all keys. For a whole t, beta 16 leaves 2e-7 of the
        attention to the neighbours.

        Args:
            head: The head.
            target: The coordinates whose sum, times their factors, is t.
            beta: The logit that a distance of 1 costs.
        """
        attention = self.attention(head)
        for name, factor in target:
            attention.W_Q[head.head, self.at(name), 0] = factor * self.root / (CONSTANT if name == "constant" else 1)
        attention.W_Q[head.head, 0, 1] = self.root / CONSTANT
        attention.W_K[head.head, self.at("place"), 0] = 2 * beta
        attention.W_K[head.head, self.at("square"), 1] = -beta

    @torch.no_grad()
    def move(self, head: Head, values: Float[Tensor, "source target"], *, source: str, target: str) -> None:
        """Writes what the head reads in one range to another, through a matrix."""
        self._fits(head, min(values.shape))
        attention = self.attention(head)
        first, second = (values, torch.eye(values.shape[1])) if len(values) >= values.shape[1] else (
            torch.eye(len(values)), values
        )  # fmt: skip
        width = first.shape[1]
        attention.W_V[head.head, self.slice(source), :width] = first.to(attention.W_V.dtype)
        attention.W_O[head.head, :width, self.slice(target)] = second.to(attention.W_O.dtype)

    @torch.no_grad()
    def read_out(self, source: str, values: Float[Tensor, "source vocab"]) -> None:
        """Adds to the logits what a range holds, through a matrix, times `LOGIT`."""
        self.model.W_U[self.slice(source)] = LOGIT * values.to(self.model.W_U.dtype)

    @torch.no_grad()
    def fill_idle(self, busy: Sequence[Head]) -> None:
        """Lets all other heads read the token by random weights, and write to coordinates that nothing reads."""
        generator = named_generator(1, "ground truth")
        tokens, spare, d_head = self.slice("token"), self.slice("spare"), self.model.config.d_head
        for head in all_heads(self.model.config):
            if head not in busy:
                attention = self.attention(head)
                for weight in (attention.W_Q, attention.W_K, attention.W_V):
                    weight[head.head, tokens].normal_(generator=generator)
                attention.W_O[head.head, :, spare].normal_(std=self.root / d_head, generator=generator)

    def _fits(self, head: Head, needed: int) -> None:
        if needed > self.model.config.d_head:
            raise InvalidValueError(
                f"head {head} needs {needed} coordinates, but d_head is {self.model.config.d_head}; make it larger"
            )


def power_of_four(least: int) -> int:
    """The smallest power of 4 that is not below a number."""
    power = 1
    while power < least:
        power *= 4
    return power
