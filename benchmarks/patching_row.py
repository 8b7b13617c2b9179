"""Row 4: activation patching of every head at every position, on the pairs of one task."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from transformer_lens import patching
from transformer_lens.model_bridge import TransformerBridge

from analyses import ActivationPatching
from benchmarks import machine, operations
from benchmarks.memory import peak_bytes
from benchmarks.pairs import check_close, logit_differences, sample_pair
from benchmarks.plain import N_CTX, PlainModel, plain_model
from benchmarks.results import OURS, PLAIN, TRANSFORMER_LENS, Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import LARGE_WEIGHTS, Shape
from tasks import Pair
from training import HookedTransformer
from training.interop import to_transformer_lens

TITLE = "patching of every head at every position"

TOLERANCE = 1e-5

Sweep = Callable[[Pair], Tensor]
"""From a pair to the logit differences [patch, batch], patches in the order layer, head, position."""


def compare_patching(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that all contenders find the same logit differences, then times their sweeps.

    Raises:
        RuntimeError: They find different ones.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    sweeps, sample = patching_sweeps(model), partial(sample_pair, length=shape.pair_length, device=shape.device)
    pair, few = sample(shape.pairs), sample(2)
    check_close({name: sweep(few) for name, sweep in sweeps.items()}, tolerance=TOLERANCE)
    work = {name: lambda _, sweep=sweep: sweep(pair) for name, sweep in sweeps.items()}
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product(shape.device)], seconds=seconds, device=shape.device)
    read, scored = pair.clean.inputs.shape[1], int(pair.clean.scored[0].sum())
    patches = model.config.n_layers * model.config.n_heads * read
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"patches": float(patches), "patched examples": float(patches * shape.pairs)},
        flops=shape.pairs * operations.patching_sweep(model.config, read=read, scored=scored),
        peaks={name: peak_bytes(partial(one, 0), device=shape.device) for name, one in work.items()},
        detail=f"{shape.pairs} pairs of length {shape.pair_length}; a unit is a sweep",
    )


def patching_sweeps(model: HookedTransformer) -> dict[str, Sweep]:
    """Each contender's way to patch the clean activations of a model into the counterfactual's run."""
    return {
        OURS: partial(our_sweep, model),
        TRANSFORMER_LENS: partial(bridge_sweep, to_transformer_lens(model, n_ctx=N_CTX)),
        PLAIN: partial(plain_sweep, plain_model(model)),
    }


def our_sweep(model: HookedTransformer, pair: Pair) -> Tensor:
    """One call."""
    sweep = ActivationPatching(site="z", by="head_position", direction="denoise", metric="logit_difference")
    return sweep.effects(model, pair).patched


@torch.no_grad()
def bridge_sweep(bridge: TransformerBridge, pair: Pair) -> Tensor:
    """TransformerLens' helper, which runs the model once per patch."""
    _, cache = bridge.run_with_cache(pair.clean.inputs, names_filter=lambda name: name.endswith("attn.hook_z"))
    with _no_progress_bar():
        found = patching.get_act_patch_attn_head_out_by_pos(
            bridge, pair.counterfactual.inputs, cache, partial(logit_differences, pair=pair), reduce="none"
        )
    return found.values.transpose(1, 2).flatten(0, 2)  # [layer, pos, head, batch] -> [layer * head * pos, batch]


@contextmanager
def _no_progress_bar() -> Generator[None]:
    shown = patching.tqdm
    patching.tqdm = partial(shown, disable=True)
    try:
        yield
    finally:
        patching.tqdm = shown


@torch.inference_mode()
def plain_sweep(plain: PlainModel, pair: Pair) -> Tensor:
    """Without a library: one forward pass per patch, with the clean z as an argument of the model."""
    zs: list[Tensor] = []
    plain(pair.clean.inputs, z=zs)
    base, found = pair.counterfactual.inputs, []
    for layer, z in enumerate(zs):
        for head in range(plain.config.n_heads):
            for position in range(base.shape[1]):
                logits = plain(base, exchange=(layer, head, position, z[:, position, head]))
                found.append(logit_differences(logits, pair))
    return torch.stack(found)
