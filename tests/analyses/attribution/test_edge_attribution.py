"""Edge attribution: scores worked out on paper, and what holds for every call."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.attribution import EdgeAttribution
from analyses.attribution.edge_attribution import COLUMNS
from analyses.examples import Examples, Running
from analyses.graph import Receiver, edges, receivers, senders
from analyses.heads import Head
from analyses.metrics import Metric
from tasks import Batch
from tests.analyses.attribution.models import DIRECTIONS, TASK, examples_for, hand_examples
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

METHODS = ("EAP", "EAP-IG-inputs", "EAP-IG-activations")
# `hand_model`: the metric is x = logit of [EOS] at the last position, p1. Its gradient there, where relu is active:
#   by logit           1 at p1 at the end; into 1.1.v 2 * 1/2 = 1 at p0 and p1 (each head reads the mean of two)
#   by middle          into 1.0.v -1/2 at p0 and p1; into 0.mlp 1 at p0 (through 1.1) and 1 + 1 at p1; so 1/2 and 3/2
#   by token           into 0.0.v: p0 reaches both positions' z, 2 (1/2 + 3/2 / 2) = 5/2; p1 its own, 2 (3/2 / 2) = 3/2
#                      into 0.1.v: writes -1 instead of 2, so -5/4 and -3/4
# aa less ab, all at p1: token 4; 0.0 writes middle 2 * (4 - 2); 0.1 -2; MLP 0 logit 4 - 2; 1.0 -(4 - 3); 1.1 2 (4 - 3)
AA_AB = {
    "embed->0.0.v": 6, "embed->0.1.v": -3, "0.0->0.mlp": 8, "0.0->1.0.v": -2, "0.1->0.mlp": -4, "0.1->1.0.v": 1,
    "0.mlp->1.1.v": 2, "0.mlp->logits": 2, "1.0->logits": -1, "1.1->logits": 2,
}  # fmt: skip
# aa less bb, at p0 and p1: token 4; 0.0 middle 8; 0.1 -4; MLP 0 logit 4; at p1 1.0 writes -4, and 1.1 writes 8
AA_BB = {
    "embed->0.0.v": 16, "embed->0.1.v": -8, "0.0->0.mlp": 24, "0.0->1.0.v": -8, "0.1->0.mlp": -12, "0.1->1.0.v": 4,
    "0.mlp->1.1.v": 8, "0.mlp->logits": 4, "1.0->logits": -4, "1.1->logits": 8,
}  # fmt: skip
# At bb itself middle is 0, and relu's gradient too: nothing goes into 0.mlp; by middle, -1/2 at p0 and p1 is left
AT_BB = AA_BB | {"embed->0.0.v": -8, "embed->0.1.v": 4, "0.0->0.mlp": 0, "0.1->0.mlp": 0}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("other", "wanted"), [("ab", AA_AB), ("bb", AA_BB)])
def test_hand_worked_scores(method: Any, direction: Any, other: str, wanted: Mapping[str, float]) -> None:
    # Between the two runs relu is active, so the integrals are exact; only EAP at bb stands where it is not.
    if (method, direction, other) == ("EAP", "denoise", "bb"):
        wanted = AT_BB
    model = hand_model()
    scores = EdgeAttribution(method=method, direction=direction).scores(model, hand_examples("aa", other))
    assert scores.shape == (1, 7, 15)
    check_scores(scores[0], model, wanted)


def test_hand_worked_scores_of_metrics_of_ones_own() -> None:
    # The logit of [EOS], and its negative of which less is better: both say that 1.1 helps.
    def lost(logits: Tensor, batch: Batch) -> Tensor:
        return -logits[:, 2]

    def won(logits: Tensor, batch: Batch) -> Tensor:
        return logits[:, 2]

    for metric in (won, Metric.of(lost, name="lost", better=-1)):
        scores = EdgeAttribution(metric=metric).scores(hand_model(), hand_examples("aa", "ab"))
        check_scores(scores[0], hand_model(), AA_AB)


def test_hand_worked_kl() -> None:
    # Clean logits (1, 0, 8), base (1, 0, 5): kl has the gradient softmax(base) - softmax(clean) by the logits, here by
    # the third of them; less is better.
    softmax = torch.tensor([[1.0, 0, 8], [1, 0, 5]]).softmax(dim=1)[:, 2]
    slope = float(softmax[0] - softmax[1])
    assert slope > 1e-3
    scores = EdgeAttribution(metric="kl", direction="denoise").scores(hand_model(), hand_examples("aa", "ab"))
    check_scores(scores[0] / slope, hand_model(), AA_AB, atol=1e-3)


def check_scores(scores: Tensor, model: HookedTransformer, wanted: Mapping[str, float], *, atol: float = 1e-4) -> None:
    found = {
        f"{sender}->{receiver}": scores[row, column].item()
        for row, sender in enumerate(senders(model.config))
        for column, receiver in enumerate(receivers(model.config))
    }
    assert set(wanted) <= set(found)
    assert found == pytest.approx({edge: wanted.get(edge, 0) for edge in found}, abs=atol)


# ------------------------------------------------------------------------------------------- what holds for every call
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interrupted", [False, True])
def test_model_is_left_as_it_was(method: Any, interrupted: bool) -> None:
    model, examples = random_model(TASK.vocabulary, biases="all", temperature="log_n"), examples_for(n=2)
    model.blocks[0].mlp.W_in.requires_grad = False
    model.W_U.grad = torch.ones_like(model.W_U)
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        if interrupted:
            raise KeyboardInterrupt

    try:
        EdgeAttribution(method=method, steps=2).scores(model, examples, running=Running(token_budget=1, on_done=stop))
    except KeyboardInterrupt:
        assert interrupted
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == wanted
    grads = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert grads == {"unembed.W_U"}
    assert torch.equal(model.W_U.grad, torch.ones_like(model.W_U))
    assert not model.is_hooked
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(mode: Callable[[], Any]) -> None:
    model = random_model(TASK.vocabulary)
    wanted = EdgeAttribution().scores(model, examples_for())
    with mode():
        assert torch.equal(EdgeAttribution().scores(model, examples_for()), wanted)


def test_frozen_models_have_scores_too() -> None:
    model, frozen = random_model(TASK.vocabulary), random_model(TASK.vocabulary).requires_grad_(False)
    wanted = EdgeAttribution().scores(model, examples_for())
    torch.testing.assert_close(EdgeAttribution().scores(frozen, examples_for()), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_table_has_a_row_for_every_edge_and_repeats_itself(method: Any) -> None:
    model = random_model(TASK.vocabulary, n_key_value_heads=2)
    analysis = EdgeAttribution(method=method, steps=2, direction="denoise", metric="nll")
    one, other = (analysis(model, TASK, length=3, n=6, generator=seeded(5)) for _ in range(2))
    assert one.equals(other)
    assert not one.equals(analysis(model, TASK, length=3, n=6, generator=seeded(6)))
    assert list(one.columns) == COLUMNS
    assert [f"{row.sender}->{row.receiver}" for row in one.itertuples()] == [str(edge) for edge in edges(model.config)]
    about = one[["task", "length", "method", "direction", "metric", "n"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["copy", 3, method, "denoise", "nll", 6]]
    generator = seeded(5)
    batch = TASK.sample(6, length=3, generator=generator, stream="test")
    scores = analysis.scores(model, Examples.of_pair(TASK.counterfactual(batch, generator=generator)))
    row, column = senders(model.config).index(Head(0, 1)), receivers(model.config).index(Receiver(2, "k", 1))
    each = scores[:, row, column].numpy()
    found = one[(one["sender"] == "0.1") & (one["receiver"] == "2.1.k")].iloc[0]
    assert found["score"] == pytest.approx(each.mean())
    assert found["stderr"] == pytest.approx(each.std(ddof=1) / 6**0.5)
    assert one["score"].dtype == one["stderr"].dtype == "float64"


def test_a_single_example_has_no_standard_error() -> None:
    table = EdgeAttribution()(random_model(TASK.vocabulary), TASK, length=3, n=1, generator=seeded())
    assert table["stderr"].isna().all()
    assert table["score"].notna().all()
