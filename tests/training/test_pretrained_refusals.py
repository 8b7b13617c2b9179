"""Checkpoints that cannot be loaded: every error by its text, with the file and the field."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks import BrokenRunError, InterpError, InvalidValueError
from tests.training.pretrained_models import change_config, write_checkpoint
from training.config import ModelConfig
from training.pretrained import open_checkpoint
from training.pretrained.architecture import ARCHITECTURES
from training.pretrained.fields import Fields

FIELDS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"architectures": ["GPT2LMHeadModel"]},
        "architectures",
        "['GPT2LMHeadModel']: this architecture cannot be loaded; allowed are " + ", ".join(ARCHITECTURES) + "; choose",
    ),
    ({"architectures": None, "model_type": "mamba"}, "model_type", "'mamba': this architecture cannot be loaded; "),
    (
        {"auto_map": {"AutoModel": "x.Y"}},
        "auto_map",
        "{'AutoModel': 'x.Y'}: the model is code of its own, which is never run; choose another checkpoint",
    ),
    ({"trust_remote_code": True}, "trust_remote_code", "True: the model is code of its own, which is never run; "),
    (
        {"quantization_config": {"bits": 4}},
        "quantization_config",
        "{'bits': 4}: quantised weights cannot be loaded; choose a checkpoint in float32, float16 or bfloat16",
    ),
    ({"num_local_experts": 8}, "num_local_experts", "8: mixtures of experts cannot be loaded; choose a dense model"),
    (
        {"architectures": ["MistralForCausalLM"], "sliding_window": 4096},
        "sliding_window",
        "4096: attention within a window cannot be loaded; choose a checkpoint without",
    ),
    (
        {"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": True},
        "use_sliding_window",
        "True: attention within a window cannot be loaded; choose a checkpoint without",
    ),
    (
        {"layer_types": ["full_attention", "sliding_attention"]},
        "layer_types",
        "['full_attention', 'sliding_attention']: every layer must have 'full_attention'; choose another checkpoint",
    ),
    ({"hidden_act": "gelu"}, "hidden_act", "'gelu': the gated MLP of these architectures must have 'silu'"),
    ({"mlp_bias": True}, "mlp_bias", "True: an MLP with biases cannot be loaded; choose a checkpoint without"),
    ({"hidden_size": None}, "hidden_size", "None: a whole number of at least 1 is needed"),
    ({"num_hidden_layers": "2"}, "num_hidden_layers", "'2': a whole number of at least 1 is needed"),
    ({"num_key_value_heads": 4}, "num_key_value_heads", "4: it must divide num_attention_heads, 6"),
    (
        {"head_dim": None, "hidden_size": 25},
        "hidden_size",
        "25: it must be a multiple of num_attention_heads, 6; or give head_dim",
    ),
    ({"head_dim": 5}, "head_dim", "5: heads of width 5 cannot be rotated: an even width is needed"),
    ({"rms_norm_eps": -1}, "rms_norm_eps", "-1: a number above 0 is needed"),
    ({"attention_bias": "yes"}, "attention_bias", "'yes': true or false is needed"),
    (
        {"rope_parameters": {"rope_type": "longrope"}},
        "rope_parameters.rope_type",
        "'longrope': this scaling of rotary positions cannot be loaded; allowed are default, linear, llama3, yarn",
    ),
    (
        {"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2}},
        "rope_scaling.type",
        "'dynamic': this scaling of rotary positions cannot be loaded; ",
    ),
    ({"rope_parameters": {"rope_type": "linear"}}, "rope_parameters.factor", "None: a number above 0 is needed"),
    ({"rms_norm_eps": float("inf")}, "rms_norm_eps", "inf: a number above 0 is needed"),
    ({"layer_types": 5}, "layer_types", "5: every layer must have 'full_attention'; choose another checkpoint"),
    (
        {"rope_parameters": {"rope_type": "yarn", "factor": 2, "mscale": "a", "mscale_all_dim": 1}},
        "rope_parameters.mscale",
        "'a': a number above 0 is needed",
    ),
    (
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8,
                "low_freq_factor": 4,
                "high_freq_factor": 1,
                "original_max_position_embeddings": 99,
            }
        },
        "rope_parameters",
        (
            "{'rope_type': 'llama3', 'factor': 8, 'low_freq_factor': 4, 'high_freq_factor': 1, "
            "'original_max_position_embeddings': 99}: rotary scaling 'llama3' needs low < high, got 4 and 1"
        ),
    ),
    ({"rope_parameters": [1]}, "rope_parameters", "[1]: an object with named values is needed"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor", "0.5: heads that are rotated in part cannot be loaded"),
    (
        {"vocab_size": 301},
        "vocab_size",
        "301: 'model.embed_tokens.weight' in '{folder}/model.safetensors' has 300 rows",
    ),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    for file in whole.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def refusal(folder: Path, kind: type[InterpError]) -> str:
    """What `open_checkpoint` says, the folder's name cut out."""
    with pytest.raises(kind) as caught:
        open_checkpoint(folder)
    return str(caught.value).replace(str(folder), "{folder}")


@pytest.mark.parametrize(("changes", "field", "why"), FIELDS, ids=[field for _, field, _ in FIELDS])
def test_fields_that_cannot_be_loaded_are_named(changes: dict[str, Any], field: str, why: str, folder: Path) -> None:
    change_config(folder, changes)
    text = refusal(folder, InvalidValueError)
    assert text.startswith(f"'{{folder}}/config.json': field '{field}' = {why}")


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    file.unlink()
    save_file(weights, file)


def test_weights_that_are_missing_of_another_shape_or_unknown(folder: Path) -> None:
    name = "model.layers.1.self_attn.k_proj.weight"  # 2 key-value heads x 4, d_model 24
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(8, 23)}))
    assert refusal(folder, InvalidValueError) == (
        f"'{{folder}}/model.safetensors': weight '{name}' has shape (8, 23), but by '{{folder}}/config.json' it should "
        "have (8, 24); they belong to different checkpoints"
    )
    change_weights(folder, lambda weights: weights.pop(name))
    assert refusal(folder, BrokenRunError) == (
        f"'{{folder}}': weight '{name}' is missing, which config.json asks for; fetch the checkpoint again"
    )
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(8, 24)}))
    change_weights(folder, lambda weights: weights.update({"model.layers.0.self_attn.q_norm.weight": torch.zeros(4)}))
    assert refusal(folder, InvalidValueError) == (
        "'{folder}/model.safetensors': weight 'model.layers.0.self_attn.q_norm.weight' is none that "
        "'{folder}/config.json' describes, so the model would compute something else without it; "
        "choose another checkpoint"
    )
    change_weights(folder, lambda weights: weights.pop("model.layers.0.self_attn.q_norm.weight"))
    change_weights(folder, lambda weights: weights.update({"model.layers.0.rotary_emb.inv_freq": torch.zeros(4)}))
    assert open_checkpoint(folder).config.n_layers == 2  # follows from the configuration, so it may be there
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    text = "weight 'lm_head.weight' is missing, which config.json asks for (tie_word_embeddings is false); "
    assert text in refusal(folder, BrokenRunError)


def test_quantised_weights(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({"model.norm.weight": torch.zeros(24, dtype=torch.int8)}))
    assert refusal(folder, InvalidValueError) == (
        "'{folder}/model.safetensors': weight 'model.norm.weight' has type I8: quantised weights cannot be loaded; "
        "allowed are F64, F32, F16, BF16; choose a checkpoint that is not quantised"
    )


def test_truncated_and_foreign_files(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert refusal(folder, BrokenRunError) == (
        f"'{{folder}}/model.safetensors' is truncated: {len(content) - 1:,} bytes of {len(content):,}; "
        "fetch the checkpoint again"
    )
    length = int.from_bytes(content[:8], "little")
    file.write_bytes(content[:100])
    assert f"is truncated: 100 bytes of {8 + length:,}; " in refusal(folder, BrokenRunError)
    file.write_bytes(b"")
    assert "is no safetensors file (0 bytes); fetch" in refusal(folder, BrokenRunError)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "is a Git LFS pointer, not the weights; run 'git lfs pull' there" in refusal(folder, BrokenRunError)
    file.write_bytes(content[:8] + b"x" * length + content[8 + length :])
    assert "has no safetensors header; fetch" in refusal(folder, BrokenRunError)
    wrong = content[8 : 8 + length].replace(b'"shape":[24]', b'"shape":[23]', 1)
    file.write_bytes(content[:8] + wrong + content[8 + length :])
    assert re.search("weight '.*norm.*' has another size than its shape says; fetch", refusal(folder, BrokenRunError))


def test_shards_that_are_missing_or_lack_their_weights(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "sharded", shard="20KB")
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    shards = sorted(set(places.values()))
    lost, kept = shards[1], (folder / shards[1]).read_bytes()
    (folder / lost).unlink()
    assert refusal(folder, BrokenRunError) == (
        f"'{{folder}}/{lost}' is missing, one of the {len(shards)} shards that model.safetensors.index.json names; "
        "fetch the checkpoint again"
    )
    (folder / lost).write_bytes(kept[:-5])
    assert f"'{{folder}}/{lost}' is truncated: " in refusal(folder, BrokenRunError)
    (folder / lost).write_bytes((folder / shards[0]).read_bytes())
    assert re.search("lacks '.*', which model.safetensors.index.json places there; ", refusal(folder, BrokenRunError))
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../other.safetensors"}}))
    assert refusal(folder, InvalidValueError).endswith(
        "names of .safetensors files in the folder are needed, not ['../other.safetensors']"
    )
    index.write_text('{"weight_map": {"a"')
    assert "index.json' cannot be read (" in refusal(folder, BrokenRunError)


def test_pickled_or_absent_weights_and_configurations(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refusal(folder, BrokenRunError) == (
        "'{folder}' has neither model.safetensors nor model.safetensors.index.json, so no weights; "
        "fetch the checkpoint again"
    )
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}")
    assert refusal(folder, InvalidValueError) == (
        "'{folder}/pytorch_model.bin' is pickled, and unpickling can run any code, so it is never read; "
        "fetch or convert the checkpoint as safetensors"
    )
    (folder / "config.json").write_text("[]")
    assert refusal(folder, BrokenRunError) == "'{folder}/config.json' holds no JSON object; fetch the checkpoint again"
    (folder / "config.json").unlink()
    text = "'{folder}/config.json' is missing, so this is no checkpoint; fetch the checkpoint again"
    assert refusal(folder, BrokenRunError) == text


def test_names_of_the_hub_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    text = (
        "'HuggingFaceTB/SmolLM2-360M-intermediate-checkpoints' at revision 'step-160000' is neither a folder nor in "
        "the hub's cache, and the hub cannot be reached (LocalEntryNotFoundError); where there is a network, run\n"
        "  hf download HuggingFaceTB/SmolLM2-360M-intermediate-checkpoints --revision step-160000 --exclude '*.bin' "
        "--local-dir SmolLM2-360M-intermediate-checkpoints\nbring that folder here and give its path"
    )
    with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}$"):
        open_checkpoint("SmolLM2-360M-intermediate-checkpoints@step-160000")


def test_a_checkpoint_in_the_hubs_cache_is_found(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit, place = "0" * 40, tmp_path / "models--owner--name"
    (place / "snapshots").mkdir(parents=True)
    (place / "snapshots" / commit).symlink_to(whole)
    (place / "refs").mkdir()
    (place / "refs" / "step-5").write_text(commit)
    assert open_checkpoint("owner/name", revision="step-5").config == open_checkpoint(whole).config


def test_sources_that_contradict_themselves(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="^'a/b@x' names revision 'x', and 'y' was asked for; give one$"):
        open_checkpoint("a/b@x", revision="y")
    text = "^no folder '/no/such/folder'; give a checkpoint's folder, or a name of the hub, 'owner/name'$"
    with pytest.raises(InvalidValueError, match=text):
        open_checkpoint("/no/such/folder")
    (folder / "step-1").mkdir()
    text = (
        f"^folder '{folder}' has no revision 'step-2': in a folder, a revision is a folder of that name; it has step-1$"
    )
    with pytest.raises(InvalidValueError, match=text):
        open_checkpoint(folder, revision="step-2")


@pytest.mark.parametrize(
    ("scaling", "text"),
    [
        ({"kind": "llama3", "factor": 2.0}, "rotary scaling 'llama3' needs original, the length before scaling, >= 1"),
        (
            {"kind": "llama3", "original": 8, "low": 4.0, "high": 4.0},
            "rotary scaling 'llama3' needs low < high, got 4 and 4",
        ),
    ],
)
def test_scalings_that_contradict_themselves(scaling: dict[str, Any], text: str) -> None:
    shape = {"n_layers": 1, "n_heads": 1, "d_model": 4, "d_vocab": 3}
    with pytest.raises(InvalidValueError, match=text):
        ModelConfig.read({**shape, "rotary_scaling": scaling})
    text = "rotary scaling 'linear' with positions 'none': only rotary positions have frequencies; leave rotary_scaling"
    with pytest.raises(InvalidValueError, match=text):
        ModelConfig.read({**shape, "positions": "none", "rotary_scaling": {"kind": "linear", "factor": 2.0}})
    assert Fields(Path("x"), {"a": {"b": 1}}).inner("z", "a") == ("a", {"b": 1})
