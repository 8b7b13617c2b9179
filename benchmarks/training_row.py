"""Row 1: training examples per second on a mixture of two tasks at mixed lengths."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks import lens3, machine, operations
from benchmarks.memory import peak_bytes
from benchmarks.padded import IGNORED, padded_steps
from benchmarks.plain import N_CTX, plain_model
from benchmarks.results import HALF, OURS, PLAIN, TRANSFORMER_LENS, Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import TASKS, Shape
from tasks import Batch
from training import TrainConfig, named_generator
from training.interop import to_transformer_lens
from training.loop import Training
from training.mixture import draw_examples
from training.optimizer import learning_rate

TITLE = "training, mixed lengths 1..16 and 1..32"

LENS_3 = f"{TRANSFORMER_LENS} 3.9"

Step = Callable[[int], object]
"""A training step; takes its number."""


def compare_training(shape: Shape, *, seconds: float) -> Comparison:
    """Times our training step against the TransformerLens loops and the plain loop, all on the same examples."""
    config = shape.config()
    steps: dict[str, Step] = {**training_steps(config)}
    peaks = {name: peak_bytes(lambda step=step: step(0)) for name, step in steps.items()}
    left_out = {}
    with _lens_3(config) as worker:
        if isinstance(worker, str):
            left_out[LENS_3] = worker
        else:
            steps[LENS_3] = lambda number: worker.step(*_loop_batch(config, number))
            peaks[LENS_3] = worker.peak(*_loop_batch(config, 0))
        contenders = [Contender(name, step) for name, step in steps.items()]
        rounds = run_rounds([*contenders, machine.matrix_product()], seconds=seconds)
    read, scored, flops = _work(config, steps=32)
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"examples": float(shape.batch_size), "scored tokens": scored, "tokens": read},
        flops=flops,
        peaks=peaks,
        detail=f"batch {shape.batch_size}; a unit is a step",
        left_out=left_out,
        slopes={name: memory_slope(config, precision) for name, precision in ((OURS, "float32"), (HALF, "bfloat16"))},
    )


def training_steps(config: TrainConfig) -> dict[str, Callable[[int], Tensor]]:
    """Each contender's training step: takes the step's number, returns its loss in nats per scored token."""
    model = Training(config).model
    bridge = to_transformer_lens(model, n_ctx=N_CTX).train()
    return {
        OURS: _our_steps(config, "float32"),
        HALF: _our_steps(config, "bfloat16"),
        TRANSFORMER_LENS: padded_loop(bridge, config),
        PLAIN: padded_loop(plain_model(model), config),
        f"{PLAIN}, bfloat16": padded_loop(plain_model(model), config, precision="bfloat16"),
    }


def _our_steps(config: TrainConfig, precision: str, **changes: int) -> Callable[[int], Tensor]:
    settings = config.train.model_copy(update={"precision": precision, **changes})
    training = Training(config.model_copy(update={"train": settings}))

    def step(number: int) -> Tensor:
        losses, _ = training.step(number)
        return losses[:, 0].sum() / losses[:, 1].sum()

    return step


def padded_loop(model: nn.Module, config: TrainConfig, *, precision: str = "float32") -> Callable[[int], Tensor]:
    """The training step that users write, on the examples of ours."""
    settings = config.train
    step = padded_steps(
        model,
        weight_decay=settings.weight_decay,
        betas=(settings.beta1, settings.beta2),
        clip=settings.clip,
        precision=precision,
    )
    return lambda number: step(*_loop_batch(config, number))


def memory_slope(config: TrainConfig, precision: str) -> float:
    """MiB that a step's peak memory grows by with every 1,000 tokens that its examples have."""
    few, many = config.train.batch_size, 2 * config.train.batch_size
    peaks, tokens = [], []
    for size in (few, many):
        step = _our_steps(config, precision, batch_size=size)
        step(0)  # the tables of positions are made once
        peaks.append(peak_bytes(lambda step=step: step(1)))
        changed = config.train.model_copy(update={"batch_size": size})
        tokens.append(sum(_read(padded_batch(config.model_copy(update={"train": changed}), 1))))
    return (peaks[1] - peaks[0]) / 2**20 / (tokens[1] - tokens[0]) * 1000


@contextmanager
def _lens_3(config: TrainConfig) -> Generator[lens3.Worker | str]:
    """The process of TransformerLens 3.9, or why there is none."""
    model, settings = config.model, config.train
    shape = {
        "n_layers": model.n_layers, "n_heads": model.n_heads, "d_model": model.d_model, "d_head": model.d_head,
        "d_mlp": model.d_mlp, "d_vocab": model.d_vocab, "n_ctx": N_CTX, "act_fn": model.activation, "gated_mlp": True,
        "normalization_type": model.norm, "final_rms": True, "positional_embedding_type": "rotary",
        "rotary_dim": model.d_head, "seed": 0, "device": "cpu",
    }  # fmt: skip
    start = {
        "model": shape, "threads": torch.get_num_threads(), "weight_decay": settings.weight_decay,
        "betas": (settings.beta1, settings.beta2), "clip": settings.clip,
    }  # fmt: skip
    try:
        worker = lens3.Worker([str(lens3.environment()), "-m", "benchmarks.lens3_worker"], start)
    except lens3.Unavailable as reason:
        yield str(reason)
    else:
        with worker:
            yield worker


def _loop_batch(config: TrainConfig, number: int) -> tuple[Tensor, Tensor, float]:
    """What a loop's step of that number is given: inputs, targets, learning rate."""
    batch = padded_batch(config, number)
    targets = batch.tokens[:, 1:].masked_fill(~batch.predicting, IGNORED)
    return batch.inputs, targets, learning_rate(number, config.train)


def padded_batch(config: TrainConfig, step: int) -> Batch:
    """The examples of our training step of that number, in one block padded to the longest."""
    generator = named_generator(config.seed, "train", step)
    return draw_examples(TASKS, n=config.train.batch_size, generator=generator).batch


def _work(config: TrainConfig, *, steps: int) -> tuple[float, float, float]:
    """Mean input tokens, scored tokens and needed floating-point operations of a step."""
    read = scored = flops = 0
    for step in range(steps):
        batch = padded_batch(config, step)
        for until, predicted in zip(_read(batch), batch.predicting.sum(dim=1).tolist(), strict=True):
            read, scored = read + until, scored + predicted
            flops += operations.training(config.model, read=until, scored=predicted)
    return read / steps, scored / steps, flops / steps


def _read(batch: Batch) -> list[int]:
    """How many tokens of each example are needed: up to the last predicting position."""
    return (batch.predicting.long().cumsum(dim=1).argmax(dim=1) + 1).tolist()
