"""Greedy decoding with the cache: equal to running the model again, and to what one pass calls an exact match."""

import re
from typing import Any

import pytest
import torch

from tasks import Batch, InvalidValueError
from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from training.decoding import greedy_decode
from training.evaluate import score


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@torch.no_grad()
def test_decoding_equals_running_the_whole_text_again(changes: dict[str, Any]) -> None:
    model, prompts = tiny_model(**changes), tiny_tokens(batch=16, pos=4)
    task = model.config.task_heads - 1
    text = prompts
    for _ in range(6):
        text = torch.cat((text, model(text, task=task)[:, -1].argmax(dim=-1, keepdim=True)), dim=1)
    written = greedy_decode(model, prompts, steps=6, task=task)
    assert torch.equal(written, text[:, 4:])
    assert len({tuple(row) for row in written.tolist()}) > 3, "the continuations are too alike to prove anything"


def test_exact_match_in_one_pass_is_what_greedy_decoding_writes() -> None:
    # A third of the targets is what the model writes, a third has one token changed, a third is arbitrary.
    model, prompts = tiny_model(), tiny_tokens(batch=60, pos=5)
    targets = greedy_decode(model, prompts, steps=4).clone()
    places = torch.arange(20) % 4
    targets[torch.arange(20, 40), places] = (targets[torch.arange(20, 40), places] + 1) % 9
    targets[40:] = tiny_tokens(batch=20, pos=4, seed=5)
    tokens = torch.cat((prompts, targets), dim=1)
    batch = Batch(tokens, (torch.arange(9) >= 5).expand(60, 9))
    decoded = (greedy_decode(model, prompts, steps=4) == targets).all(dim=1)
    assert decoded[:20].all()
    assert not decoded[20:40].any()
    assert torch.equal(score(model, batch).correct, decoded)


def test_nothing_to_write() -> None:
    assert greedy_decode(tiny_model(), tiny_tokens(), steps=0).shape == (3, 0)


@pytest.mark.parametrize(
    ("pos", "steps", "text"),
    [
        (3, -1, "steps = -1 tokens cannot be written; allowed is 0 or more"),
        (0, 1, "the example has no tokens; the model needs at least one"),
        (8, 4, "the example has 11 tokens, but the learned position table has 10; use shorter examples"),
    ],
)
def test_what_cannot_be_decoded_is_refused(pos: int, steps: int, text: str) -> None:
    model = tiny_model(positions="learned", n_ctx=10)
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}"):
        greedy_decode(model, tiny_tokens(pos=pos), steps=steps)
