"""The edge-set runner: hand-worked circuits, and equality with a reference that materialises every input."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analyses.circuits import Circuit, run_edge_sets
from analyses.examples import Examples, Running
from analyses.graph import edges
from analyses.metrics import Reading, get_metric
from analyses.patches import Direction
from tasks import Batch, InvalidValueError, UnknownNameError, get_task
from tests.analyses.circuits.models import (
    HAND,
    SETTINGS,
    TASK,
    drawn_pair,
    hand_circuit,
    hand_examples,
    hand_pair,
    model_of,
    random_circuits,
    reference_logits,
)
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

# `hand_model`, what is written at the two positions (heads 0.0 and 0.1 to middle, the others to logit):
#          z of layer 0   0.0     0.1      0.mlp   z of 1.0   1.0      z of 1.1   1.1
#   aa     4, 4           8, 8    -4, -4   4, 4    4, 4       -4, -4   4, 4       8, 8
#   ab     4, 2           8, 4    -4, -2   4, 2    4, 3       -4, -3   4, 3       8, 6
#   ba     0, 2           0, 4     0, -2   0, 2    0, 1        0, -1   0, 1       0, 2
#   bb     0, 0           0, 0     0, 0    0, 0    0, 0        0, 0    0, 0       0, 0
# The logit is what 0.mlp, 1.0 and 1.1 write at the last position: aa 8, ab 5, ba 3, bb 0. Clean aa, ba; then ab, bb.
PATH = "embed->0.0.v 0.0->0.mlp 0.mlp->logits"
CASES: list[tuple[Direction, str, tuple[float, float], str]] = [
    ("noise", "-", (8, 3), "all edges: the clean run"),
    ("noise", "", (5, 0), "no edge: the counterfactual run"),
    ("noise", PATH, (9, 4), "0.mlp reads 8 - 2 and 4 - 0: 6 - 3 + 6 and 4 + 0 + 0"),
    ("noise", "embed->0.1.v 0.1->0.mlp 0.mlp->logits", (3, 0), "0.mlp reads 4 - 4 and 0 - 2: 0 - 3 + 6 and 0"),
    ("noise", "embed->0.0.v 0.0->1.0.v 1.0->logits", (3, -2), "1.0 reads 4, 8 - 2 and 0, 4: 2 - 5 + 6 and 0 - 2 + 0"),
    ("noise", "embed->0.0.v 0.0->0.mlp 0.mlp->1.1.v 1.1->logits", (9, 4), "1.1 reads 4, 6; 0, 4: 2 - 3 + 10 and 4"),
    ("noise", "-0.0->1.0.v", (10, 5), "1.0 reads 4, 4 - 4 and 0, 0 - 2: 4 - 2 + 8 and 2 + 1 + 2"),
    ("noise", "-embed->0.0.v", (2, 1), "middle 4, 4 - 4 and 0, 0 - 2: 0 - 2 + 4 and 0 + 1 + 0"),
    ("noise", "-0.mlp->logits", (6, 1), "2 - 4 + 8 and 0 - 1 + 2"),
    ("noise", "-" + PATH, (4, 1), "middle 4, 0 and 0, -2; 0.mlp's stays to the logits: 2 - 2 + 4 and 0 + 1 + 0"),
    ("noise", "0.0->0.mlp 0.mlp->logits", (5, 0), "nothing of the clean run enters"),
    ("noise", "embed->0.0.v 0.0->0.mlp", (5, 0), "nothing of it leaves"),
    ("noise", "embed->0.0.q embed->0.0.k 0.0->logits embed->logits", (5, 0), "no queries, keys; W_U reads no middle"),
    ("denoise", "-", (8, 3), "all edges: the clean run"),
    ("denoise", "", (5, 0), "no edge: the counterfactual run"),
    ("denoise", "0.mlp->logits", (7, 2), "4 - 3 + 6 and 2 + 0 + 0"),
    ("denoise", "0.0->0.mlp", (13, 8), "0.mlp reads 8 - 2 and 4; 1.1 then 4, 6 and 0, 4: 6 - 3 + 10 and 4 + 0 + 4"),
    ("denoise", "embed->0.0.v", (11, 6), "middle 4, 8 - 2 and 0, 4: 6 - 5 + 10 and 4 - 2 + 4"),
]  # fmt: skip


@pytest.mark.parametrize("budget", [1, 40, 100_000])
@pytest.mark.parametrize(("direction", "circuit", "logits", "why"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_hand_worked_circuit(
    direction: Direction, circuit: str, logits: tuple[float, float], why: str, budget: int
) -> None:
    circuits, running = [hand_circuit(circuit)], Running(token_budget=budget)
    run = run_edge_sets(hand_model(), hand_examples(), circuits, direction=direction, running=running)
    assert run.circuits["logit_difference"][0].tolist() == pytest.approx(logits, abs=1e-5), why
    assert run.clean["logit_difference"].tolist() == pytest.approx([8, 3], abs=1e-5)
    assert run.counterfactual["logit_difference"].tolist() == pytest.approx([5, 0], abs=1e-5)


@pytest.mark.parametrize("direction", ["noise", "denoise"])
def test_hand_worked_circuits_in_one_call_and_in_any_order(direction: Direction) -> None:
    cases = [case for case in CASES if case[0] == direction]
    for some in (cases, cases[::-1]):
        circuits = [hand_circuit(circuit) for _, circuit, _, _ in some]
        run = run_edge_sets(hand_model(), hand_examples(), circuits, direction=direction)
        wanted = torch.tensor([logits for _, _, logits, _ in some], dtype=torch.float64)
        torch.testing.assert_close(run.circuits["logit_difference"], wanted, rtol=0, atol=1e-5)


# -------------------------------------------------------------------------------- against every input materialised
@torch.no_grad()
@pytest.mark.parametrize("direction", ["noise", "denoise"])
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_every_input_materialised(name: str, direction: Direction) -> None:
    model, pair = model_of(name), drawn_pair()
    circuits, task_head = random_circuits(model), model.config.task_heads - 1
    metrics = ("logit_difference", "nll", "kl", "token_accuracy")
    predicting, sides = pair.clean.predicting, [pair.clean.inputs, pair.counterfactual.inputs]
    everything = set(edges(model.config))
    clean = reference_logits(model, sides[0], sides[1], everything, predicting=predicting, task_head=task_head)
    reading = Reading(pair.clean, pair.counterfactual, clean)
    if direction == "denoise":
        sides.reverse()
    wanted = torch.stack([
        reference_logits(
            model, sides[0], sides[1], set(circuit) if direction == "noise" else everything - set(circuit),
            predicting=predicting, task_head=task_head,
        )
        for circuit in circuits
    ])  # fmt: skip
    assert torch.pdist(wanted[1:4].flatten(1)).min() > 0.05  # a wrong circuit would be seen
    examples = Examples.of_pair(pair, task_head=task_head)
    for budget in (1, 100, 300, 10**6):  # one of each, 2 to 5 examples, several circuits, all at once
        running = Running(token_budget=budget)
        run = run_edge_sets(model, examples, circuits, direction=direction, metrics=metrics, running=running)
        for metric in metrics:
            expected = get_metric(metric).values(wanted, reading)
            torch.testing.assert_close(run.circuits[metric], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["multiply_cot", "mqar", "shortest_path"])
def test_equals_it_where_answers_differ_in_length(name: str) -> None:
    task = get_task(name, **({"rows": 3, "columns": 3} if name == "shortest_path" else {}))
    pair = task.counterfactual(task.sample(3, length=3, generator=seeded(3)), generator=seeded(3))
    model = random_model(task.vocabulary, n_layers=2)
    circuits = random_circuits(model)
    run = run_edge_sets(model, Examples.of_pair(pair), circuits, running=Running(token_budget=150))
    reading = Reading(pair.clean, pair.counterfactual)
    for circuit, found in zip(circuits, run.circuits["logit_difference"], strict=True):
        logits = reference_logits(
            model, pair.clean.inputs, pair.counterfactual.inputs, circuit, predicting=pair.clean.predicting
        )
        expected = get_metric("logit_difference").values(logits, reading)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_full_is_the_clean_run_and_empty_the_counterfactual(name: str) -> None:
    model, pair = model_of(name), drawn_pair()
    whole = Circuit.whole(model.config)
    run = run_edge_sets(model, Examples.of_pair(pair), [(), whole, whole.minus(whole.edges[:1])])
    reading = Reading(pair.clean, pair.counterfactual)
    with torch.no_grad():
        clean, other = (
            get_metric("logit_difference").values(model(side.inputs)[pair.clean.predicting], reading)
            for side in (pair.clean, pair.counterfactual)
        )
    torch.testing.assert_close(run.clean["logit_difference"], clean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(run.counterfactual["logit_difference"], other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(run.circuits["logit_difference"][1], clean, rtol=1e-5, atol=1e-5)
    assert torch.equal(run.circuits["logit_difference"][0], run.counterfactual["logit_difference"])  # to the last bit


def test_pruning_changes_nothing() -> None:
    model, pair = model_of("grouped queries, qkv biases"), drawn_pair()
    circuits = random_circuits(model)
    pruned = [circuit.pruned() for circuit in circuits]
    assert 0 < len(pruned[0]) < len(circuits[0])
    examples = Examples.of_pair(pair)
    runs = [run_edge_sets(model, examples, some).circuits["logit_difference"] for some in (circuits, pruned)]
    torch.testing.assert_close(*runs, rtol=1e-5, atol=1e-5)


def test_a_metric_of_the_users_own() -> None:
    def last_logit(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return logits[:, 2] * len(batch)

    run = run_edge_sets(hand_model(), hand_examples(), [hand_circuit(PATH)], metrics=[last_logit])
    assert run.circuits["last_logit"][0].tolist() == pytest.approx([18, 8], abs=1e-5)


def test_half_precision_stays_near() -> None:
    model, pair = model_of("rotary, RMS, gated"), drawn_pair()
    circuits = random_circuits(model)
    examples = Examples.of_pair(pair)
    exact = run_edge_sets(model, examples, circuits).circuits["logit_difference"]
    half = run_edge_sets(model.to(torch.bfloat16), examples, circuits).circuits["logit_difference"]
    assert half.dtype == torch.float64
    assert (half - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("interrupted", [False, True])
def test_model_is_left_as_it_was(interrupted: bool) -> None:
    model, pair = model_of("log_n, tied, LN, rotary"), drawn_pair()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(pair.clean.inputs)

    def stop(done: int, total: int) -> None:
        if interrupted:
            raise KeyboardInterrupt

    try:
        running = Running(token_budget=20, on_done=stop)
        run_edge_sets(model, Examples.of_pair(pair), random_circuits(model), running=running)
    except KeyboardInterrupt:
        assert interrupted
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.is_hooked
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model(pair.clean.inputs), logits)


# --------------------------------------------------------------------------------------------------------------- errors
def poisoned() -> HookedTransformer:
    model = hand_model()
    with torch.no_grad():
        model.W_U[0, 1] = torch.nan
    return model


def hooked() -> HookedTransformer:
    model = hand_model()
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: z)
    return model


def no_second_head() -> Examples:
    return Examples.of_pair(hand_pair(), task_head=1)


def unpaired() -> Examples:
    return Examples(hand_pair().clean)


def both(edge: str) -> list[Any]:
    return [tuple(Circuit.parse(edge, HAND)) * 2]


def of_larger_model() -> list[Any]:
    return [Circuit.whole(random_model(TASK.vocabulary, n_heads=2).config)]


@pytest.mark.parametrize(
    ("model", "examples", "circuits", "text"),
    [
        (hooked, hand_examples, [()],
         "the model has hooks attached; remove them with model.reset_hooks() before a circuit"),
        (hand_model, no_second_head, [()], "task head 1 does not exist: the model has 1, counted from 0"),
        (hand_model, hand_examples, [], "there are no circuits to run; give at least one set of edges"),
        (hand_model, unpaired, [()],
         "a circuit's other edges carry counterfactual examples, and there are none; give them"),
        (hand_model, hand_examples, both("0.0->1.0.v"), "edge 0.0->1.0.v is named twice; name each edge once"),
        (hand_model, hand_examples, of_larger_model(),
         "receiver 2.0.q does not exist: the model has 2 layers of 2 query heads and 2 key-value heads"),
        (poisoned, hand_examples, [()],
         "the model's logits are not finite, so no circuit can be scored; check its weights"),
    ],
    ids=["hooked", "task head", "no circuits", "unpaired", "twice", "no edge", "nan"],
)  # fmt: skip
def test_refused(
    unchecked: None,
    model: Callable[[], HookedTransformer],
    examples: Callable[[], Examples],
    circuits: list[Any],
    text: str,
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_edge_sets(model(), examples(), circuits)
    assert str(caught.value) == text


def test_unknown_names_are_refused(unchecked: None) -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'logit_diff'; did you mean 'logit_difference'"):
        run_edge_sets(hand_model(), hand_examples(), [()], metrics=["logit_diff"])
    with pytest.raises(UnknownNameError, match="unknown direction 'nois'; did you mean 'noise'"):
        run_edge_sets(hand_model(), hand_examples(), [()], direction="nois")  # pyright: ignore[reportArgumentType]


def holed(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The logit of [EOS], but nan where it is 3: of the second example, in the clean run."""
    return torch.where((logits[:, 2] - 3).abs() < 1e-3, torch.nan, logits[:, 2])


@pytest.mark.parametrize("budget", [1, 100])
def test_metrics_that_are_not_finite_are_refused_with_the_example(budget: int) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_edge_sets(hand_model(), hand_examples(), [()], metrics=["nll", holed], running=Running(budget))
    assert str(caught.value) == (
        "metric 'holed' is not finite for example 1, so no mean over examples is defined; let it give a finite number "
        "for every example"
    )


def same_answers() -> Examples:
    clean = hand_pair().clean  # aa and ba; beside them bb and ab, all answered by [EOS]
    return Examples(clean, Batch(torch.tensor([[1, 1, 2], [0, 1, 2]]), clean.scored))


@pytest.mark.parametrize(
    ("examples", "metrics", "text"),
    [
        (hand_examples, [], "there is no metric to measure; name at least one"),
        (hand_examples, ["kl", "nll", "kl"],
         "two metrics are named 'kl'; name each its own way, with Metric.of(..., name=...)"),
        (same_answers, ["logit_difference"],
         ("the counterfactual of example 0 has the same answer, so there is nothing to compare; use "
          "task.counterfactual, which changes the answer")),
    ],
    ids=["none", "twice", "same answers"],
)  # fmt: skip
def test_metrics_are_checked_first(examples: Callable[[], Examples], metrics: list[str], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        run_edge_sets(poisoned(), examples(), [()], metrics=metrics)
    assert str(caught.value) == text
