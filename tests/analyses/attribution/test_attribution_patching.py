"""Attribution patching: scores worked out on paper, gradients read by hooks, and sums of edges."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses.attribution import AttributionPatching, EdgeAttribution
from analyses.attribution.attribution_patching import COLUMNS
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from analyses.metrics import Reading, get_metric
from tasks import Batch, Pair, get_task
from tests.analyses.attribution.models import (
    DIRECTIONS,
    SETTINGS,
    TASK,
    examples_for,
    hand_examples,
    model_of,
    pair_for,
)
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

SITES = ("q", "k", "v", "z", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")

# `hand_model` on aa less ab, as in test_edge_attribution: differences at p1 alone, gradients there by token 3/2 and
# -3/4 (through 0.0 and 0.1), by middle -1/2 into 1.0.v and 3/2 in all, by logit 1 at the end and 1 into 1.1.v.
BY_LAYER = {
    "resid_pre": [3, 3],  # token 4 (3/2 - 3/4); middle 2 * -1/2 and logit 2 (1 + 1)
    "attn_out": [3, 1],  # middle 2 * 3/2; logit 1
    "resid_mid": [3, 3],  # nothing reads token any more; logit 2 + 1
    "mlp_out": [4, 0],  # logit 2 (1 + 1)
    "resid_post": [3, 3],
    "q": [0, 0],
    "k": [0, 0],
    "v": [3, 1],
    "z": [3, 1],
}
BY_HEAD = {
    "v": [[6, -3], [-1, 2]],  # 4 * 3/2, 4 * -3/4; 2 * -1/2, 2 * 1
    "z": [[6, -3], [-1, 2]],  # 2 * 2 * 3/2, 2 * -1 * 3/2; 1 * -1, 1 * 2
}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("site", SITES)
def test_hand_worked_scores_by_layer(site: Any, direction: Any) -> None:
    analysis = AttributionPatching(site=site, by="layer", direction=direction)
    scores = analysis.scores(hand_model(), hand_examples("aa", "ab"))
    torch.testing.assert_close(scores, torch.tensor([BY_LAYER[site]]).double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("site", BY_HEAD)
def test_hand_worked_scores_by_head(site: Any) -> None:
    scores = AttributionPatching(site=site).scores(hand_model(), hand_examples("aa", "ab"))
    torch.testing.assert_close(scores, torch.tensor([BY_HEAD[site]]).double(), rtol=1e-4, atol=1e-4)


def test_hand_worked_scores_by_position() -> None:
    # aa less bb: 4 at both positions wherever token is read. By z of 0.0: 4 * 2 * 1/2 at p0 and 4 * 2 * 3/2 at p1; of
    # 0.1 the same times -1/2. Layer 1 is read at p1 only: z of 1.0 is 4 and written -1 times, that of 1.1 twice.
    analysis = AttributionPatching(site="z", by="head_position", direction="noise")
    scores = analysis.scores(hand_model(), hand_examples("aa", "bb"))
    wanted = torch.tensor([[[[4, 12], [-2, -6]], [[0, -4], [0, 8]]]]).double()
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-4)
    # By v of 0.0: 4 * 5/2 at p0, 4 * 3/2 at p1. Middle 4 into 1.0.v -2, and logit 4 into 1.1.v 4, at either.
    analysis = AttributionPatching(site="v", by="layer_position", direction="noise")
    scores = analysis.scores(hand_model(), hand_examples("aa", "bb"))
    torch.testing.assert_close(scores, torch.tensor([[[5, 3], [2, 2]]]).double(), rtol=1e-4, atol=1e-4)


def by_hooks(model: HookedTransformer, pair: Pair, site: str, direction: str, metric: str, task_head: int) -> Tensor:
    """better * difference * gradient of the explicit path. [batch, layer, pos, head]; head is 1 where there is none."""
    points = [f"blocks.{layer}." + ("attn." if site in "qkvz" else "") + f"hook_{site}" for layer in range(2)][
        : model.config.n_layers
    ]
    runs: dict[str, dict[str, Tensor]] = {}
    logits: dict[str, Tensor] = {}
    for name, side in (("clean", pair.clean), ("other", pair.counterfactual)):
        kept = runs[name] = {}

        def keep(x: Tensor, hook: HookPoint, kept: dict[str, Tensor] = kept) -> Tensor:
            kept[str(hook.name)] = x
            return x

        whole = model.run_with_hooks(side.inputs, fwd_hooks=[(point, keep) for point in points], task=task_head)
        logits[name] = whole[pair.clean.predicting]
    base, one = ("clean", get_metric(metric)) if direction == "noise" else ("other", get_metric(metric))
    values = one.values(logits[base], Reading(pair.clean, pair.counterfactual, logits["clean"].detach()))
    grads = torch.autograd.grad(values.sum(), [runs[base][point] for point in points])
    products = [
        ((runs["clean"][point] - runs["other"][point]) * grad).sum(dim=-1).detach()
        for point, grad in zip(points, grads, strict=True)
    ]
    found = one.better * torch.stack(products, dim=1)
    return found if found.ndim == 4 else found[..., None]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_gradients_read_by_hooks(name: str, site: Any, direction: Any) -> None:
    model, pair = model_of(name), pair_for()
    task_head = model.config.task_heads - 1
    wanted = by_hooks(model, pair, site, direction, "nll", task_head)
    assert wanted.abs().max() > 1e-3
    for by, value in {
        "layer": wanted.sum(dim=(2, 3)),
        "layer_position": wanted.sum(dim=3),
        "head": wanted.sum(dim=2),
        "head_position": wanted.transpose(2, 3),
    }.items():
        if "head" in by and site not in "qkvz":
            continue
        analysis = AttributionPatching(site=site, by=by, direction=direction, metric="nll")  # pyright: ignore[reportArgumentType]
        scores = analysis.scores(model, Examples.of_pair(pair, task_head=task_head))
        torch.testing.assert_close(scores, value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("task_name", ["multiply_cot", "mqar", "shortest_path"])
def test_equals_hooks_where_answers_differ_in_length(task_name: str) -> None:
    task = get_task(task_name, **({"rows": 3, "columns": 3} if task_name == "shortest_path" else {}))
    model, pair = model_of("rotary", task), pair_for(task, n=4, length=4)
    for site in ("q", "k", "mlp_out"):
        wanted = by_hooks(model, pair, site, "denoise", "logit_difference", 0)
        scores = AttributionPatching(site=site, by="layer_position", direction="denoise").scores(
            model, Examples.of_pair(pair)
        )
        torch.testing.assert_close(scores, wanted.sum(dim=3), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_senders_score_is_the_sum_of_its_edges(direction: Any) -> None:
    model, pair = model_of("grouped queries, qkv biases"), pair_for()
    edges = (
        EdgeAttribution(direction=direction).scores(model, Examples.of_pair(pair)).sum(dim=2)
    )  # embed, 0.0, 0.1, 0.mlp, 1.0, ...
    heads = AttributionPatching(direction=direction).scores(model, Examples.of_pair(pair))
    torch.testing.assert_close(heads, edges[:, 1:].unflatten(1, (2, 3))[:, :, :2], rtol=1e-9, atol=1e-9)
    mlps = AttributionPatching(site="mlp_out", by="layer", direction=direction).scores(model, Examples.of_pair(pair))
    torch.testing.assert_close(mlps, edges[:, 1:].unflatten(1, (2, 3))[:, :, 2], rtol=1e-9, atol=1e-9)
    stream = AttributionPatching(site="resid_pre", by="layer", direction=direction).scores(
        model, Examples.of_pair(pair)
    )
    torch.testing.assert_close(stream[:, 0], edges[:, 0], rtol=1e-9, atol=1e-9)


def test_a_metric_of_ones_own_reads_the_clean_answers() -> None:
    def right(logits: Tensor, batch: Batch) -> Tensor:
        return logits.log_softmax(dim=-1).gather(-1, batch.targets[:, None]).view(len(batch), -1).mean(dim=1)

    model, examples = random_model(TASK.vocabulary), examples_for()
    for direction in DIRECTIONS:
        one, other = (AttributionPatching(metric=metric, direction=direction) for metric in (right, "nll"))
        torch.testing.assert_close(one.scores(model, examples), other.scores(model, examples), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interrupted", [False, True])
def test_model_is_left_as_it_was(interrupted: bool) -> None:
    model, examples = random_model(TASK.vocabulary), examples_for()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        if interrupted:
            raise RuntimeError("stop")

    try:
        AttributionPatching(site="k").scores(model, examples, running=Running(token_budget=1, on_done=stop))
    except RuntimeError:
        assert interrupted
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not model.is_hooked


@pytest.mark.parametrize("by", ["head", "layer", "head_position", "layer_position"])
def test_table(by: Any) -> None:
    model = random_model(TASK.vocabulary)
    analysis = AttributionPatching(by=by, direction="denoise", metric="nll")
    one, other = (analysis(model, TASK, length=3, n=6, generator=seeded(5)) for _ in range(2))
    assert one.equals(other)
    assert list(one.columns) == COLUMNS
    about = one[["task", "length", "method", "direction", "metric", "site", "n"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["copy", 3, "AtP", "denoise", "nll", "z", 6]]
    assert one["head"].notna().all() if "head" in by else one["head"].isna().all()
    assert one["position"].notna().all() if "position" in by else one["position"].isna().all()
    assert (one.dtypes[["layer", "head", "position"]] == "Int64").all()
    generator = seeded(5)
    batch = TASK.sample(6, length=3, generator=generator, stream="test")
    scores = analysis.scores(model, Examples.of_pair(TASK.counterfactual(batch, generator=generator)))
    assert one["score"].to_numpy() == pytest.approx(scores.mean(dim=0).flatten().numpy())
    assert one["stderr"].to_numpy() == pytest.approx(scores.std(dim=0).flatten().numpy() / 6**0.5)
    if by == "head":
        heads = [(head.layer, head.head) for head in all_heads(model.config)]
        assert list(zip(one["layer"], one["head"], strict=True)) == heads
    if by == "head_position":
        row = one[(one["layer"] == 1) & (one["head"] == 2) & (one["position"] == 4)].iloc[0]
        assert row["score"] == pytest.approx(scores[:, 1, 2, 4].mean().item())
