"""A pretrained checkpoint small enough to be finetuned many times in a test, written without `transformers`."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from tasks import Vocabulary
from tests.training.tiny import COPY, SHIFT, VOCABULARY
from training import HookedTransformer, ModelConfig, TrainConfig, named_generator
from training.config import StartConfig
from training.files import write_json
from training.model.layout import to_linear
from training.pretrained.weights import checkpoint_name
from training.start import pinned, start_shape

PIECES = ("<|end|>", *string.ascii_letters, *string.digits, "=", "+", " ", "an", "the")
SHAPE = {"n_layers": 2, "n_heads": 4, "n_key_value_heads": 2, "d_model": 16, "d_mlp": 24, "unembedding": "tied"}
STEPS = {"steps": 12, "batch_size": 8, "warmup": 2, "learning_rate": 1e-2}


def write_tiny_checkpoint(folder: Path, *, seed: int = 0, shape: Mapping[str, Any] = SHAPE) -> Path:
    """A Llama with grouped queries and random weights, in a folder as `transformers` writes it."""
    config = ModelConfig.read({**shape, "d_vocab": len(PIECES) + 3, "norm_eps": 1e-6, "rotary_base": 1e4})
    vocabulary = Vocabulary(("[EOS]", *(f"[{number}]" for number in range(1, config.d_vocab))))
    model = HookedTransformer(config, vocabulary=vocabulary, generator=named_generator(seed, "pretraining"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.ndim > 1 else 1.5)  # far from our own initial weights
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        checkpoint_name(name): to_linear(name.rpartition(".")[2], weight.detach()).contiguous()
        for name, weight in model.named_parameters()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(
        folder / "config.json",
        {
            "architectures": ["Qwen2ForCausalLM" if config.biases == "qkv" else "LlamaForCausalLM"],
            "vocab_size": config.d_vocab,
            "hidden_size": config.d_model,
            "intermediate_size": config.d_mlp,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_key_value_heads,
            "rms_norm_eps": config.norm_eps,
            "tie_word_embeddings": config.unembedding == "tied",
            "eos_token_id": 0,
        },
    )
    tokenizer = Tokenizer(models.BPE(vocab={piece: place for place, piece in enumerate(PIECES)}, merges=[]))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def finetuning(
    checkpoint: Path | str,
    *,
    start: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    measure: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> TrainConfig:
    """12 steps of 8 examples, checkpoints at 4, 8 and 12, unless told otherwise."""
    chosen = pinned(StartConfig.read({"checkpoint": str(checkpoint), **(start or {})}))
    return TrainConfig.read(
        {
            "mixture": (SHIFT, COPY),
            "vocabulary": VOCABULARY.tokens,
            "model": start_shape(chosen, VOCABULARY),
            "train": {**STEPS, **(train or {})},
            "measure": {"checkpoints": 3, "lengths": [2, 4], "n": 8, **(measure or {})},
            "seed": seed,
            "start": chosen,
        }
    )
