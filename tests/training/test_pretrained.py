"""Checkpoints against `transformers` and TransformerLens' bridge: same logits, same activations, and back again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import AutoModelForCausalLM

from tasks import InvalidValueError, get_task
from tests.training.pretrained_models import CHECKPOINTS, change_config, some_ids, theirs, write_checkpoint
from training.interop import from_transformer_lens
from training.model import pack
from training.pretrained import load_for_tasks, load_pretrained, open_checkpoint, save_pretrained

SITES = ("hook_resid_pre", "hook_resid_post", "attn.hook_pattern", "attn.hook_z", "attn.hook_q", "attn.hook_k",
         "attn.hook_v", "attn.hook_rot_q", "attn.hook_rot_k", "hook_attn_out", "hook_mlp_out")  # fmt: skip
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
"""Theirs computes angles in float32, ours in float64."""


@pytest.fixture(scope="module", params=CHECKPOINTS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Each kind of checkpoint, written once."""
    return request.param, write_checkpoint(tmp_path_factory.mktemp("checkpoint"), request.param)


@torch.no_grad()
def test_logits_are_those_of_transformers_on_the_fast_and_the_hooked_path(case: tuple[str, Path]) -> None:
    name, folder = case
    model, ids = load_pretrained(folder).model, some_ids()
    wanted, fast = theirs(name)(ids).logits, model(ids)
    hooked, cache = model.run_with_cache(ids)
    assert wanted.std() > 0.5  # so that 1e-4 says something
    torch.testing.assert_close(fast, wanted, **CLOSE)
    torch.testing.assert_close(hooked, fast, rtol=1e-5, atol=1e-5)
    assert cache["pattern", 1].shape == (2, 6, 40, 40)


@torch.no_grad()
def test_activations_are_those_of_the_bridge_to_the_same_model(case: tuple[str, Path]) -> None:
    name, folder = case
    model, ids, original = load_pretrained(folder).model, some_ids(pos=20), theirs(name)
    bridge = build_bridge_from_module(original, type(original).__name__, hf_config=original.config).eval()
    bridge_logits, wanted = bridge.run_with_cache(ids)
    logits, ours = model.run_with_cache(ids)
    torch.testing.assert_close(logits, bridge_logits, **CLOSE)
    for layer in range(2):
        for site in SITES:
            point = f"blocks.{layer}.{site}"
            there = wanted[point]
            torch.testing.assert_close(
                ours[point], there.reshape(ours[point].shape), **CLOSE, msg=lambda text, point=point: f"{point}: {text}"
            )
    back = from_transformer_lens(bridge, model.vocabulary)
    assert back.config == model.config
    assert torch.equal(back(ids), model(ids))


@torch.no_grad()
def test_saved_checkpoints_are_loaded_by_transformers_with_equal_logits(case: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = case
    pretrained, ids = load_pretrained(folder), some_ids()
    saved = save_pretrained(pretrained, tmp_path / "one" / "saved")
    reloaded: Any = AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager")
    assert torch.equal(reloaded(ids).logits, theirs(name)(ids).logits)
    again = load_pretrained(saved)
    assert again.model.config == pretrained.model.config
    assert torch.equal(again.model(ids), pretrained.model(ids))
    assert {path.name for path in saved.iterdir()} == {"config.json", "generation_config.json", "model.safetensors",
                                                       "tokenizer.json"}  # fmt: skip
    assert list((tmp_path / "one").iterdir()) == [saved]


@torch.no_grad()
def test_sharded_checkpoints_in_both_directions(tmp_path: Path) -> None:
    folder, ids = write_checkpoint(tmp_path / "sharded", shard="20KB"), some_ids()
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    pretrained = load_pretrained(folder)
    torch.testing.assert_close(pretrained.model(ids), theirs("Llama")(ids).logits, **CLOSE)
    saved = save_pretrained(pretrained, tmp_path / "saved", shard_bytes=20_000)
    shards = sorted(path.name for path in saved.glob("*.safetensors"))
    # two embeddings of 300 x 24 x 4 = 28,800 bytes, each more than a shard; the layers have 12,384 bytes each
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((saved / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(p.numel() * 4 for p in pretrained.model.parameters())
    reloaded: Any = AutoModelForCausalLM.from_pretrained(saved)
    assert torch.equal(reloaded.lm_head.weight, pretrained.model.W_U.T)
    assert torch.equal(load_pretrained(saved).model(ids), pretrained.model(ids))


@torch.no_grad()
def test_half_precision_is_the_rounded_checkpoint(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "whole", "Qwen2")
    exact, half = load_pretrained(folder).model, load_pretrained(folder, dtype="bfloat16").model
    for name, value in exact.state_dict().items():
        assert torch.equal(half.state_dict()[name], value.bfloat16()), name
    assert {buffer.dtype for buffer in half.buffers()} == {torch.bfloat16}
    saved = save_pretrained(load_pretrained(folder, dtype="bfloat16"), tmp_path / "half")
    reloaded: Any = AutoModelForCausalLM.from_pretrained(saved, dtype="auto")
    assert reloaded.dtype == torch.bfloat16
    assert torch.equal(load_pretrained(saved).model.W_E, half.W_E.float())


@torch.no_grad()
def test_old_names_of_rotary_fields_mean_the_same(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "new", "Llama, llama3")
    wanted = open_checkpoint(folder).config
    rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    change_config(folder, {"rope_parameters": None, "rope_theta": theta, "rope_scaling": {**rope, "type": kind}})
    assert open_checkpoint(folder).config == wanted
    change_config(folder, {"rope_scaling": None, "architectures": None})  # then model_type says what it is
    assert open_checkpoint(folder).config == wanted.model_copy(update={"rotary_scaling": type(wanted.rotary_scaling)()})


def test_packed_examples_give_the_same_logits_as_single_ones(tmp_path: Path) -> None:
    task = get_task("copy", alphabet=4, case="lower")
    folder = write_checkpoint(tmp_path / "checkpoint", "Llama, yarn")
    model = load_for_tasks(folder, task.vocabulary, generator=torch.Generator().manual_seed(0)).model
    batch = task.sample(6, length=torch.tensor([2, 9, 3, 1, 5, 4]), generator=torch.Generator().manual_seed(1))
    packed = model.logits(model.packed_residual(pack(batch)))
    torch.testing.assert_close(packed, model(batch.inputs)[batch.predicting], rtol=1e-5, atol=1e-5)


def test_loading_draws_nothing_and_needs_no_gradient(tmp_path: Path) -> None:
    folder, state = write_checkpoint(tmp_path / "checkpoint"), torch.get_rng_state()
    model = load_pretrained(folder).model
    assert torch.equal(torch.get_rng_state(), state)
    model(some_ids(), return_type="loss").backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_folder_in_a_folder_is_its_revision(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "series" / "step-10")
    assert open_checkpoint(f"{tmp_path}/series@step-10").folder == tmp_path / "series" / "step-10"
    assert open_checkpoint(tmp_path / "series", revision="step-10").folder == tmp_path / "series" / "step-10"


def test_saving_refuses_a_place_that_is_taken_and_another_model(tmp_path: Path) -> None:
    pretrained = load_pretrained(write_checkpoint(tmp_path / "one"))
    with pytest.raises(InvalidValueError, match=f"^'{tmp_path}/one' exists and is not empty; choose another place$"):
        save_pretrained(pretrained, tmp_path / "one")
    (tmp_path / "empty").mkdir()
    assert load_pretrained(save_pretrained(pretrained, tmp_path / "empty")).checkpoint.folder == tmp_path / "empty"
    other = load_pretrained(write_checkpoint(tmp_path / "other", "Llama, tied")).model
    text = "the model has rotary_base 5000.5, its checkpoint '.*one' 10000.0; save it with the checkpoint that it was"
    with pytest.raises(InvalidValueError, match=text):
        save_pretrained(replace(pretrained, model=other), tmp_path / "mixed")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValueError, match="cannot write '.*file/inside': .*; choose another place"):
        save_pretrained(pretrained, tmp_path / "file" / "inside")
