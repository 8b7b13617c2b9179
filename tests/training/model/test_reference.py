"""The model against an independent forward pass in plain Python, and against answers worked out by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tasks import Vocabulary
from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from tests.training.model.reference import reference_logits
from training.config import ModelConfig
from training.model import HookedTransformer


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_logits_equal_the_plain_python_reference(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes).double(), tiny_tokens(batch=1, pos=6)
    task = model.config.task_heads - 1
    wanted = torch.tensor(reference_logits(model, tokens[0].tolist(), task=task), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, task=task)[0], wanted, rtol=1e-9, atol=1e-9)
        _, cache = model.run_with_cache(tokens)  # the explicit path
        logits = model.logits(cache["blocks.1.hook_resid_post"], task=task)
    torch.testing.assert_close(logits[0], wanted, rtol=1e-9, atol=1e-9)


def micro_model(**changes: Any) -> HookedTransformer:
    """One layer, one head, W_E[token] = 2 e_token; the head reads e_a, e_b and writes to e_2, e_3; no MLP.

    An embedding has mean square 2^2 / 4 = 1, so the norm (eps -> 0) leaves it as it is: 2 e_token.
    W_V sends e_a to (1, 0) and e_b to (0, 1), so v_a = (2, 0), v_b = (0, 2). W_O writes them to e_2 and e_3, and W_U
    reads e_2 as the logit of a, e_3 as that of b.
    """
    values: dict[str, Any] = {
        "n_layers": 1, "n_heads": 1, "d_model": 4, "d_head": 2, "d_mlp": 1, "d_vocab": 3, "positions": "none",
        "norm_eps": 1e-12,
    }  # fmt: skip
    config = ModelConfig.read(values | changes)
    model = HookedTransformer(config, vocabulary=Vocabulary(("a", "b", "[EOS]")), generator=Generator())
    attn = model.blocks[0].attn
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith((".w", ".beta")):
                parameter.zero_()
        model.embed.W_E.copy_(2 * torch.eye(3, 4))
        attn.W_V[0, 0, 0] = attn.W_V[0, 1, 1] = attn.W_O[0, 0, 2] = attn.W_O[0, 1, 3] = 1
        model.W_U[2, 0] = model.W_U[3, 1] = 1
    return model


def logits_after(model: HookedTransformer, text: str) -> Tensor:
    with torch.no_grad():
        return model(model.to_tokens(text))[0, -1]


def test_head_without_queries_averages_what_it_may_see() -> None:
    # Scores 0: the head attends evenly. After "abb": z = (v_a + 2 v_b) / 3 = (2/3, 4/3), so the stream is
    # 2 e_b + (2/3) e_2 + (4/3) e_3 = (0, 2, 2/3, 4/3); mean square (4 + 4/9 + 16/9) / 4 = 14/9, root sqrt(14) / 3.
    # Logits: a (2/3) * 3 / sqrt(14) = 2 / sqrt(14), b 4 / sqrt(14), [EOS] 0.
    wanted = torch.tensor([2 / math.sqrt(14), 4 / math.sqrt(14), 0])
    torch.testing.assert_close(logits_after(micro_model(), "abb"), wanted)


def test_log_n_temperature_multiplies_the_logits_by_beta_log_n() -> None:
    # k_a = 2 * (1/2, 0) = (1, 0), k_b = 0, q_b = 2 * (sqrt(2)/2, 0): score of a for the query b: sqrt(2) / sqrt(2) = 1.
    # After "abb" n = 3: with beta = 1 the weights are e^(ln 3) : 1 : 1 = 3 : 1 : 1, with beta = 2 they are 9 : 1 : 1.
    model = micro_model(temperature="log_n")
    attn = model.blocks[0].attn
    with torch.no_grad():
        attn.W_K[0, 0, 0], attn.W_Q[0, 1, 0] = 0.5, math.sqrt(2) / 2
    for beta, wanted in ((1.0, [3 / 5, 1 / 5, 1 / 5]), (2.0, [9 / 11, 1 / 11, 1 / 11])):
        torch.nn.init.constant_(attn.beta, beta)
        _, cache = model.run_with_cache(model.to_tokens("abb"))
        torch.testing.assert_close(cache["blocks.0.attn.hook_pattern"][0, 0, -1], torch.tensor(wanted))


def test_rotary_positions_turn_queries_and_keys_by_their_distance() -> None:
    # Every token has q = k = 2 * (1/2, 0) = (1, 0), and with d_head = 2 position p turns it by p radians, so the
    # score at distance d is cos(d) / sqrt(2).
    model = micro_model(positions="rotary")
    attn = model.blocks[0].attn
    with torch.no_grad():
        attn.W_K[0, :, 0] = attn.W_Q[0, :, 0] = 0.5
    _, cache = model.run_with_cache(model.to_tokens("abab"))
    wanted = torch.tensor([math.cos(3), math.cos(2), math.cos(1), 1]) / math.sqrt(2)
    torch.testing.assert_close(cache["blocks.0.attn.hook_attn_scores"][0, 0, -1], wanted)
