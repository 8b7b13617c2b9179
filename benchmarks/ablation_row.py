"""Row 2: the map of mean ablations of every head, on two tasks."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from analyses import ablate_heads, get_metric
from analyses.heads import all_heads
from benchmarks import machine, operations
from benchmarks.memory import peak_bytes
from benchmarks.plain import N_CTX, PlainModel, plain_model
from benchmarks.results import Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import ABLATION_LENGTH, TASKS, Shape
from tasks import Batch
from training import HookedTransformer, named_generator
from training.evaluate import score_logits
from training.interop import to_transformer_lens

TITLE = f"mean ablation of every head, length {ABLATION_LENGTH}, two tasks"

TOLERANCE = 1e-5

LARGE_WEIGHTS = 0.1
"""Standard deviation of the model's weights: large enough that heads matter (freshly initialised ones hardly do)."""

Map = Callable[[Batch, str], Tensor]
"""From a batch and a metric's name to the metric's ablated minus clean value per head and example."""


def compare_ablation(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that all contenders find the same effects, then times their maps of both tasks.

    Raises:
        RuntimeError: Their effects differ, so a comparison of their times would mean nothing.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    maps = ablation_maps(model)
    check_equal(maps, sample_batches(min(shape.examples, 8)))
    batches = sample_batches(shape.examples)
    work = {name: partial(_both, one_map, batches) for name, one_map in maps.items()}
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product()], seconds=seconds)
    read, scored = batches[0].inputs.shape[1], int(batches[0].scored[0].sum())
    examples = len(batches) * shape.examples
    heads = model.config.n_layers * model.config.n_heads
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"head ablations": float(len(batches) * heads), "ablated examples": float(examples * heads)},
        flops=examples * operations.ablation_map(model.config, read=read, scored=scored),
        peaks={name: peak_bytes(partial(one, 0)) for name, one in work.items()},
        detail=f"{shape.examples} examples per task",
    )


def sample_batches(n: int) -> list[Batch]:
    """The test examples that are ablated, one batch per task."""
    generator = named_generator(0, "ablation")
    return [member.task.sample(n, length=ABLATION_LENGTH, generator=generator, stream="test") for member in TASKS]


def ablation_maps(model: HookedTransformer) -> dict[str, Map]:
    """Each contender's way to an ablation map of a model."""
    bridge, plain = to_transformer_lens(model, n_ctx=N_CTX), plain_model(model)
    return {
        "ours": partial(_our_map, model),
        "TransformerLens": partial(bridge_map, bridge),
        "plain PyTorch": partial(plain_map, plain, model.config.n_heads),
    }


def check_equal(maps: dict[str, Map], batches: Sequence[Batch]) -> None:
    """Raises RuntimeError unless all contenders find the same effects, in accuracy and in nats, to 1e-5."""
    for batch in batches:
        for metric in ("accuracy", "nll"):
            effects = {name: one_map(batch, metric) for name, one_map in maps.items()}
            for name, found in effects.items():
                difference = (found - effects["ours"]).abs().max().item()
                if difference > TOLERANCE * max(1.0, effects["ours"].abs().max().item()):
                    raise RuntimeError(f"effects ({metric}) of {name} and ours differ by {difference:.1e}")


def _both(one_map: Map, batches: Sequence[Batch], _: int) -> None:
    for batch in batches:
        one_map(batch, "accuracy")


def _our_map(model: HookedTransformer, batch: Batch, metric: str) -> Tensor:
    """One call of the engine."""
    scores = ablate_heads(model, batch, [(head,) for head in all_heads(model.config)], kind="mean")
    values = get_metric(metric).values
    return torch.stack([values(part) for part in scores.ablated]) - values(scores.clean)


@torch.no_grad()
def bridge_map(bridge: TransformerBridge, batch: Batch, metric: str) -> Tensor:
    """TransformerLens' way: cache every z, then one forward pass per head with a hook that puts the mean there."""
    logits, cache = bridge.run_with_cache(batch.inputs, names_filter=lambda name: name.endswith("attn.hook_z"))
    clean, effects = _metric(logits, batch, metric), []
    for layer in range(bridge.cfg.n_layers):
        name = f"blocks.{layer}.attn.hook_z"
        mean = cache[name].mean(dim=0)
        for head in range(bridge.cfg.n_heads):

            def exchange(z: Tensor, hook: HookPoint, head: int = head, mean: Tensor = mean) -> Tensor:
                z[:, :, head] = mean[:, head]
                return z

            logits = bridge.run_with_hooks(batch.inputs, fwd_hooks=[(name, exchange)])
            effects.append(_metric(logits, batch, metric) - clean)
    return torch.stack(effects)


@torch.inference_mode()
def plain_map(plain: PlainModel, n_heads: int, batch: Batch, metric: str) -> Tensor:
    """Without a library: one forward pass per head, with the mean as an argument of the model."""
    z: list[Tensor] = []
    clean, effects = _metric(plain(batch.inputs, z=z), batch, metric), []
    for layer, values in enumerate(z):
        mean = values.mean(dim=0)
        for head in range(n_heads):
            logits = plain(batch.inputs, ablate=(layer, head, mean[:, head]))
            effects.append(_metric(logits, batch, metric) - clean)
    return torch.stack(effects)


def _metric(logits: Tensor, batch: Batch, metric: str) -> Tensor:
    """Exact match as a user computes it from all logits; other metrics, for the check only, by our own scores."""
    if metric == "accuracy":
        right = logits.argmax(dim=-1) == batch.tokens[:, 1:]
        return (right | ~batch.predicting).all(dim=1).double()
    return get_metric(metric).values(score_logits(logits[batch.predicting], batch))
