"""Direct logit attribution: shares worked out on paper, a plain computation, and sums that are the metric."""

from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.attribution import DirectLogitAttribution
from analyses.attribution.direct_logit_attribution import COLUMNS
from analyses.examples import Examples, Running
from analyses.metrics import Reading, get_metric
from tasks import Pair, get_task
from tests.analyses.attribution.models import SETTINGS, TASK, examples_for, hand_examples, model_of, pair_for
from tests.analyses.models import hand_batch, hand_model, random_model, seeded
from training import HookedTransformer

# `hand_model` on aa: at the last position the logit of [EOS] is MLP 0's 4, less 1.0's 4, plus 1.1's 8; b's logit is 0.
HAND = {"embed": 0, "0.0": 0, "0.1": 0, "0.mlp": 4, "1.0": -4, "1.1": 8, "1.mlp": 0}


def test_hand_worked_shares() -> None:
    for metric in ("logit_difference", "logit"):
        analysis = DirectLogitAttribution(metric=metric)
        scores = analysis.scores(hand_model(), hand_examples("aa", "ab"))
        found = dict(zip(analysis.components(hand_model().config), scores[0].tolist(), strict=True))
        assert found == pytest.approx(HAND, abs=1e-4)
    analysis = DirectLogitAttribution(by="layer")
    assert analysis.components(hand_model().config) == ["embed", "0.attn", "0.mlp", "1.attn", "1.mlp"]
    scores = analysis.scores(hand_model(), hand_examples("aa", "ab"))
    torch.testing.assert_close(scores, torch.tensor([[0, 0, 4, 4, 0]]).double(), rtol=1e-4, atol=1e-4)


def test_hand_worked_shares_of_a_batch_without_counterfactuals() -> None:
    # aa and ab: MLP 0 writes 4 and 2 at the last position, 1.0 -4 and -3, 1.1 8 and 6.
    scores = DirectLogitAttribution(metric="logit").scores(hand_model(), Examples(hand_batch()))
    wanted = torch.tensor([[0, 0, 0, 4, -4, 8, 0], [0, 0, 0, 2, -3, 6, 0]]).double()
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def plainly(model: HookedTransformer, pair: Pair, analysis: DirectLogitAttribution, task_head: int) -> Tensor:
    """Every component carried through the final norm, its scale frozen, and unembedded, one token at a time."""
    config, tokens = model.config, pair.clean.tokens
    _, cache = model.run_with_cache(pair.clean.inputs, task=task_head)
    parts = {"embed": cache["hook_embed"] + (cache["hook_pos_embed"] if config.positions == "learned" else 0)}
    biases = torch.zeros(config.d_model, dtype=model.dtype)
    for layer, block in enumerate(model.blocks):
        for head in range(config.n_heads):
            parts[f"{layer}.{head}"] = cache[f"blocks.{layer}.attn.hook_z"][:, :, head] @ block.attn.W_O[head]
        parts[f"{layer}.attn"] = cache[f"blocks.{layer}.hook_attn_out"]
        parts[f"{layer}.mlp"] = cache[f"blocks.{layer}.hook_mlp_out"]
        biases = biases + block.attn.b_O
    parts["b_O"] = biases.expand_as(parts["embed"])
    scale = cache["ln_final.hook_scale"]
    W_U, b_U = (part if config.task_heads == 1 else part[task_head] for part in (model.W_U, model.b_U))
    logits = {}
    for name, part in parts.items():
        if config.norm == "LN":
            part = part - part.mean(dim=-1, keepdim=True)
        logits[name] = part / scale * model.ln_final.w @ W_U
    constant = b_U + (model.ln_final.b @ W_U if config.norm == "LN" else 0)
    logits["constant"] = constant.expand_as(logits["embed"])
    rows = []
    for row in range(len(tokens)):
        counted = pair.differs if analysis.metric == "logit_difference" else pair.clean.scored
        places = counted[row].nonzero()[:, 0].tolist()
        found = []
        for name in analysis.components(config):
            each = [logits[name][row, place - 1, tokens[row, place]] for place in places]
            if analysis.metric == "logit_difference":
                foils = pair.counterfactual.tokens[row]
                each = [value - logits[name][row, at - 1, foils[at]] for value, at in zip(each, places, strict=True)]
            found.append(torch.stack(each).mean())
        rows.append(torch.stack(found))
    return torch.stack(rows)


@pytest.mark.parametrize("by", ["component", "layer"])
@pytest.mark.parametrize("metric", ["logit_difference", "logit"])
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_a_plain_computation_and_sums_to_the_metric(name: str, metric: Any, by: Any) -> None:
    model, pair = model_of(name), pair_for()
    task_head = model.config.task_heads - 1
    analysis = DirectLogitAttribution(metric=metric, by=by)
    scores = analysis.scores(model, Examples.of_pair(pair, task_head=task_head))
    torch.testing.assert_close(scores, plainly(model, pair, analysis, task_head), rtol=1e-9, atol=1e-9)
    logits = model.scored_logits(pair.clean.inputs, pair.clean.predicting, task=task_head)
    reading = Reading(pair.clean, pair.counterfactual)
    right = logits.gather(-1, reading.targets[:, None])[:, 0]
    whole = reading.mean(right) if metric == "logit" else get_metric(metric).values(logits, reading)
    torch.testing.assert_close(scores.sum(dim=1), whole.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("task_name", ["multiply_cot", "mqar", "shortest_path"])
def test_equals_a_plain_computation_where_answers_differ_in_length(task_name: str) -> None:
    task = get_task(task_name, **({"rows": 3, "columns": 3} if task_name == "shortest_path" else {}))
    model, pair = model_of("rotary", task), pair_for(task, n=4, length=4)
    scores = DirectLogitAttribution().scores(model, Examples.of_pair(pair), running=Running(token_budget=1))
    torch.testing.assert_close(scores, plainly(model, pair, DirectLogitAttribution(), 0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", ["logit_difference", "logit"])
@pytest.mark.parametrize("by", ["component", "layer"])
def test_table(metric: Any, by: Any) -> None:
    model = random_model(TASK.vocabulary, biases="all", norm="LN")
    analysis = DirectLogitAttribution(metric=metric, by=by)
    one, other = (analysis(model, TASK, length=3, n=6, generator=seeded(5)) for _ in range(2))
    assert one.equals(other)
    assert list(one.columns) == COLUMNS
    names = one["component"].tolist()
    assert names == analysis.components(model.config)
    assert names[-2:] == (["b_O", "constant"] if by == "component" else ["2.mlp", "constant"])
    assert one[["task", "length", "metric", "n"]].drop_duplicates().to_numpy().tolist() == [["copy", 3, metric, 6]]
    generator = seeded(5)
    batch = TASK.sample(6, length=3, generator=generator, stream="test")
    pair = TASK.counterfactual(batch, generator=generator)
    examples = Examples(batch) if metric == "logit" else Examples.of_pair(pair)
    scores = analysis.scores(model, examples, running=Running(token_budget=20))
    assert one["score"].to_numpy() == pytest.approx(scores.mean(dim=0).numpy(), abs=1e-5)
    assert one["stderr"].to_numpy() == pytest.approx(scores.std(dim=0).numpy() / 6**0.5, abs=1e-5)


def test_model_is_left_as_it_was() -> None:
    model = random_model(TASK.vocabulary)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    DirectLogitAttribution().scores(model, examples_for())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not model.is_hooked
