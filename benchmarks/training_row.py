"""Row 1: training examples per second on a mixture of two tasks at mixed lengths."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import machine, operations
from benchmarks.memory import peak_bytes
from benchmarks.plain import N_CTX, plain_model
from benchmarks.results import Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import TASKS, Shape
from tasks import Batch
from training import TrainConfig, named_generator
from training.interop import to_transformer_lens
from training.loop import Training
from training.mixture import draw_buckets
from training.optimizer import learning_rate

TITLE = "training, mixed lengths 1..16 and 1..32"

IGNORED = -100


def compare_training(shape: Shape, *, seconds: float) -> Comparison:
    """Times our training step against the TransformerLens loop and the plain loop, all on the same examples."""
    config = shape.config()
    steps = training_steps(config)
    contenders = [Contender(name, step) for name, step in steps.items()]
    rounds = run_rounds([*contenders, machine.matrix_product()], seconds=seconds)
    read, scored, flops = _work(config, steps=32)
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"examples": float(shape.batch_size), "scored tokens": scored, "tokens": read},
        flops=flops,
        peaks={name: peak_bytes(lambda step=step: step(0)) for name, step in steps.items()},
        detail=f"batch {shape.batch_size}, {config.train.buckets} buckets",
    )


def training_steps(config: TrainConfig) -> dict[str, Callable[[int], Tensor]]:
    """Each contender's training step: takes the step's number, returns its loss in nats per scored token."""
    ours = Training(config)
    bridge = to_transformer_lens(ours.model, n_ctx=N_CTX).train()
    return {
        "ours": lambda step: _our_step(ours, step),
        "TransformerLens": padded_loop(bridge, config),
        "plain PyTorch": padded_loop(plain_model(ours.model), config),
    }


def _our_step(training: Training, step: int) -> Tensor:
    losses, _ = training.step(step)
    return losses[:, 0].sum() / losses[:, 1].sum()


def padded_loop(model: nn.Module, config: TrainConfig) -> Callable[[int], Tensor]:
    """The training step that users write: one padded batch, every logit, positions that do not count ignored."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": config.train.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    betas = (config.train.beta1, config.train.beta2)
    optimizer = torch.optim.AdamW(groups, lr=config.train.learning_rate, betas=betas, eps=1e-12, fused=True)

    def step(number: int) -> Tensor:
        batch = padded_batch(config, number)
        targets = batch.tokens[:, 1:].masked_fill(~batch.predicting, IGNORED)
        logits = model(batch.inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.train.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(number, config.train)
        optimizer.step()
        return loss.detach()

    return step


def padded_batch(config: TrainConfig, step: int) -> Batch:
    """The examples of our training step of that number, in one block padded to the longest."""
    generator = named_generator(config.seed, "train", step)
    return draw_buckets(TASKS, n=config.train.batch_size, buckets=1, generator=generator)[0].batch


def _work(config: TrainConfig, *, steps: int) -> tuple[float, float, float]:
    """Mean input tokens, scored tokens and needed floating-point operations of a step."""
    read = scored = flops = 0
    for step in range(steps):
        batch = padded_batch(config, step)
        for row in batch.predicting.int():
            predicted = int(row.sum())
            until = int(row.nonzero().max()) + 1
            read, scored = read + until, scored + predicted
            flops += operations.training(config.model, read=until, scored=predicted)
    return read / steps, scored / steps, flops / steps
