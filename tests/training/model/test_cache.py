"""Reading token by token with a key-value cache equals reading at once."""

import re
from typing import Any

import pytest
import torch

from tasks import InvalidValueError
from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from training.model import KeyValueCache

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@pytest.mark.parametrize("pieces", [[1] * 7, [3, 4], [5, 1, 1]], ids=str)
@torch.no_grad()
def test_pieces_equal_one_pass(changes: dict[str, Any], pieces: list[int]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    task = model.config.task_heads - 1
    cache = KeyValueCache.empty(model.config.n_layers)
    logits = []
    for piece in tokens.split(pieces, dim=1):
        logits.append(model(piece, task=task, past=cache))
        assert cache.length == sum(part.shape[1] for part in logits)
    torch.testing.assert_close(torch.cat(logits, dim=1), model(tokens, task=task), **CLOSE)
    keys = cache.layers[0].keys
    assert keys is not None
    assert keys.shape == (3, 7, model.config.n_key_value_heads, model.config.d_head)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@torch.no_grad()
def test_pieces_with_hooks_equal_one_pass(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    wanted = model(tokens)
    past = KeyValueCache.empty(model.config.n_layers)
    with model.hooks([(lambda _: True, lambda value, hook: value)]):
        pieces = [model(piece, past=past) for piece in tokens.split([2, 4, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), wanted, **CLOSE)


@pytest.mark.parametrize("changes", [{"positions": "none"}, {"positions": "rotary", "temperature": "log_n"}], ids=str)
@torch.no_grad()
def test_any_length_runs_without_a_position_table(changes: dict[str, Any]) -> None:
    model = tiny_model(n_layers=1, n_heads=1, d_model=8, d_mlp=8, **changes)
    tokens = tiny_tokens(batch=1, pos=3000)
    wanted = model(tokens)
    assert wanted.shape == (1, 3000, 9)
    past = KeyValueCache.empty(1)
    pieces = [model(piece, past=past) for piece in tokens.split([2000, 999, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pieces", [[11], [10, 1]], ids=str)
def test_learned_positions_end_where_their_table_ends(pieces: list[int]) -> None:
    model = tiny_model(positions="learned", n_ctx=10)
    past = KeyValueCache.empty(2)
    text = (
        "the example has 11 tokens, but the learned position table has 10; use shorter examples, "
        "or train with positions 'rotary' or 'none', which run at any length"
    )
    *head, last = tiny_tokens(pos=11).split(pieces, dim=1)
    for piece in head:
        model(piece, past=past)
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        model(last, past=past)
