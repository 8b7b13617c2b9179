"""`python -m benchmarks.large`: SmolLM2-360M's shape with random weights: load, an ablation map, one finetuning step.

Nothing is downloaded: the checkpoint, 720 MB, is written to a temporary folder first. Prints seconds and the process's
greatest memory so far.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from analyses import HeadAblation
from tasks import get_group
from training import load_preset, named_generator
from training.conditions import condition_config
from training.files import write_json
from training.loop import Training
from training.pretrained import load_for_tasks

T = TypeVar("T")

GROUP = "add/carry-scaled"
LAYERS, D_MODEL, D_MLP, VOCABULARY, HEADS, GROUPS = 32, 960, 2560, 49152, 15, 5


def main() -> None:
    """Writes, loads, ablates, trains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told("write the checkpoint", lambda: write_checkpoint(folder))
        group = get_group(GROUP)
        loaded = told("load for the tasks, float32", lambda: load_for_tasks(
            folder, group.vocabulary, generator=named_generator(0, "new rows")
        ))  # fmt: skip
        task, generator = group.main.task, named_generator(0, "large")
        table = told("480 heads, reverse_add of 3 digits, 2 examples", lambda: HeadAblation(metric="nll")(
            loaded.model, task, length=3, n=2, generator=generator
        ))  # fmt: skip
        print(f"  {len(table)} heads, greatest effect {table['effect'].max():.3g} nats")
        del loaded
        preset = load_preset("finetune-360m").starting(name)
        config = condition_config(group, preset, "auxiliary", seed=0)
        training = told("ready to train, bfloat16 weights", lambda: Training(config))
        told("one step of full finetuning, batch 32", lambda: training.step(0))


def told(what: str, work: Callable[[], T]) -> T:
    """Does it, and says how long it took."""
    began = time.perf_counter()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 / (1024 if sys.platform == "darwin" else 1)
    print(f"{what}: {time.perf_counter() - began:.1f} s, {peak:.1f} GiB", flush=True)
    return found


def write_checkpoint(folder: Path) -> None:
    """A Llama-type checkpoint in bfloat16, with a tokenizer that has all bytes."""
    write_json(folder / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": D_MODEL,
        "intermediate_size": D_MLP, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
        "tie_word_embeddings": True, "attention_bias": False, "eos_token_id": 0, "max_position_embeddings": 8192,
    })  # fmt: skip
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=generator) * 0.02).bfloat16()

    weights = {"model.embed_tokens.weight": drawn(VOCABULARY, D_MODEL), "model.norm.weight": torch.ones(D_MODEL)}
    narrow = D_MODEL * GROUPS // HEADS
    for layer in range(LAYERS):
        block = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{block}{norm}.weight"] = torch.ones(D_MODEL)
        for name, rows in (("q", D_MODEL), ("k", narrow), ("v", narrow), ("o", D_MODEL)):
            weights[f"{block}self_attn.{name}_proj.weight"] = drawn(rows, D_MODEL)
        for name, shape in (("gate", (D_MLP, D_MODEL)), ("up", (D_MLP, D_MODEL)), ("down", (D_MODEL, D_MLP))):
            weights[f"{block}mlp.{name}_proj.weight"] = drawn(*shape)
    save_file({name: weight.bfloat16() for name, weight in weights.items()}, folder / "model.safetensors")
    letters = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces = [*letters, *(f"piece{number}" for number in range(VOCABULARY - len(letters)))]
    tokenizer = Tokenizer(models.BPE(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    main()
