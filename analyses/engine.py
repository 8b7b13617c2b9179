"""The intervention engine: many head ablations of one batch, exact, without running anything twice.

A single ablation changes nothing before its layer. So the clean run is made once, a part of the batch at a time, and
each ablation starts from that run's residual stream in the middle of the ablated layer, where the head's contribution
`z[head] @ W_O[head]` is exchanged; several ablations are stacked into one batch up to a token budget; and in the last
layer only the positions that predict scored tokens are computed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.heads import Head, check_heads
from tasks import Batch, InvalidValueError
from training import HookedTransformer
from training.evaluate import Scores, join_scores, score_logits

AblationKind = Literal["zero", "mean", "mean_all"]

TOKEN_BUDGET = 4096
"""Tokens run at a time: measured best on a CPU, where larger stacks leave the cache (docs/benchmarks.md)."""


@dataclass(frozen=True)
class AblationScores:
    """What a batch scores as it is, and with each set of heads ablated.

    Attributes:
        clean: The scores of the unchanged model.
        ablated: The scores for each set of heads, in the order asked.
    """

    clean: Scores
    ablated: list[Scores]


@torch.inference_mode()
def ablate_heads(
    model: HookedTransformer,
    batch: Batch,
    sets: Sequence[Sequence[Head]],
    *,
    kind: AblationKind,
    task_head: int = 0,
    token_budget: int = TOKEN_BUDGET,
    on_done: Callable[[int, int], object] = lambda *_: None,
) -> AblationScores:
    """Scores a batch with each set of heads ablated, one set at a time.

    A head is ablated by exchanging its output z [batch, pos, d_head] for a reference, at every position: `zero`;
    `mean`: the mean over the batch at that position (Extrapolation by Association, appendix); `mean_all`: the mean over
    batch and positions. The means are those of the clean run, over positions that are read to predict a scored token:
    where answers differ in length, a late position's mean is over the examples that reach it, and where only one does,
    it is that one's own value. The heads of one set are ablated together.

    Args:
        model: The model, with nothing hooked to it. It is left as it was.
        batch: Examples whose prompts have one length, so that positions align; answers may differ in length.
        sets: The sets of heads.
        kind: What takes the place of a head's output.
        task_head: Which unembedding to use, if the model has one for each task.
        token_budget: The most tokens run at a time, however many interventions they stem from (at least one example).
        on_done: Called with the number of forward passes done and to do.

    Returns:
        The scores, equal to those of running every set alone with hooks on `hook_z`, to rounding.

    Raises:
        InvalidValueError: A head that is not there or named twice, an empty set, no examples, or prompts of different
            lengths, a mean over one example, a model with hooks attached, or a model whose logits are not finite.
    """
    _check(model, batch, sets, kind)
    device = model.device
    batch = Batch(batch.tokens.to(device), batch.scored.to(device))
    reference = _reference(model, batch, kind, token_budget)
    rows = max(1, token_budget // batch.inputs.shape[1])
    chunks = [batch[first : first + rows] for first in range(0, len(batch), rows)]
    clean, ablated = [], []
    for place, chunk in enumerate(chunks):
        run = _CleanRun.of(model, chunk, task_head)
        clean.append(run.scores)
        together = max(1, token_budget // chunk.inputs.numel())
        ablated.append(_ablated(model, chunk, run, sets, reference, together, task_head))
        on_done(place + 1, len(chunks))
    return AblationScores(join_scores(clean), [join_scores(parts) for parts in zip(*ablated, strict=True)])


def _check(model: HookedTransformer, batch: Batch, sets: Sequence[Sequence[Head]], kind: str) -> None:
    if model.is_hooked:
        raise InvalidValueError("the model has hooks attached; remove them with model.reset_hooks() before an ablation")
    if kind not in ("zero", "mean", "mean_all"):
        raise InvalidValueError(f"ablation kind {kind!r} is unknown; allowed are zero, mean and mean_all")
    for heads in sets:
        if not heads:
            raise InvalidValueError("a set of heads to ablate is empty; name at least one head")
        check_heads(heads, model.config)
    if not len(batch):
        raise InvalidValueError("a batch of 0 examples cannot be ablated; use n >= 1, or n >= 2 for kind 'mean'")
    starts = batch.scored.int().argmax(dim=1)
    if not bool((starts == starts[0]).all()):
        raise InvalidValueError("the prompts have different lengths, so their positions do not align; use one length")
    if kind == "mean" and len(batch) < 2:
        raise InvalidValueError("the mean over one example is the example itself; use n >= 2, or kind 'zero'")


def _reference(
    model: HookedTransformer, batch: Batch, kind: AblationKind, token_budget: int
) -> Float[Tensor, "layer pos head d_head"]:
    """What takes the place of every head's z."""
    config, inputs = model.config, batch.inputs
    shape = (config.n_layers, inputs.shape[1], config.n_heads, config.d_head)
    total = torch.zeros(shape, dtype=torch.float64, device=inputs.device)
    if kind == "zero":
        return total.to(model.dtype)
    read = _read(batch)
    rows = max(1, token_budget // inputs.shape[1])
    for part, counted in zip(inputs.split(rows), read.split(rows), strict=True):
        resid = model.start(part)
        for layer, block in enumerate(model.blocks):
            z = block.attn.z(block.ln1(resid))
            total[layer] += (z.double() * counted[:, :, None, None]).sum(dim=0)
            if layer < config.n_layers - 1:  # nothing reads what the last layer writes
                resid = block.after_attention(resid + block.attn.out(z))
    if kind == "mean_all":
        return (total.sum(dim=1, keepdim=True) / read.sum()).expand(shape).to(model.dtype)
    return (total / read.sum(dim=0).clamp(min=1)[:, None, None]).to(model.dtype)


def _read(batch: Batch) -> Bool[Tensor, "batch input"]:
    """True at the positions that are read to predict a scored token: up to the last one that predicts."""
    return batch.predicting.flip(1).cumsum(dim=1).flip(1) > 0


@dataclass(frozen=True)
class _CleanRun:
    """A clean run of a part of the batch: what each layer's ablations start from."""

    z: list[Float[Tensor, "batch pos head d_head"]]
    middle: list[Float[Tensor, "batch pos d_model"]]
    scores: Scores

    @classmethod
    def of(cls, model: HookedTransformer, chunk: Batch, task_head: int) -> "_CleanRun":
        zs, middles = [], []
        resid = model.start(chunk.inputs)
        for layer, block in enumerate(model.blocks):
            z = block.attn.z(block.ln1(resid))
            resid = resid + block.attn.out(z)
            zs.append(z)
            middles.append(resid)
            last = layer == model.config.n_layers - 1
            resid = block.after_attention(resid[chunk.predicting] if last else resid)
        logits = model.logits(resid, task=task_head)
        if not bool(torch.isfinite(logits).all()):
            raise InvalidValueError(
                "the model's logits are not finite, so no effect can be measured; check its weights"
            )
        return cls(zs, middles, score_logits(logits, chunk))


def _ablated(
    model: HookedTransformer,
    chunk: Batch,
    run: _CleanRun,
    sets: Sequence[Sequence[Head]],
    reference: Tensor,
    together: int,
    task_head: int,
) -> list[Scores]:
    """The scores of a part of the batch with each set ablated, sets with the same first layer stacked."""
    scores: list[Scores | None] = [None] * len(sets)
    for layer, places in _by_first_layer(sets):
        for start in range(0, len(places), together):
            stack = places[start : start + together]
            logits = _run_stack(model, chunk, run, [sets[place] for place in stack], layer, reference, task_head)
            for place, part in zip(stack, logits.chunk(len(stack)), strict=True):
                scores[place] = score_logits(part, chunk)
    return [score for score in scores if score is not None]


def _by_first_layer(sets: Sequence[Sequence[Head]]) -> Iterator[tuple[int, list[int]]]:
    first = [min(head.layer for head in heads) for heads in sets]
    for layer in sorted(set(first)):
        yield layer, [place for place, other in enumerate(first) if other == layer]


def _run_stack(
    model: HookedTransformer,
    chunk: Batch,
    run: _CleanRun,
    stack: Sequence[Sequence[Head]],
    layer: int,
    reference: Tensor,
    task_head: int,
) -> Float[Tensor, "scored vocab"]:
    """Logits at the predicting positions, set after set, of several sets whose first head is in one layer."""
    last = model.config.n_layers - 1
    first = int(chunk.predicting[0].long().argmax())  # no earlier position is read in the last layer
    start = first if layer == last else 0
    changed = [_exchanged(model, run, heads, layer, reference, start) for heads in stack]
    resid = torch.cat(changed)  # [set * batch, pos, d_model]
    for later in range(layer + 1, last + 1):
        resid = model.blocks[later - 1].after_attention(resid)
        start = first if later == last else 0
        resid = _middle_with(model, resid, stack, later, reference, start)
    predicting = chunk.predicting[:, first:].repeat(len(stack), 1)
    return model.logits(model.blocks[last].after_attention(resid[predicting]), task=task_head)


def _exchanged(
    model: HookedTransformer, run: _CleanRun, heads: Sequence[Head], layer: int, reference: Tensor, start: int
) -> Float[Tensor, "batch pos d_model"]:
    """The clean residual stream in the middle of a layer with that layer's heads of the set exchanged."""
    chosen = [head.head for head in heads if head.layer == layer]
    change = reference[layer, start:, chosen] - run.z[layer][:, start:, chosen]
    return run.middle[layer][:, start:] + change.flatten(2) @ model.blocks[layer].attn.W_O[chosen].flatten(0, 1)


def _middle_with(
    model: HookedTransformer, resid: Tensor, stack: Sequence[Sequence[Head]], layer: int, reference: Tensor, start: int
) -> Float[Tensor, "batch pos d_model"]:
    """The middle of a later layer, computed anew, with the heads that the sets have there exchanged as well."""
    block = model.blocks[layer]
    if not any(head.layer == layer for heads in stack for head in heads):
        return block.middle(resid, first=start)
    z = block.attn.z(block.ln1(resid), first=start)
    for part, heads in zip(z.chunk(len(stack)), stack, strict=True):
        for head in heads:
            if head.layer == layer:
                part[:, :, head.head] = reference[layer, start:, head.head]
    return resid[:, start:] + block.attn.out(z)
