"""A checkpoint's weights in a `HookedTransformer`: the whole vocabulary, or the tokens of some tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tasks import Vocabulary
from training.config import ModelConfig
from training.model import HookedTransformer
from training.model.layout import from_linear
from training.pretrained.checkpoint import Checkpoint, open_checkpoint
from training.pretrained.new_rows import extended
from training.pretrained.source import MAIN
from training.pretrained.token_map import TokenMap
from training.pretrained.tokenizer import CheckpointTokenizer
from training.pretrained.weights import EMBEDDING, UNEMBEDDING, checkpoint_name, empty_model

Precision = Literal["float32", "bfloat16"]

_Read = Callable[[str], Tensor]


@dataclass(frozen=True)
class Pretrained:
    """A model with a checkpoint's weights, and where each of its tokens stands in the checkpoint.

    Attributes:
        model: The model. Training it, or exchanging it for a trained one (`dataclasses.replace`), leaves the rest true.
        tokens: Its vocabulary in the checkpoint's ids.
        checkpoint: What it was loaded from; saving reads the rest of the vocabulary there.
    """

    model: HookedTransformer
    tokens: TokenMap
    checkpoint: Checkpoint

    @property
    def tokenizer(self) -> CheckpointTokenizer:
        """The checkpoint's tokenizer; its ids are those of the model only if the whole vocabulary was loaded."""
        return self.checkpoint.tokenizer


def load_pretrained(
    source: str | Path | Checkpoint, *, revision: str = MAIN, dtype: Precision = "float32"
) -> Pretrained:
    """Loads a checkpoint with its whole vocabulary; token ids are the checkpoint's own.

    Weights are read one at a time, so no more memory is needed than the model's own and its largest weight's.

    Args:
        source: A folder, or a name on the hub, perhaps with `@` and a revision; or a checkpoint that is open already.
        revision: A branch, tag or commit of the hub; of a folder, the folder in it that has this name.
        dtype: The type of the model's weights, whatever the file's is.

    Raises:
        InvalidValueError: No such checkpoint, or one of a kind that cannot be loaded; the text names file and field.
        BrokenRunError: The hub cannot be reached, or a file is missing, damaged or truncated.
    """
    checkpoint = _opened(source, revision)
    tokens = TokenMap.whole(checkpoint)
    model = _filled(checkpoint.config, tokens.vocabulary, checkpoint.shards.tensor, dtype)
    return Pretrained(model, tokens, checkpoint)


def load_for_tasks(
    source: str | Path | Checkpoint,
    vocabulary: Vocabulary,
    *,
    generator: Generator,
    revision: str = MAIN,
    dtype: Precision = "float32",
    noise: float = 0.1,
) -> Pretrained:
    """Loads a checkpoint with the tokens of some tasks only, so that everything works on it as on a model of ours.

    Embedding and unembedding hold the checkpoint's rows of these tokens (`TokenMap.of`), in the vocabulary's order, and
    new rows for tokens that it lacks (`new_rows.extended`). Logits of these tokens are the checkpoint's own.

    Args:
        source: A folder, or a name on the hub, perhaps with `@` and a revision; or a checkpoint that is open already.
        vocabulary: The tasks' tokens.
        generator: Draws the new rows.
        revision: A branch, tag or commit of the hub; of a folder, the folder in it that has this name.
        dtype: The type of the model's weights, whatever the file's is.
        noise: Size of the new rows' noise, as a share of the rows' own spread.

    Raises:
        InvalidValueError: As for `load_pretrained`; or a character of the tasks has no token of its own.
        BrokenRunError: As for `load_pretrained`; or there is no tokenizer.
    """
    checkpoint = _opened(source, revision)
    tokens = TokenMap.of(vocabulary, checkpoint)
    config = checkpoint.config.model_copy(update={"d_vocab": len(vocabulary)})

    def read(name: str) -> Tensor:
        tensor = checkpoint.shards.tensor(name)
        return _selected(tensor, tokens, generator, noise) if name in (EMBEDDING, UNEMBEDDING) else tensor

    return Pretrained(_filled(config, vocabulary, read, dtype), tokens, checkpoint)


def _opened(source: str | Path | Checkpoint, revision: str) -> Checkpoint:
    return source if isinstance(source, Checkpoint) else open_checkpoint(source, revision=revision)


def _selected(
    rows: Float[Tensor, "token d_model"], tokens: TokenMap, generator: Generator, noise: float
) -> Float[Tensor, "vocab d_model"]:
    """The rows of the vocabulary's tokens, new ones for those that were appended."""
    new = torch.tensor([token in tokens.appended for token in tokens.vocabulary.tokens])
    chosen = rows[torch.tensor(tokens.ids).where(~new, torch.tensor(0))]
    if new.any():
        chosen[new] = extended(rows, int(new.sum()), generator=generator, noise=noise)
    return chosen


@torch.no_grad()
def _filled(config: ModelConfig, vocabulary: Vocabulary, read: _Read, dtype: Precision) -> HookedTransformer:
    """A model with the weights that are read by the checkpoint's names."""
    model = empty_model(config, vocabulary).to(getattr(torch, dtype)).to_empty(device="cpu")
    for buffer in model.buffers():
        buffer.zero_()  # biases that the architecture has not
    for name, parameter in model.named_parameters():
        leaf = name.rsplit(".", maxsplit=1)[-1]
        parameter.copy_(from_linear(leaf, read(checkpoint_name(name)), d_head=config.d_head))
    return model.eval()
