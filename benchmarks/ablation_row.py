"""Row 2: the map of mean ablations of every head, on two tasks."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from analyses import ablate, get_metric
from analyses.examples import Examples
from analyses.heads import all_heads
from analyses.metrics import Reading
from benchmarks import machine, operations
from benchmarks.devices import Device
from benchmarks.memory import peak_bytes
from benchmarks.nnsight_peer import NNsightMap
from benchmarks.peers import made
from benchmarks.plain import N_CTX, PlainModel, plain_model
from benchmarks.pyvene_peer import PyveneMap
from benchmarks.results import OURS, PLAIN, TRANSFORMER_LENS, Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import ABLATION_LENGTH, LARGE_WEIGHTS, TASKS, Shape
from tasks import Batch
from training import HookedTransformer, named_generator
from training.interop import to_transformer_lens

TITLE = f"mean ablation of every head, length {ABLATION_LENGTH}, two tasks"

TOLERANCE = 1e-5

Runs = Callable[[Tensor], Iterator[Tensor]]
"""From tokens to the logits [batch, pos, vocab] of the clean model, then with each head ablated, layer by layer."""

Map = Callable[[Batch, str], Tensor]
"""From a batch and a metric's name to the metric's ablated minus clean value per head and example."""


def compare_ablation(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that all contenders find the same effects, then times their maps of both tasks.

    Raises:
        RuntimeError: Their effects differ, so a comparison of their times would mean nothing.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    maps, left_out = ablation_maps(model)
    check_equal(maps, sample_batches(min(shape.examples, 8), device=shape.device))
    batches = sample_batches(shape.examples, device=shape.device)
    work = {name: partial(_both, one_map, batches) for name, one_map in maps.items()}
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product(shape.device)], seconds=seconds, device=shape.device)
    read, scored = batches[0].inputs.shape[1], int(batches[0].scored[0].sum())
    examples = len(batches) * shape.examples
    heads = model.config.n_layers * model.config.n_heads
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"head ablations": float(len(batches) * heads), "ablated examples": float(examples * heads)},
        flops=examples * operations.ablation_map(model.config, read=read, scored=scored),
        peaks={name: peak_bytes(partial(one, 0), device=shape.device) for name, one in work.items()},
        detail=f"{shape.examples:,} examples per task; a unit is both maps",
        left_out=left_out,
    )


def sample_batches(n: int, *, device: Device = "cpu") -> list[Batch]:
    """The test examples that are ablated, one batch per task; the same on every device."""
    generator = named_generator(0, "ablation")
    made = [member.task.sample(n, length=ABLATION_LENGTH, generator=generator, stream="test") for member in TASKS]
    return [batch.to(torch.device(device)) for batch in made]


def ablation_maps(model: HookedTransformer) -> tuple[dict[str, Map], dict[str, str]]:
    """Each contender's way to an ablation map of a model, and why a contender has none here."""
    maps: dict[str, Map] = {OURS: partial(our_map, model)}
    peers, left_out = made(
        {
            TRANSFORMER_LENS: lambda: partial(bridge_runs, to_transformer_lens(model, n_ctx=N_CTX)),
            PLAIN: lambda: partial(plain_runs, plain_model(model)),
            "nnsight": lambda: NNsightMap(plain_model(model)),
            "pyvene": lambda: PyveneMap(plain_model(model)),
        }
    )
    return maps | {name: partial(_map_of, runs) for name, runs in peers.items()}, left_out


def check_equal(maps: dict[str, Map], batches: Sequence[Batch]) -> None:
    """Raises RuntimeError unless all contenders find the same effects, in accuracy and in nats, to 1e-5."""
    for batch in batches:
        for metric in ("accuracy", "nll"):
            effects = {name: one_map(batch, metric).cpu() for name, one_map in maps.items()}
            for name, found in effects.items():
                difference = (found - effects[OURS]).abs().max().item()
                if difference > TOLERANCE * max(1.0, effects[OURS].abs().max().item()):
                    raise RuntimeError(f"effects ({metric}) of {name} and ours differ by {difference:.1e}")


def _both(one_map: Map, batches: Sequence[Batch], _: int) -> None:
    for batch in batches:
        one_map(batch, "accuracy")


def our_map(model: HookedTransformer, batch: Batch, metric: str) -> Tensor:
    """One call of the engine."""
    sets = [(head,) for head in all_heads(model.config)]
    outcome = ablate(model, Examples(batch), sets, kind="mean", metrics=(metric,))
    return outcome.edited[metric] - outcome.unedited[metric]


@torch.no_grad()
def bridge_runs(bridge: TransformerBridge, tokens: Tensor) -> Iterator[Tensor]:
    """TransformerLens' way: cache every z, then one forward pass per head with a hook that puts the mean there."""
    logits, cache = bridge.run_with_cache(tokens, names_filter=lambda name: name.endswith("attn.hook_z"))
    yield logits
    for layer in range(bridge.cfg.n_layers):
        name = f"blocks.{layer}.attn.hook_z"
        mean = cache[name].mean(dim=0)
        for head in range(bridge.cfg.n_heads):

            def exchange(z: Tensor, hook: HookPoint, head: int = head, mean: Tensor = mean) -> Tensor:
                z[:, :, head] = mean[:, head]
                return z

            yield bridge.run_with_hooks(tokens, fwd_hooks=[(name, exchange)])


@torch.inference_mode()
def plain_runs(plain: PlainModel, tokens: Tensor) -> Iterator[Tensor]:
    """Without a library: one forward pass per head, with the mean as an argument of the model."""
    z: list[Tensor] = []
    yield plain(tokens, z=z)
    for layer, values in enumerate(z):
        mean = values.mean(dim=0)
        for head in range(plain.config.n_heads):
            yield plain(tokens, exchange=(layer, head, slice(None), mean[:, head]))


def _map_of(runs: Runs, batch: Batch, metric: str) -> Tensor:
    clean, *ablated = (_metric(logits, batch, metric) for logits in runs(batch.inputs))
    return torch.stack(ablated) - clean


def _metric(logits: Tensor, batch: Batch, metric: str) -> Tensor:
    """Exact match as a user computes it from all logits; other metrics, for the check only, by our own."""
    if metric == "accuracy":
        right = logits.argmax(dim=-1) == batch.tokens[:, 1:]
        return (right | ~batch.predicting).all(dim=1).double()
    return get_metric(metric).values(logits[batch.predicting], Reading(batch))
