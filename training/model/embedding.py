"""Into the vocabulary's space and out of it: token and position embedding, and unembedding."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tasks import InvalidValueError
from training.config import ModelConfig
from training.model.parts import bias_or_zeros, plus_bias


class Embed(nn.Module):
    """Token embedding: row t of W_E [vocab, d_model] for token t."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(config.d_vocab, config.d_model))

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return F.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """Learned position embedding: row p of W_pos [n_ctx, d_model] for position p."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.W_pos = nn.Parameter(torch.empty(config.n_ctx, config.d_model))

    def forward(self, positions: Int[Tensor, " pos"]) -> Float[Tensor, "1 pos d_model"]:
        last, n_ctx = int(positions.max()) + 1, len(self.W_pos)
        if last > n_ctx:
            raise InvalidValueError(
                f"the example has {last} tokens, but the learned position table has {n_ctx}; "
                "use shorter examples, or train with positions 'rotary' or 'none', which run at any length"
            )
        return self.W_pos[positions][None]


class Unembed(nn.Module):
    """Logits from the normalised residual stream: x W_U + b_U, W_U [d_model, vocab] (or [task, d_model, vocab])."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.task_heads = config.task_heads
        heads = (config.task_heads,) if config.task_heads > 1 else ()
        self.W_U = nn.Parameter(torch.empty(*heads, config.d_model, config.d_vocab))
        self.b_U = bias_or_zeros(*heads, config.d_vocab, trained=config.biases == "all")

    def forward(self, x: Float[Tensor, "*batch d_model"], *, task: int = 0) -> Float[Tensor, "*batch vocab"]:
        if self.task_heads == 1:
            return plus_bias(x @ self.W_U, self.b_U)
        return x @ self.W_U[task] + self.b_U[task]


class TiedUnembed(nn.Module):
    """The unembedding of a tied model: W_U is the embedding's W_E transposed, one parameter in two places."""

    _embed: Embed

    def __init__(self, config: ModelConfig, embed: Embed) -> None:
        super().__init__()
        object.__setattr__(self, "_embed", embed)  # no second registration: the parameter is the embedding's
        self.b_U = bias_or_zeros(config.d_vocab, trained=config.biases == "all")

    @property
    def W_U(self) -> Float[Tensor, "d_model vocab"]:
        """W_E transposed."""
        return self._embed.W_E.T

    def forward(self, x: Float[Tensor, "*batch d_model"], *, task: int = 0) -> Float[Tensor, "*batch vocab"]:
        return plus_bias(x @ self.W_U, self.b_U)
