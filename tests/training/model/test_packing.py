"""Packed examples: every one stands once in a row, alone with itself, and gets the logits it gets alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from tasks import Batch
from tests.training.model.cases import CASES, tiny_model
from training.model import pack

ROOT = Path(__file__).parents[3]
ROWS = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 0], [8, 1, 0, 0, 0]])
SCORED = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]]).bool()


def batch_of(widths: list[int], *, seed: int = 0) -> Batch:
    """Examples that are read up to `width` tokens, the last of which and perhaps some before predict."""
    generator = Generator().manual_seed(seed)
    tokens = torch.randint(9, (len(widths), max(widths) + 2), generator=generator)
    place, last = torch.arange(tokens.shape[1]), torch.tensor(widths)[:, None]
    some = torch.rand(tokens.shape, generator=generator) < 0.4
    return Batch(tokens, (place == last) | (some & (place > 0) & (place < last)))


def test_a_packed_batch_by_hand() -> None:
    # Read are 2, 3 and 1 tokens, so rows have 3 places: 4 5 6 fills the first, 1 2 8 the second. Predicting are 2
    # (place 4), 6 (place 2) and 8 (place 5).
    packed = pack(Batch(ROWS, SCORED))
    assert packed.tokens.tolist() == [[4, 5, 6], [1, 2, 8]]
    assert packed.positions.tolist() == [[0, 1, 2], [0, 1, 0]]
    assert packed.predicting.tolist() == [4, 2, 5]
    visible = (packed.mask()[1, 0] == 0).int()
    assert visible.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(0, 99))
def test_every_example_stands_once_and_in_one_piece(widths: list[int], seed: int) -> None:
    batch = batch_of(widths, seed=seed)
    packed = pack(batch)
    assert torch.equal(packed.tokens.flatten()[packed.predicting], batch.inputs[batch.predicting])
    pieces = []
    for tokens, positions in zip(packed.tokens.tolist(), packed.positions.tolist(), strict=True):
        for token, position in zip(tokens, positions, strict=True):
            pieces = [*pieces, [token]] if position == 0 else [*pieces[:-1], [*pieces[-1], token]]
    for width, example in zip(widths, batch.inputs.tolist(), strict=True):
        assert example[:width] in pieces


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_packed_logits_and_gradients_are_those_of_each_example_alone(changes: dict[str, Any]) -> None:
    model, batch = tiny_model(**changes).double(), batch_of([9, 3, 5, 1, 8, 4])
    packed, task = pack(batch), model.config.task_heads - 1
    logits = model.logits(model.packed_residual(packed), task=task)
    alone = [model(batch.inputs[[row]], task=task)[0, batch.predicting[row]] for row in range(len(batch))]
    torch.testing.assert_close(logits, torch.cat(alone), rtol=0, atol=1e-9)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    one, other = (torch.autograd.grad(_loss(values, batch), parameters) for values in (logits, torch.cat(alone)))
    for ours, wanted in zip(one, other, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-9)


def test_long_rows_get_the_same_by_fused_attention() -> None:
    model, batch = tiny_model().double(), batch_of([300, 120, 30])
    with torch.no_grad():
        logits = model.logits(model.packed_residual(pack(batch)))
        torch.testing.assert_close(logits, model(batch.inputs)[batch.predicting], rtol=0, atol=1e-9)


def _loss(logits: Tensor, batch: Batch) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, batch.targets)


def test_a_hook_sees_the_examples_one_by_one() -> None:
    model, packed, seen = tiny_model(), pack(batch_of([4, 2, 3])), []
    with torch.no_grad():
        wanted = model.packed_residual(packed)
        with model.hooks([("blocks.0.hook_resid_pre", lambda value, hook: seen.append(value.shape[:2]))]):
            torch.testing.assert_close(model.packed_residual(packed), wanted, rtol=1e-5, atol=1e-5)
    assert seen == [packed.batch.inputs.shape[:2]]


@pytest.mark.parametrize("longest", [9, 300])
def test_in_bfloat16_logits_are_float32_and_near(longest: int) -> None:
    # 9: attention step by step; 300: fused. Residual stream and logits keep float32; bfloat16 has 8 bits.
    model, packed = tiny_model(), pack(batch_of([longest, 5, 3, 5]))
    with torch.no_grad():
        wanted = model.logits(model.packed_residual(packed))
    with torch.autocast("cpu", torch.bfloat16):
        resid = model.packed_residual(packed)
        logits = model.logits(resid)
    assert resid.dtype == logits.dtype == torch.float32
    assert 1e-6 < (logits - wanted).std() / wanted.std() < 0.02
    logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_numbers_of_rows_and_places_can_be_multiples() -> None:
    # Rows of 3 places become rows of 4, and two of them three: nothing stands in the last place, nor in the last row.
    packed = pack(Batch(ROWS, SCORED), multiples=(3, 4))
    assert packed.tokens.tolist() == [[4, 5, 6, 8], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert packed.predicting.tolist() == [5, 2, 3]


@pytest.mark.slow
def test_compiled_blocks_give_the_same_logits_and_gradients() -> None:
    # In a process of its own: checks of shapes, which the tests put into every function, cannot be compiled.
    script = [sys.executable, "-m", "tests.training.model.compiled"]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, check=True)
    differences = json.loads(done.stdout)
    assert len(differences) > 3
    assert max(differences.values()) < 1e-9, differences
