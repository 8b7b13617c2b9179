"""Small checkpoints made with `transformers` and `tokenizers` themselves, in folders as they write them."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Generator, Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

ROWS = 300
"""Rows of the embedding; the tokenizer has 262 tokens, so 38 rows are spare, as in Qwen2's checkpoints."""

WORDS = ("an", "the", "he")
END = "<|endoftext|>"

_SHAPE: dict[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "eos_token_id": 0,
    "bos_token_id": None,
}
_LLAMA, _MISTRAL = (LlamaConfig, LlamaForCausalLM), (MistralConfig, MistralForCausalLM)
_QWEN2 = (Qwen2Config, Qwen2ForCausalLM)
_LATER = {"rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16}

CHECKPOINTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Llama": (_LLAMA, {}),
    "Llama, tied": (_LLAMA, {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 5000.5}}),
    "Llama, one key-value head": (_LLAMA, {"num_key_value_heads": 1, "rms_norm_eps": 1e-3}),
    "Llama, attention biases, wide heads": (_LLAMA, {"attention_bias": True, "head_dim": 10}),
    "Llama, linear": (_LLAMA, {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.5}}),
    "Llama, llama3": (
        _LLAMA,
        {"rope_parameters": {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, **_LATER}},
    ),
    "Llama, yarn": (_LLAMA, {"head_dim": 16, "rope_parameters": {"rope_type": "yarn", **_LATER}}),
    "Llama, yarn, all its fields": (
        _LLAMA,
        {
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "yarn",
                "beta_fast": 8,
                "beta_slow": 0.5,
                "truncate": False,
                "mscale": 1.2,
                "mscale_all_dim": 0.7,
                **_LATER,
            },
        },
    ),
    "Mistral": (_MISTRAL, {"sliding_window": None}),
    "Qwen2": (_QWEN2, {}),
    "Qwen2, tied": (_QWEN2, {"tie_word_embeddings": True}),
}
"""Every part that a checkpoint can have, at least once: what makes it, and how it differs from the least one."""


def theirs(name: str) -> Any:
    """The model of `transformers`, every parameter drawn, so that no test passes because of a zero or a one."""
    (config, model), changes = CHECKPOINTS[name]
    with torch.random.fork_rng(devices=[]):
        made = model(config(**(_SHAPE | changes), attn_implementation="eager")).eval()
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            parameter.normal_(mean=1.0 if "norm" in key else 0.0, std=0.2, generator=generator)
    return made


def write_checkpoint(folder: Path, name: str = "Llama", *, shard: str = "5GB") -> Path:
    """A checkpoint's folder with a tokenizer."""
    theirs(name).save_pretrained(folder, max_shard_size=shard)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer() -> Tokenizer:
    """A byte-level tokenizer as GPT-2's: every byte, some words, an end of text; digits one by one."""
    letters = [END, *sorted(pre_tokenizers.ByteLevel.alphabet()), *WORDS, "Ġa", "\u00c3\u00a9"]
    made = Tokenizer(
        models.BPE(
            vocab={piece: place for place, piece in enumerate(letters)},
            merges=[("a", "n"), ("h", "e"), ("t", "he"), ("Ġ", "a"), ("\u00c3", "\u00a9")],
        )
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END])
    return made


def some_ids(*, batch: int = 2, pos: int = 40) -> Int[Tensor, "batch pos"]:
    """Ids over the whole vocabulary; longer than the length before scaling."""
    return torch.randint(ROWS, (batch, pos), generator=Generator().manual_seed(1))


def change_config(folder: Path, changes: dict[str, Any]) -> None:
    """Changes fields of a checkpoint's config.json; None removes one."""
    file = folder / "config.json"
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({field: value for field, value in values.items() if value is not None}))
