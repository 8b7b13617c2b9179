"""How sharply a trained model's heads attend to what is to be written next, by length."""

from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from analyses.heads import Head, all_heads, check_heads
from tasks import Batch, InvalidValueError, Task
from training import HookedTransformer

SHARPNESS_COLUMNS = [
    "task", "length", "layer", "head", "positions", "mass", "mass_stderr", "entropy", "entropy_stderr", "n",
]  # fmt: skip

_WEIGHTS = 2**24
"""Attention weights held at a time, over all layers and heads."""


@torch.inference_mode()
def attention_sharpness(
    model: HookedTransformer,
    task: Task,
    *,
    lengths: Sequence[int],
    heads: Sequence[Head] = (),
    n: int = 128,
    generator: Generator,
) -> pd.DataFrame:
    """Entropy of each head's attention, and its mass on the source, by length, as `SorterTheory` has it for the sorter.

    The source of a position that predicts a scored token is every earlier position that holds that token, up to and
    with its own: for `sort` of distinct elements the smallest number, or the successor, in the input. Positions without
    a source, such as those that predict [EOS], are left out. Where tokens repeat the mass is on all copies.

    Columns: task; length; layer; head; positions (`end`: what predicts the first scored token, `=` or
    the last marker behind it; `answer`: behind that); mass (in [0, 1]) and entropy
    (nats), means over positions, then over examples; their standard errors over examples (missing for one example); n
    (examples that have such a position). Classes of positions without any such example have no row.

    Args:
        model: The model, left as it was; `run.model()` of a run.
        task: The task; it is bound to the model's vocabulary.
        lengths: The lengths.
        heads: The heads; all of them if none is named.
        n: Examples of the test stream for each length.
        generator: The source of the examples.

    Raises:
        InvalidValueError: No length, or one that the task cannot make; n below 1; a head that is not there; a
            vocabulary without the task's tokens.
    """
    if not lengths or n < 1:
        raise InvalidValueError(
            f"{n} examples of lengths {list(lengths)} cannot be measured; give at least one of each"
        )
    chosen = list(heads) or all_heads(model.config)
    check_heads(chosen, model.config)
    bound = task.bind(model.vocabulary)
    for length in lengths:
        bound.check_length(length)
    rows: list[tuple[object, ...]] = []
    for length in lengths:
        batch = bound.sample(n, length=length, generator=generator, stream="test").to(model.device)
        at_end = batch.predicting & (batch.predicting.cumsum(dim=1) == 1)
        sources = _sources(batch)
        measured = batch.predicting & sources.any(dim=2)
        found = _measured(model, batch, sources)
        for layer, head in chosen:
            for name, places in (("end", measured & at_end), ("answer", measured & ~at_end)):
                if bool(places.any()):
                    values = [_over_examples(kind[:, layer, head], places) for kind in found]
                    rows.append((task.name, length, layer, head, name, *values[0][:2], *values[1]))
    return pd.DataFrame(rows, columns=SHARPNESS_COLUMNS)


def _sources(batch: Batch) -> Bool[Tensor, "batch query key"]:
    """Which positions hold the token that each position must predict."""
    tokens, targets = batch.inputs, batch.tokens[:, 1:]
    return (tokens[:, None] == targets[:, :, None]).tril()


def _measured(
    model: HookedTransformer, batch: Batch, sources: Bool[Tensor, "batch query key"]
) -> tuple[Float[Tensor, "batch layer head query"], Float[Tensor, "batch layer head query"]]:
    """Mass on the source, and entropy, of every head at every position; in float64."""
    width, config = batch.inputs.shape[1], model.config
    rows = max(1, _WEIGHTS // (width**2 * config.n_heads * config.n_layers))
    masses, entropies = [], []
    for first in range(0, len(batch), rows):
        part = batch[first : first + rows]
        _, cache = model.run_with_cache(part.inputs, names_filter=lambda name: name.endswith("hook_pattern"))
        layers = [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(config.n_layers)]
        patterns = torch.stack(layers, dim=1).double()
        masses.append((patterns * sources[first : first + rows, None, None]).sum(dim=-1))
        entropies.append(-torch.special.xlogy(patterns, patterns).sum(dim=-1))
    return torch.cat(masses), torch.cat(entropies)


def _over_examples(
    values: Float[Tensor, "batch query"], places: Bool[Tensor, "batch query"]
) -> tuple[float, float, int]:
    """Mean over places, then over the examples that have one; its standard error; how many these are."""
    counts = places.sum(dim=1)
    means = ((values * places).sum(dim=1) / counts.clamp(min=1))[counts > 0]
    n = len(means)
    stderr = float(means.std() / n**0.5) if n > 1 else float("nan")
    return float(means.mean()), stderr, n
