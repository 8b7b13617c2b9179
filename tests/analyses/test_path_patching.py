"""Path patching: its tables, hand-worked edges, equality with hooks and with patching activations, errors."""

from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from analyses import ActivationPatching, Head, Metric, Part, PathPatching
from analyses.examples import Running
from analyses.graph import Edge, Receiver, Sender, edges, parse_edge, parse_receiver, parse_sender
from analyses.interventions.places import Places
from analyses.interventions.sites import Site, path_edit
from analyses.metrics import Reading, get_metric
from analyses.patches import Direction, PatchEffects
from tasks import Batch, InvalidValueError, Pair, UnknownNameError, get_task
from tests.analyses.interventions.by_hooks import ByHooks, random_biases
from tests.analyses.interventions.hand_cases import CLEAN, CORRUPTED, EDGES
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

TASK = get_task("shift", alphabet=4, case="lower")

WIDTH = 8  # [shift] a b l = b c a: what is read at length 3; the first scored token stands at 5

COLUMNS = [
    "task", "length", "direction", "metric", "sender", "receiver", "clean", "corrupted", "patched", "effect", "stderr",
    "normalised", "normalised_stderr", "n",
]  # fmt: skip

DIRECTIONS: tuple[Direction, ...] = ("denoise", "noise")


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    """Grouped queries and biases, so that no edge is right by accident."""
    return random_biases(
        random_model(TASK.vocabulary, n_layers=2, n_key_value_heads=2, biases="all", norm="LN"), seeded(2)
    )


@pytest.fixture(scope="module")
def pair() -> Pair:
    generator = seeded(3)
    return TASK.counterfactual(TASK.sample(4, length=3, generator=generator), generator=generator)


def named(effects: PatchEffects) -> dict[tuple[Any, Any], Tensor]:
    """What each edge did to each example."""
    return {
        (label["sender"], label["receiver"]): patched
        for label, patched in zip(effects.labels, effects.patched, strict=True)
    }


# ----------------------------------------------------------------------------------------------------------------- rows
def test_rows_are_the_edges_of_the_graph(model: HookedTransformer) -> None:
    table = PathPatching()(model, TASK, length=3, n=3, generator=seeded())
    assert list(table.columns) == COLUMNS
    wanted = [(str(edge.sender), str(edge.receiver)) for edge in edges(model.config)]
    assert [*zip(table["sender"], table["receiver"], strict=True)] == wanted
    about = {"task": "shift", "length": 3, "direction": "denoise", "metric": "logit_difference", "n": 3}
    assert (table[list(about)] == pd.Series(about)).all(axis=None)


def test_chosen_senders_and_receivers(model: HookedTransformer) -> None:
    analysis = PathPatching(
        senders=(Part(0, "mlp"), Head(0, 1)), receivers=(parse_receiver("logits", model.config), Receiver(0, "mlp"))
    )
    table = analysis(model, TASK, length=3, n=3, generator=seeded())
    rows = [*zip(table["sender"], table["receiver"], strict=True)]
    assert rows == [("0.1", "0.mlp"), ("0.1", "logits"), ("0.mlp", "logits")]  # 0.mlp does not read itself


def test_jointly_gives_a_row_for_each_receiver(model: HookedTransformer) -> None:
    senders = (parse_sender("embed"), Head(0, 1), Head(0, 2))
    table = PathPatching(senders=senders, together="jointly")(model, TASK, length=3, n=3, generator=seeded())
    rows = dict(zip(table["receiver"], table["sender"], strict=True))
    assert len(rows) == len(table) == 2 * (4 + 2 + 2 + 1) + 1
    assert rows["0.0.q"] == "embed"
    assert rows["0.mlp"] == rows["1.1.k"] == rows["logits"] == "embed 0.1 0.2"


def test_effects_have_the_signs_of_patching(model: HookedTransformer) -> None:
    for direction in DIRECTIONS:
        for metric, sign in (("logit_difference", 1), ("nll", -1)):
            analysis = PathPatching(receivers=(Receiver(1, "logits"),), direction=direction, metric=metric)
            table = analysis(model, TASK, length=3, n=5, generator=seeded())
            clean, corrupted, patched = table["clean"], table["corrupted"], table["patched"]
            change = patched - corrupted if direction == "denoise" else clean - patched
            assert (table["effect"] - sign * change).abs().max() < 1e-12
            assert (table["normalised"] - table["effect"] / (sign * (clean - corrupted))).abs().max() < 1e-9
            assert (table["stderr"][1:] > 0).all()
            # One answer token differs here, and up to there both runs read the same answer, so in its place the
            # embeddings are alike; behind it they are not.
            assert (table["effect"][0] == 0) == (metric == "logit_difference")
            pd.testing.assert_frame_equal(
                table, analysis(model, TASK, length=3, n=5, generator=seeded()), check_exact=True
            )


# -------------------------------------------------------------------------------------------------------------- by hand
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_hand_worked_edges(direction: Direction) -> None:
    # `aa`, whose answer is [EOS], beside `ab`, whose answer is a: the table of interventions/hand_cases.py.
    scored = torch.tensor([[False, False, True]] * 2)
    clean, changed = torch.tensor([[0, 0, 2]] * 2), torch.tensor([[0, 1, 0]] * 2)
    logit = Metric.of(lambda logits, _: logits[:, 2], name="logit")
    found = PathPatching(direction=direction, metric=logit).effects(
        hand_model(), Pair(Batch(clean, scored), Batch(changed, scored))
    )
    assert found.clean.tolist() == pytest.approx([CLEAN] * 2, abs=1e-5)
    assert found.corrupted.tolist() == pytest.approx([CORRUPTED] * 2, abs=1e-5)
    patched, table = named(found), found.table().set_index(["sender", "receiver"])
    for case in EDGES:
        wanted = getattr(case, direction)
        assert patched[case.sender, case.receiver].tolist() == pytest.approx([wanted] * 2, abs=1e-5), case.why
        moved = wanted - CORRUPTED if direction == "denoise" else CLEAN - wanted
        row: Any = table.loc[(case.sender, case.receiver)]
        assert row["effect"] == pytest.approx(moved, abs=1e-5)
        assert row["normalised"] == pytest.approx(moved / (CLEAN - CORRUPTED), abs=1e-5)
        assert row[["stderr", "normalised_stderr"]].tolist() == pytest.approx([0, 0], abs=1e-5)


# -------------------------------------------------------------------------------------------------------- against hooks
def by_hooks(
    model: HookedTransformer, pair: Pair, groups: list[list[Edge]], direction: Direction, places: Places
) -> Tensor:
    """One run with hooks for each group of edges: the logit difference of every example."""
    base, source = pair.counterfactual.inputs, pair.clean.inputs
    if direction == "noise":
        base, source = source, base
    runs, reading = ByHooks(model, base, source), Reading(pair.clean, pair.counterfactual)
    found = [runs.logits((path_edit(group, places),))[pair.clean.predicting] for group in groups]
    return torch.stack([get_metric("logit_difference").values(logits, reading) for logits in found])


@torch.no_grad()
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_full_edge_matrix_equals_hooks(model: HookedTransformer, pair: Pair, direction: Direction) -> None:
    found = PathPatching(direction=direction).effects(model, pair)
    wanted = by_hooks(model, pair, [[edge] for edge in edges(model.config)], direction, Places.of(range(WIDTH)))
    assert (found.effects.abs().amax(dim=1) > 1e-4).float().mean() > 0.7
    torch.testing.assert_close(found.patched, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_positions_equal_hooks(model: HookedTransformer, pair: Pair) -> None:
    chosen = [edge for edge in edges(model.config) if str(edge.receiver) in ("1.mlp", "1.1.k", "1.3.q", "logits")]
    receivers = tuple(dict.fromkeys(edge.receiver for edge in chosen))
    for positions, places in (("prompt", range(5)), ("answer", range(5, 8)), ((2, 6), (2, 6))):
        found = PathPatching(receivers=receivers, positions=positions).effects(model, pair)  # pyright: ignore[reportArgumentType]
        wanted = by_hooks(model, pair, [[edge] for edge in chosen], "denoise", Places.of(places))
        torch.testing.assert_close(found.patched, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_joint_senders_equal_hooks(model: HookedTransformer, pair: Pair, direction: Direction) -> None:
    senders: tuple[Sender, ...] = (Head(0, 0), Head(0, 3), Part(0, "mlp"), Head(1, 2))
    found = PathPatching(senders=senders, direction=direction, together="jointly").effects(model, pair)
    groups = [
        [parse_edge(f"{sender}->{label['receiver']}", model.config) for sender in str(label["sender"]).split()]
        for label in found.labels
    ]
    assert max(len(group) for group in groups) == 4
    wanted = by_hooks(model, pair, groups, direction, Places.of(range(WIDTH)))
    torch.testing.assert_close(found.patched, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("receiver", "site", "row"),
    [("1.2.q", "q", 6), ("1.1.k", "k", 3), ("0.1.v", "v", 1), ("1.mlp", "mlp_out", 1), ("logits", "resid_post", 1)],
)
def test_all_senders_jointly_are_the_receiver_patched(
    model: HookedTransformer, pair: Pair, receiver: str, site: Site, row: int, direction: Direction
) -> None:
    # Whatever writes before a receiver, exchanged at once, is the whole stream that it reads.
    chosen = (parse_receiver(receiver, model.config),)
    paths = PathPatching(receivers=chosen, together="jointly", direction=direction, metric="nll").effects(model, pair)
    by = "layer" if site in ("mlp_out", "resid_post") else "head"
    whole = ActivationPatching(site=site, by=by, direction=direction, metric="nll").effects(model, pair)
    torch.testing.assert_close(paths.patched[0], whole.patched[row], rtol=1e-5, atol=1e-5)
    assert paths.effects.abs().max() > 1e-3


# ------------------------------------------------------------------------------------------------- how the work is done
def test_results_do_not_depend_on_the_token_budget(model: HookedTransformer, pair: Pair) -> None:
    analysis = PathPatching(senders=(Head(0, 1), Part(0, "mlp")), metric="nll")
    once = analysis.effects(model, pair).patched
    for budget in (1, 30, 100):
        again = analysis.effects(model, pair, running=Running(token_budget=budget)).patched
        torch.testing.assert_close(again, once, rtol=1e-5, atol=1e-5)


def test_task_head_is_used(pair: Pair) -> None:
    model = random_model(TASK.vocabulary, n_layers=1, task_heads=2)
    first, second = (PathPatching().effects(model, pair, task_head=place) for place in (0, 1))
    assert (first.clean != second.clean).all()


def test_model_is_left_as_it_was(model: HookedTransformer, pair: Pair) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PathPatching().effects(model, pair, running=Running(token_budget=20, on_done=stop))
    PathPatching(senders=(Head(0, 0),)).effects(model, pair)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.is_hooked
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


# --------------------------------------------------------------------------------------------------------------- errors
NO_EDGE = (
    "1.0 has no edge to or from the others that are named: a sender writes before a receiver reads; leave it out, or "
    "name others"
)


@pytest.mark.parametrize(
    ("analysis", "text"),
    [
        (PathPatching(senders=(Head(0, 4),)), "sender 0.4 does not exist: the model has 2 layers of 4 heads"),
        (PathPatching(senders=(Part(0, "attn"),)), "sender 0.attn does not exist: the model has 2 layers of 4 heads"),
        (PathPatching(receivers=(Receiver(1, "k", 2),)),
         "receiver 1.2.k does not exist: the model has 2 layers of 4 query heads and 2 key-value heads"),
        (PathPatching(receivers=(Receiver(2, "mlp"),)),
         "receiver 2.mlp does not exist: the model has 2 layers of 4 query heads and 2 key-value heads"),
        (PathPatching(senders=(Head(1, 0),), receivers=(Receiver(1, "q", 0), Receiver(0, "mlp"))),
         NO_EDGE),
        (PathPatching(positions=(0, 9)), "position 9 does not exist: the examples have 0 to 7"),
    ],
    ids=["head", "attention", "key-value head", "layer", "order", "position"],
)  # fmt: skip
def test_what_is_not_there_is_refused(model: HookedTransformer, pair: Pair, analysis: PathPatching, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis.effects(model, pair)
    assert str(caught.value) == text


def test_unknown_names_are_refused_when_asked_for(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        PathPatching(direction="noisy")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown direction 'noisy'; did you mean 'noise'? the directions are denoise and noise"
    )
    with pytest.raises(UnknownNameError) as caught:
        PathPatching(positions="answers")  # pyright: ignore[reportArgumentType]
    assert str(caught.value).startswith("unknown scope 'answers'; did you mean 'answer'?")
