"""Patching and path patching of the model that is set by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.examples import Examples, Running
from analyses.graph import parse_edge
from analyses.interventions import Edit, Intervention, OtherRun, intervene
from analyses.interventions.places import Places
from analyses.interventions.sites import path_edit
from analyses.metrics import get_metric
from analyses.patches import Direction, patch
from tasks import Batch
from tests.analyses.interventions.hand_cases import BOTH, CLEAN, CORRUPTED, EDGES, SITES, EdgeCase, SiteCase
from tests.analyses.models import hand_batch, hand_model

DIRECTIONS: tuple[Direction, ...] = ("noise", "denoise")


def hand_examples(copies: int = 3) -> Examples:
    """Some copies of `aa`, with `ab` as counterfactuals."""
    both = hand_batch()
    rows = [torch.tensor([place] * copies) for place in (0, 1)]
    clean, counterfactual = (Batch(both.tokens[row], both.scored[row]) for row in rows)
    return Examples(clean, counterfactual)


def nll(logit: float) -> Any:
    """The logits are a: 1, b: 0, [EOS]: logit, and [EOS] is right."""
    return pytest.approx(math.log(math.e + 1 + math.exp(logit)) - logit, abs=1e-5)


def patched(interventions: list[Intervention], direction: Direction, budget: int = 4096) -> Tensor:
    running = Running(token_budget=budget)
    effects = patch(hand_model(), hand_examples(), interventions, direction, "nll", [{}] * len(interventions), running)
    assert effects.clean.tolist() == [nll(CLEAN)] * 3
    assert effects.corrupted.tolist() == [nll(CORRUPTED)] * 3
    return effects.patched


def edit(case: SiteCase) -> Edit:
    return Edit(case.site, case.layer, Places.of(case.positions), case.head)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", SITES, ids=[f"{one.layer} {one.site} {one.head} {one.positions}" for one in SITES])
def test_site(case: SiteCase, direction: Direction) -> None:
    for budget in (1, 4, 4096):
        found = patched([(edit(case),)], direction, budget)
        assert found.tolist() == [[nll(getattr(case, direction))] * 3], case.why


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_sites_in_one_call_and_in_any_order(direction: Direction) -> None:
    found = patched([(edit(case),) for case in SITES], direction)
    assert found[:, 0].tolist() == [nll(getattr(case, direction)) for case in SITES]
    assert torch.allclose(patched([(edit(case),) for case in SITES[::-1]], direction).flip(0), found, atol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", EDGES, ids=[f"{one.sender}->{one.receiver}" for one in EDGES])
def test_edge(case: EdgeCase, direction: Direction) -> None:
    edge = parse_edge(f"{case.sender}->{case.receiver}", hand_model().config)
    found = patched([(path_edit([edge], Places.of(BOTH)),)], direction)
    assert found.tolist() == [[nll(getattr(case, direction))] * 3], case.why


def test_several_senders_to_one_receiver() -> None:
    # 0.0 and 0.1 to the MLP: it reads m = 4, 2 of `ab`, so l = 4, 2 while m stays 4, 4: 2 - 4 + 6 = 4.
    edges = [parse_edge(text, hand_model().config) for text in ("0.0->0.mlp", "0.1->0.mlp")]
    found = patched([(path_edit(edges, Places.of(BOTH)),)], "noise")
    assert found[0].tolist() == [nll(4)] * 3


def test_edits_of_several_layers_at_once() -> None:
    # Noise. z of 0.0 makes m = 4, 0 and l = 4, 0; then z of 1.1 is that of `ab`, 3, in the place of 2: 0 - 2 + 6 = 4.
    # Nothing of 1.1's own edit is lost because layer 1 is computed anew.
    edits = (Edit("z", 0, Places.of(BOTH), 0), Edit("z", 1, Places.of(BOTH), 1))
    assert patched([edits], "noise")[0].tolist() == [nll(4)] * 3
    # mlp_out of layer 0 beside the z of 0.0: l = 4, 2 and m = 4, 0: 2 - 2 + 6 = 6.
    edits = (Edit("z", 0, Places.of(BOTH), 0), Edit("mlp_out", 0, Places.of(BOTH)))
    assert patched([edits], "noise")[0].tolist() == [nll(6)] * 3
    # attn_out of layer 1 at the position that is read, with v of 0.1 (m = 4, 6, l = 4, 6): 6 - 3 + 6 = 9.
    edits = (Edit("attn_out", 1, Places.of([1])), Edit("v", 0, Places.of(BOTH), 1))
    assert patched([edits], "noise")[0].tolist() == [nll(9)] * 3


def test_both_runs_and_every_metric() -> None:
    metrics = [get_metric(name) for name in ("nll", "accuracy", "kl")]
    edits = [(Edit("z", 1, Places.of(BOTH), 0),)]
    examples = hand_examples()
    assert examples.counterfactual is not None
    outcome = intervene(
        hand_model(), examples, edits, OtherRun(examples.counterfactual.inputs), metrics=metrics, base="clean"
    )
    assert outcome.unedited["nll"].tolist() == [nll(8)] * 3
    assert outcome.other["nll"].tolist() == [nll(5)] * 3
    assert outcome.edited["accuracy"].tolist() == [[1, 1, 1]]
    assert outcome.unedited["kl"].tolist() == [0, 0, 0]
    # From logits 1, 0, 8 to 1, 0, 9: sum of p (ln p - ln q) with p = softmax(1, 0, 8), q = softmax(1, 0, 9)
    p, q = (torch.tensor([1.0, 0.0, x], dtype=torch.float64).softmax(0) for x in (8, 9))
    assert outcome.edited["kl"][0, 0].item() == pytest.approx((p * (p / q).log()).sum().item(), abs=1e-6)
