"""Row 6: exact-match evaluation, in one pass against greedy decoding."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from benchmarks import machine, operations
from benchmarks.llama import llama_bridge
from benchmarks.memory import peak_bytes
from benchmarks.results import OURS, TRANSFORMER_LENS, Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import EVALUATION_LENGTH, LARGE_WEIGHTS, TASKS, Shape
from tasks import Batch
from training import HookedTransformer, named_generator
from training.decoding import greedy_decode
from training.evaluate import score

TITLE = f"exact match, length {EVALUATION_LENGTH}"

Decode = Callable[[Tensor, int], Tensor]
"""From prompts [batch, pos] and a number of steps to the tokens written [batch, steps]."""

Evaluation = Callable[[Batch], Tensor]
"""From a batch to exact match of each example."""


def compare_evaluation(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that all contenders call the same examples right, then times them.

    Raises:
        RuntimeError: They do not.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    evaluations, batch = evaluation_ways(model), sample_batch(shape.examples)
    check_equal(evaluations, half_right(model, sample_batch(min(shape.examples, 8))))
    work = {name: lambda _, one=one: one(batch) for name, one in evaluations.items()}
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product()], seconds=seconds)
    read, scored = batch.inputs.shape[1], int(batch.scored[0].sum())
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"examples": float(len(batch))},
        flops=len(batch) * operations.forward(model.config, read=read, scored=scored),
        peaks={name: peak_bytes(partial(one, 0)) for name, one in work.items()},
        detail=f"{len(batch):,} examples; a unit is all of them",
    )


def sample_batch(n: int) -> Batch:
    """Test examples of the main task."""
    generator = named_generator(0, "evaluation")
    return TASKS[0].task.sample(n, length=EVALUATION_LENGTH, generator=generator, stream="test")


def evaluation_ways(model: HookedTransformer) -> dict[str, Evaluation]:
    """Each contender's way to exact match."""
    return {
        OURS: lambda batch: score(model, batch).correct,
        f"{OURS}, cached decoding": partial(_decoded_right, lambda prompts, n: greedy_decode(model, prompts, steps=n)),
        TRANSFORMER_LENS: partial(_decoded_right, partial(bridge_decode, llama_bridge(model))),
    }


def bridge_decode(bridge: TransformerBridge, prompts: Tensor, steps: int) -> Tensor:
    """TransformerLens' `generate` with a key-value cache; its native bridge has none and takes 20 times as long."""
    found = bridge.generate(
        prompts, max_new_tokens=steps, do_sample=False, stop_at_eos=False, return_type="tokens", verbose=False
    )
    assert isinstance(found, Tensor)
    return found[:, prompts.shape[1] :]


def _decoded_right(decode: Decode, batch: Batch) -> Tensor:
    prompts, answers = _parts(batch)
    return (decode(prompts, answers.shape[1]) == answers).all(dim=1)


def _parts(batch: Batch) -> tuple[Tensor, Tensor]:
    """Prompts and answers, each of one length here."""
    first = int(batch.scored[0].int().argmax())
    return batch.tokens[:, :first], batch.tokens[:, first:]


def half_right(model: HookedTransformer, batch: Batch) -> Batch:
    """The batch with what the model writes as its answers, and the last token of every other example changed."""
    prompts, answers = _parts(batch)
    written = greedy_decode(model, prompts, steps=answers.shape[1]).clone()
    written[::2, -1] = (written[::2, -1] + 1) % model.config.d_vocab
    return Batch(torch.cat((prompts, written), dim=1), batch.scored)


def check_equal(evaluations: Mapping[str, Evaluation], batch: Batch) -> None:
    """Raises RuntimeError unless all contenders call the same examples right."""
    found = {name: one(batch) for name, one in evaluations.items()}
    for name, right in found.items():
        if different := int((right != found[OURS]).sum()):
            raise RuntimeError(f"{name} and ours call {different} examples differently")
