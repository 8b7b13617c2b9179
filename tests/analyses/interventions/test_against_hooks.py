"""Every site, position, direction and model option, against one run with hooks for each intervention."""

import itertools

import pytest
import torch
from torch import Tensor

from analyses.components import Part
from analyses.examples import Examples, Running
from analyses.graph import edges
from analyses.heads import Head
from analyses.interventions import Edit, Intervention, OtherRun, intervene
from analyses.interventions.engine import Base
from analyses.interventions.places import Places
from analyses.interventions.sites import SITES, edits_of, heads_at, path_edit
from analyses.metrics import Reading, get_metric
from tasks import Task, get_task
from tests.analyses.interventions.by_hooks import ByHooks, random_biases
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

TASK = get_task("copy", alphabet=4, case="lower")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary": {},
    "none, LN": {"positions": "none", "norm": "LN"},
    "learned, LN, plain MLP, all biases": {
        "positions": "learned", "n_ctx": 12, "mlp": "plain", "biases": "all", "norm": "LN",
    },
    "rotary, grouped queries, qkv biases": {"n_key_value_heads": 2, "biases": "qkv"},
    "none, grouped queries, log_n, tied": {
        "temperature": "log_n", "unembedding": "tied", "positions": "none", "n_key_value_heads": 1,
    },
    "rotary, log_n, three task heads, all biases": {"temperature": "log_n", "task_heads": 3, "biases": "all"},
    "one layer": {"n_layers": 1},
}  # fmt: skip

METRICS = [get_metric(name) for name in ("nll", "logit_difference", "kl")]


def interventions_of(model: HookedTransformer, width: int) -> list[Intervention]:
    """Every site of every layer at several sets of positions, and edits of several kinds and layers at once."""
    config = model.config
    found: list[Intervention] = []
    turn = itertools.cycle([range(width), [0], [width - 1], [1, 3], [width - 3, width - 2], range(2, width)])
    for layer, site in itertools.product(range(config.n_layers), SITES):
        heads = range(heads_at(site, config)) or [-1]
        found += [(Edit(site, layer, Places.of(next(turn)), head),) for head in (heads[0], heads[-1], heads[-1])]
    everywhere, some, last = Places.of(range(width)), Places.of([2, 4]), config.n_layers - 1
    found += [
        (Edit("z", 0, everywhere, 1), Edit("z", last, some, 2)),
        (Edit("z", 0, everywhere, 1), Edit("z", 0, some, 2), Edit("q", 0, some, 2)),
        (Edit("k", 0, some, 0), Edit("v", 0, Places.of([1]), 0), Edit("q", 0, everywhere, 3)),
        (Edit("pattern", last, some, 0), Edit("v", last, some, 0), Edit("resid_pre", last, Places.of([3]))),
        (Edit("mlp_out", 0, some), Edit("attn_out", last, some), Edit("resid_mid", last, Places.of([1]))),
        (Edit("mlp_out", 0, Places.of([5])), Edit("v", last, Places.of([0]), 0), Edit("k", last, Places.of([1]), 0)),
        (Edit("attn_out", 0, some), Edit("mlp_out", 0, Places.of([1])), Edit("z", last, Places.of([0]), 0)),
        (Edit("resid_pre", 0, Places.of([4])), Edit("resid_post", 0, Places.of([1])), Edit("q", last, some, 1)),
        (Edit("resid_post", 0, Places.of([4])), Edit("resid_post", last, everywhere)) if last else (),
        tuple(edits_of(Part(0, "layer"), everywhere)) + tuple(edits_of(Head(last, 1), some)) if last else (),
    ]
    return [one for one in found if one]


def assert_equal_to_hooks(
    model: HookedTransformer, task: Task, interventions: list[Intervention], base: Base, budgets: list[int], n: int = 5
) -> None:
    model = model.double()  # so that nothing but rounding of the last place can hide
    generator, task_head = seeded(3), model.config.task_heads - 1
    pair = task.bind(model.vocabulary).counterfactual(
        task.sample(n, length=3, generator=generator), generator=generator
    )
    inputs, other = pair.clean.inputs, pair.counterfactual.inputs
    if base == "counterfactual":
        inputs, other = other, inputs
    reading = Reading(pair.clean, pair.counterfactual, model(pair.clean.inputs, task=task_head)[pair.clean.predicting])
    by_hooks = ByHooks(model, inputs, other, task_head=task_head)
    wanted = torch.stack([values_of(by_hooks.logits(one), reading) for one in interventions])
    unedited = values_of(model(inputs, task=task_head), reading)
    moved = (wanted - unedited).abs().amax(dim=(1, 2)) > 1e-4
    assert moved.float().mean() > 0.25  # most edits show; those at the last layer's unread positions cannot
    for budget in budgets:
        outcome = intervene(
            model, Examples.of_pair(pair, task_head=task_head), interventions, OtherRun(other), metrics=METRICS,
            base=base, running=Running(token_budget=budget),
        )  # fmt: skip
        found = torch.stack([outcome.edited[metric.name] for metric in METRICS], dim=1)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
        assert torch.allclose(torch.stack(list(outcome.unedited.values())), unedited, rtol=1e-9, atol=1e-9)


def values_of(logits: Tensor, reading: Reading) -> Tensor:
    return torch.stack([metric.values(logits[reading.batch.predicting], reading) for metric in METRICS])


@torch.no_grad()
@pytest.mark.parametrize("base", ["clean", "counterfactual"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_site(name: str, base: Base) -> None:
    model = random_biases(random_model(TASK.vocabulary, **SETTINGS[name]), seeded(2))
    interventions = interventions_of(model, width=8)
    assert_equal_to_hooks(model, TASK, interventions, base, [30, 100_000])


@torch.no_grad()
@pytest.mark.parametrize("name", SETTINGS)
def test_every_edge(name: str) -> None:
    model = random_biases(random_model(TASK.vocabulary, **SETTINGS[name]), seeded(2))
    chosen = edges(model.config)
    interventions: list[Intervention] = [(path_edit([edge], Places.of(range(8))),) for edge in chosen[::3]]
    interventions += [(path_edit([edge], Places.of([2, 5])),) for edge in chosen[1::7]]
    into_logits = [edge for edge in chosen if edge.receiver.input == "logits"]
    interventions.append((path_edit(into_logits[::2], Places.of(range(8))),))
    assert_equal_to_hooks(model, TASK, interventions, "clean", [100, 100_000])


@torch.no_grad()
@pytest.mark.parametrize("name", ["multiply_cot", "mqar", "shortest_path", "sort"])
def test_where_answers_differ_in_length_or_are_read_in_places(name: str) -> None:
    task = get_task(name, **({"rows": 3, "columns": 3} if name == "shortest_path" else {}))
    model = random_model(task.vocabulary)
    width = task.sample(4, length=3, generator=seeded(3)).inputs.shape[1]
    assert_equal_to_hooks(model, task, interventions_of(model, width)[::2], "clean", [60, 100_000], n=4)
