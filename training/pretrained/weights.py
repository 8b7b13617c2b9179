"""The names that the weights of a Llama have in a checkpoint."""

import re

import torch

from tasks import BrokenRunError, InvalidValueError, Vocabulary
from tasks.vocabulary import EOS
from training.config import ModelConfig
from training.model import HookedTransformer
from training.model.layout import to_linear
from training.pretrained.fields import FETCH_AGAIN, Fields
from training.pretrained.shards import Shards

EMBEDDING = "model.embed_tokens.weight"
UNEMBEDDING = "lm_head.weight"

_OUTSIDE = {"embed.W_E": EMBEDDING, "ln_final.w": "model.norm.weight", "unembed.W_U": UNEMBEDDING}
_INSIDE = {
    "ln1.w": "input_layernorm.weight",
    "ln2.w": "post_attention_layernorm.weight",
    **{f"attn.W_{one}": f"self_attn.{one.lower()}_proj.weight" for one in "QKVO"},
    **{f"attn.b_{one}": f"self_attn.{one.lower()}_proj.bias" for one in "QKVO"},
    "mlp.W_gate": "mlp.gate_proj.weight",
    "mlp.W_in": "mlp.up_proj.weight",
    "mlp.W_out": "mlp.down_proj.weight",
}
_COMPUTED = re.compile(r".*\.rotary_emb\.inv_freq")
"""What old checkpoints hold besides weights: numbers that follow from the configuration."""


def checkpoint_name(name: str) -> str:
    """The checkpoint's name of one of our parameters."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, layer, inner = name.split(".", maxsplit=2)
    return f"model.layers.{layer}.{_INSIDE[inner]}"


def empty_model(config: ModelConfig, vocabulary: Vocabulary) -> HookedTransformer:
    """A model whose parameters have shapes but no memory."""
    with torch.device("meta"):
        return HookedTransformer(config, vocabulary=vocabulary, generator=torch.Generator())


def check_weights(config: ModelConfig, shards: Shards, fields: Fields) -> None:
    """Holds the names and shapes of a checkpoint's weights against its configuration.

    Raises:
        BrokenRunError: A weight is missing.
        InvalidValueError: A weight has another shape than the configuration says, or is none of the architecture's.
    """
    wanted = _shapes(config)
    for name, shape in wanted.items():
        if name not in shards.entries:
            raise BrokenRunError(
                f"{str(shards.folder)!r}: weight {name!r} is missing, which {fields.file.name} asks for{_hint(name)}; "
                f"{FETCH_AGAIN}"
            )
        entry = shards.entries[name]
        if entry.shape != shape and name in (EMBEDDING, UNEMBEDDING) and entry.shape[1:] == shape[1:]:
            raise fields.refused("vocab_size", f"{name!r} in {str(entry.file)!r} has {entry.shape[0]} rows")
        if entry.shape != shape:
            raise InvalidValueError(
                f"{str(entry.file)!r}: weight {name!r} has shape {entry.shape}, but by {str(fields.file)!r} it should "
                f"have {shape}; they belong to different checkpoints"
            )
    for name, entry in shards.entries.items():
        if name not in wanted and name != UNEMBEDDING and not _COMPUTED.fullmatch(name):
            raise InvalidValueError(
                f"{str(entry.file)!r}: weight {name!r} is none that {str(fields.file)!r} describes, so the model would "
                "compute something else without it; choose another checkpoint"
            )


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each weight, in the checkpoint's layout, by the checkpoint's name."""
    model = empty_model(config.model_copy(update={"d_vocab": 1}), Vocabulary((EOS,)))
    shapes = {
        checkpoint_name(name): tuple(to_linear(name.rsplit(".", maxsplit=1)[-1], parameter.detach()).shape)
        for name, parameter in model.named_parameters()
    }
    whole = (config.d_vocab, config.d_model)
    return {name: whole if name in (EMBEDDING, UNEMBEDDING) else shape for name, shape in shapes.items()}


def _hint(name: str) -> str:
    return " (tie_word_embeddings is false)" if name == UNEMBEDDING else ""
