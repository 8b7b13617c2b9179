"""Pretrains the checkpoints of `pretraining.md`: `python -m docs.results.pretraining FOLDER [--device cuda]`.

A Llama-type model of 4 layers, 4 query heads on 2 key-value heads, learns to predict text (`pretraining_text.py`), one
character a token; eight steps of that one training are kept as folders `FOLDER/step-N` that `load_pretrained`, and
`transformers`, read. `FOLDER/pretraining.csv` says how well each predicts unseen text. `--d-model`, `--steps`
and others make smaller trials.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from docs.results.pretraining_text import CHARACTERS, CLOSING, COPIED, OTHER, text
from tasks import Vocabulary
from tasks.vocabulary import EOS
from training import HookedTransformer, named_generator
from training.files import write_json, write_tensors
from training.model.layout import to_linear
from training.pretrained import Pretrained, load_pretrained, save_pretrained
from training.pretrained.architecture import read_architecture
from training.pretrained.fields import Fields
from training.pretrained.weights import checkpoint_name

WIDTH = 256
"""Characters of a training sequence."""

_END = "<|endoftext|>"
_HELD_OUT = 1 << 17


@dataclass(frozen=True)
class Pretraining:
    """What is pretrained, and how.

    Attributes:
        d_model: Width of the residual stream; heads have a quarter of it.
        steps: Optimiser steps.
        batch: Sequences a step.
        characters: How many characters of text there are; sequences begin anywhere in them.
        rate: Learning rate, reached in 100 steps and then constant, so that checkpoints differ in steps alone.
        kept: How many checkpoints, the untrained one among them; each has about half of the next one's steps.
        seed: Seeds weights, text and order.
    """

    d_model: int = 96
    steps: int = 4_000
    batch: int = 64
    characters: int = 1 << 23
    rate: float = 2e-3
    kept: int = 8
    seed: int = 0

    @property
    def kept_steps(self) -> list[int]:
        """The steps that are kept: 0, and then the last one halved again and again."""
        return [0, *(round(self.steps / 2**place) for place in reversed(range(self.kept - 1)))]


def pretrain(settings: Pretraining, folder: Path, *, device: str = "cpu") -> pd.DataFrame:
    """Writes the checkpoints into a folder, and gives the table of how well each predicts unseen text."""
    untrained = write_untrained(settings, folder / "step-0")
    pretrained = load_pretrained(untrained)
    model = pretrained.model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, betas=(0.9, 0.95), weight_decay=0.1)
    unseen = _encoded(text(_HELD_OUT, seed=settings.seed + 1).characters, pretrained)
    kinds = torch.from_numpy(text(_HELD_OUT, seed=settings.seed + 1).kinds)
    began, rows = time.perf_counter(), []
    for step, tokens in enumerate(_sequences(settings, pretrained, device)):
        if step in settings.kept_steps:
            if step:
                _save(pretrained, model, folder / f"step-{step}")
            rows.append({"step": step, **held_out(model, unseen, kinds)})
            print(rows[-1], f"{time.perf_counter() - began:.1f} s", flush=True)
        if step == settings.steps:
            break
        optimizer.param_groups[0]["lr"] = settings.rate * min(1.0, (step + 1) / 100)
        _loss(model, tokens).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    table = pd.DataFrame(rows)
    table.to_csv(folder / "pretraining.csv", index=False)
    return table


def write_untrained(settings: Pretraining, folder: Path) -> Path:
    """The checkpoint of step 0: random weights, a configuration, and a tokenizer of single characters."""
    folder.mkdir(parents=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", _configuration(settings))
    shape = read_architecture(Fields.read(folder / "config.json"))
    vocabulary = Vocabulary((EOS, *CHARACTERS))
    model = HookedTransformer(shape, vocabulary=vocabulary, generator=named_generator(settings.seed, "pretraining"))
    weights = {
        checkpoint_name(name): to_linear(name.rsplit(".", maxsplit=1)[-1], weight.detach())
        for name, weight in model.named_parameters()
    }
    write_tensors(folder / "model.safetensors", weights)
    return folder


def tokenizer() -> Tokenizer:
    """One token for each character, and one for the end of a text."""
    made = Tokenizer(models.WordLevel({piece: place for place, piece in enumerate((_END, *CHARACTERS))}, _END))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([_END])
    return made


def _configuration(settings: Pretraining) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": settings.d_model,
        "intermediate_size": 2 * settings.d_model, "vocab_size": 1 + len(CHARACTERS), "rope_theta": 10_000.0,
        "max_position_embeddings": WIDTH, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
        "eos_token_id": 0, "bos_token_id": None, "torch_dtype": "float32", "initializer_range": 0.02,
    }  # fmt: skip


def _encoded(characters: str, pretrained: Pretrained) -> Tensor:
    """Token ids [character]: what the tokenizer gives, by a table, since a text is long."""
    table = np.zeros(128, np.int64)
    for piece, place in pretrained.tokenizer.pieces.items():
        if len(piece) == 1:
            table[ord(piece)] = place
    return torch.from_numpy(table[np.frombuffer(characters.encode("ascii"), np.uint8)])


def _sequences(settings: Pretraining, pretrained: Pretrained, device: str) -> Iterator[Tensor]:
    """Endless batches of sequences [batch, WIDTH + 1] that begin anywhere in the text."""
    tokens = _encoded(text(settings.characters, seed=settings.seed + 2).characters, pretrained).to(device)
    generator, within = named_generator(settings.seed, "order"), torch.arange(WIDTH + 1, device=device)
    while True:
        starts = torch.randint(len(tokens) - WIDTH, (settings.batch, 1), generator=generator)
        yield tokens[starts.to(device) + within]


def _loss(model: HookedTransformer, tokens: Tensor) -> Tensor:
    """Nats for each predicted character [batch, WIDTH]; matrix products in bfloat16 on a GPU."""
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=tokens.device.type == "cuda"):
        logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.float().transpose(1, 2), tokens[:, 1:], reduction="none")


@torch.no_grad()
def held_out(model: HookedTransformer, tokens: Tensor, kinds: Tensor) -> dict[str, float]:
    """Mean nats a character of unseen text, and of those that repeat a string, close a bracket, or do neither."""
    device, rows = model.embed.W_E.device, (len(tokens) - 1) // WIDTH
    places = torch.arange(rows)[:, None] * WIDTH + torch.arange(WIDTH + 1)
    nats = torch.cat([_loss(model, tokens[part].to(device)).cpu() for part in places.split(64)])
    predicted = kinds[places[:, 1:]]
    named = {"copied": COPIED, "closing": CLOSING, "other": OTHER}
    return {"nats": nats.mean().item()} | {name: nats[predicted == kind].mean().item() for name, kind in named.items()}


def _save(pretrained: Pretrained, model: HookedTransformer, folder: Path) -> None:
    save_pretrained(dataclasses.replace(pretrained, model=model), folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pretrain a small model on generated text.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    for field in dataclasses.fields(Pretraining):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    asked = vars(parser.parse_args())
    folder, device = asked.pop("folder"), asked.pop("device")
    print(pretrain(Pretraining(**asked), folder, device=device).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
