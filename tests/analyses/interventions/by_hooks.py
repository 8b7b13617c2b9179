"""The definition of an intervention: one run of the whole batch, with TransformerLens hooks that write at sites."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses.heads import Head
from analyses.interventions import Edit, Intervention
from training import HookedTransformer

HOOKS = {
    "resid_pre": "hook_resid_pre", "q": "attn.hook_q", "k": "attn.hook_k", "v": "attn.hook_v",
    "pattern": "attn.hook_pattern", "z": "attn.hook_z", "attn_out": "hook_attn_out", "resid_mid": "hook_resid_mid",
    "mlp_out": "hook_mlp_out", "resid_post": "hook_resid_post",
}  # fmt: skip


class ByHooks:
    """Runs of `inputs` that are edited with what a run of `other` holds, one at a time."""

    def __init__(self, model: HookedTransformer, inputs: Tensor, other: Tensor, *, task_head: int = 0) -> None:
        self.model, self.inputs, self.task_head = model, inputs, task_head
        self.base, self.source = (
            model.run_with_cache(tokens, return_cache_object=False)[1] for tokens in (inputs, other)
        )

    def logits(self, intervention: Intervention) -> Tensor:
        """Logits at every position."""
        hooks: list[Any] = []
        for edit in intervention:
            value = by_path(self.model, self.base, self.source, edit) if edit.senders else None
            hooks.append((f"blocks.{edit.layer}.{HOOKS[edit.site]}", _writer(edit, self.source, value)))
        return self.model.run_with_hooks(self.inputs, fwd_hooks=hooks, task=self.task_head)


def _writer(edit: Edit, source: Any, value: Tensor | None) -> Callable[[Tensor, HookPoint], Tensor]:
    def write(activation: Tensor, hook: HookPoint) -> Tensor:
        new = activation.clone()
        assert hook.name is not None
        for position in edit.places.positions:
            place: Any = (slice(None), position)
            if edit.site == "pattern":
                place = (slice(None), edit.head, position)
            elif edit.head >= 0:
                place = (slice(None), position, edit.head)
            new[place] = source[hook.name][place] if value is None else value[:, position]
        return new

    return write


def by_path(model: HookedTransformer, base: Any, source: Any, edit: Edit) -> Tensor:
    """What the receiver computes from the stream with its senders' outputs exchanged, at every position."""
    block, at = model.blocks[edit.layer], f"blocks.{edit.layer}"
    stream = {"mlp_out": "hook_resid_mid", "resid_post": "hook_resid_post"}.get(edit.site, "hook_resid_pre")
    reads = base[f"{at}.{stream}"]
    for sender in edit.senders:
        if sender == "embed":
            reads = reads + source["blocks.0.hook_resid_pre"] - base["blocks.0.hook_resid_pre"]
        elif isinstance(sender, Head):
            name, W_O = f"blocks.{sender.layer}.attn.hook_z", model.blocks[sender.layer].attn.W_O[sender.head]
            reads = reads + source[name][:, :, sender.head] @ W_O - base[name][:, :, sender.head] @ W_O
        else:
            name = f"blocks.{sender.layer}.hook_mlp_out"
            reads = reads + source[name] - base[name]
    if edit.site == "resid_post":
        return reads
    if edit.site == "mlp_out":
        return block.mlp(block.ln2(reads))
    maps = {"q": ("W_Q", "b_Q"), "k": ("W_K", "b_K"), "v": ("W_V", "b_V")}[edit.site]
    weight, bias = (getattr(block.attn, name)[edit.head] for name in maps)
    return block.ln1(reads) @ weight + bias


def random_biases(model: HookedTransformer, generator: torch.Generator) -> HookedTransformer:
    """The same model with biases drawn, so that no test passes because they are zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".b_" in name:
                parameter.normal_(generator=generator)
    return model
