"""Ablation by kind, part and position: hand-worked ones, the partners of `resample`, and equality with hooks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses import Head, Part, ablate
from analyses.ablation import AblationKind, partners
from analyses.components import Component, parse_component
from analyses.examples import Examples
from analyses.scopes import Positions
from tasks import Batch, InvalidValueError, Pair, Task, get_task
from tests.analyses.models import hand_batch, hand_model, random_model, seeded
from training import HookedTransformer

TASK = get_task("shift", alphabet=4, case="lower")

# ------------------------------------------------------------------------------- parts, positions, references, by hand
# `hand_model` on `aa` and `ab` (see `test_ablate`): logit = l there - z10 + 2 z11, z10 and z11 the means of m and l;
# m = l = 4, 4 of `aa` and 4, 2 of `ab`, so 4 - 4 + 8 = 8 and 2 - 3 + 6 = 5. With a batch of two, the partner of each is
# the other.
HAND: list[tuple[AblationKind, str, Positions, tuple[float, float], str]] = [
    ("zero", "0.mlp", "all", (-4, -3), "l = 0: -z10"),
    ("zero", "0.attn", "all", (0, 0), "m = 0, so l = 0"),
    ("zero", "0.layer", "all", (0, 0), "the same"),
    ("zero", "1.attn", "all", (4, 2), "l alone"),
    ("zero", "1.layer", "all", (4, 2), "MLP 1 writes nothing"),
    ("zero", "1.mlp", "all", (8, 5), "MLP 1 writes nothing"),
    ("zero", "0.mlp 1.0", "all", (0, 0), "l = 0, and no z10"),
    ("mean", "0.mlp", "all", (6, 7), "l = 4, 3 for both: 3 - 4 + 7 and 3 - 3 + 7"),
    ("mean", "0.attn", "all", (6.5, 6.5), "m = l = 4, 3 for both: 3 - 3.5 + 7"),
    ("mean", "1.attn", "all", (7.5, 5.5), "it writes 4 and 3 there, on average 3.5: 4 + 3.5 and 2 + 3.5"),
    ("mean_all", "0.mlp", "all", (6.5, 7.5), "l = 3.5: 3.5 - 4 + 7 and 3.5 - 3 + 7"),
    ("resample", "0.0", "all", (2, 11), "m = 4, 0 and 4, 6: 0 - 2 + 4 and 6 - 5 + 10"),
    ("resample", "0.mlp", "all", (4, 9), "2 - 4 + 6 and 4 - 3 + 8"),
    ("resample", "0.layer", "all", (5, 8), "all of the other one"),
    ("counterfactual", "1.attn", "all", (7, 6), "4 - 3 + 6 and 2 - 4 + 8"),
    ("counterfactual", "1.1", "prompt", (6, 7), "4 - 4 + 6 and 2 - 3 + 8"),
    ("zero", "0.1", (0,), (10, 7), "m = l = 8, 4 and 8, 2: 4 - 6 + 12 and 2 - 5 + 10"),
    ("zero", "0.1", (1,), (14, 8), "m = l = 4, 8 and 4, 4: 8 - 6 + 12 and 4 - 4 + 8"),
    ("zero", "0.mlp", (0,), (4, 1), "l = 0, 4 and 0, 2: 4 - 4 + 4 and 2 - 3 + 2"),
    ("counterfactual", "0.0", (0,), (8, 5), "there both hold the same"),
]


@pytest.mark.parametrize(
    ("kind", "names", "positions", "logits", "why"), HAND, ids=[f"{one[0]} {one[1]} {one[2]}" for one in HAND]
)
def test_hand_worked_part(
    kind: AblationKind, names: str, positions: Positions, logits: tuple[float, float], why: str
) -> None:
    batch = hand_batch()
    examples = Examples(batch, Batch(batch.tokens.flip(0), batch.scored))
    components = [parse_component(name) for name in names.split()]
    outcome = ablate(
        hand_model(), examples, [components], kind=kind, metrics=["nll"], positions=positions, generator=seeded()
    )
    wanted = [math.log(math.e + 1 + math.exp(x)) - x for x in logits]
    assert outcome.edited["nll"][0].tolist() == pytest.approx(wanted, abs=1e-5), why


def batch_of_ends(ends: list[int]) -> Batch:
    """Examples whose prompts are two tokens and whose answers end at these positions."""
    places = torch.arange(max(ends) + 1)
    scored = (places >= 2) & (places <= torch.tensor(ends)[:, None])
    return Batch(torch.zeros(len(ends), max(ends) + 1, dtype=torch.int64), scored)


def test_partners_are_uniform_among_the_others_that_are_as_long() -> None:
    # As long as 3: all others; as 5: 5, 6, 6; as 6: the other 6. Nothing is as long as the last but its equal.
    ends, draws, generator = [3, 5, 3, 6, 5, 6], 3000, seeded()
    counts = torch.zeros(6, 6)
    for _ in range(draws):
        chosen = partners(batch_of_ends(ends), generator=generator)
        counts[torch.arange(6), chosen] += 1
    for row, end in enumerate(ends):
        allowed = [other for other in range(6) if other != row and ends[other] >= end]
        wanted = torch.zeros(6)
        wanted[allowed] = 1 / len(allowed)
        # Five standard deviations of a share: 5 * sqrt(1/4 / 3000) = 0.046
        assert (counts[row] / draws - wanted).abs().max() < 0.046
        assert (counts[row] > 0).nonzero()[:, 0].tolist() == allowed


def test_partner_of_the_longest_is_the_longest_other() -> None:
    for seed in range(20):
        assert partners(batch_of_ends([3, 4, 7, 6, 2]), generator=seeded(seed))[2] == 3


def test_partners_follow_the_generator() -> None:
    batch = batch_of_ends([4] * 40)
    first, again, other = (partners(batch, generator=seeded(seed)).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert all(partner != row for row, partner in enumerate(first))


# ------------------------------------------------------------------------ parts, positions, references, against hooks
SITES = {"head": ["attn.hook_z"], "mlp": ["hook_mlp_out"], "attn": ["hook_attn_out"],
         "layer": ["hook_attn_out", "hook_mlp_out"]}  # fmt: skip

SETS = ["0.mlp", "1.mlp", "0.attn", "1.attn", "0.layer", "1.layer", "0.1", "1.3", "0.2 0.mlp 1.attn", "1.mlp 0.layer",
        "1.0 1.mlp"]  # fmt: skip

SETTINGS: dict[str, dict[str, object]] = {
    "rotary": {},
    "none, LN, plain MLP, all biases": {"positions": "none", "norm": "LN", "mlp": "plain", "biases": "all"},
    "learned, grouped queries, qkv biases, log_n": {
        "positions": "learned", "n_ctx": 24, "n_key_value_heads": 2, "biases": "qkv", "temperature": "log_n",
    },
    "three task heads": {"task_heads": 3},
}  # fmt: skip


def reference(cache: Any, other: Any, name: str, kind: AblationKind, batch: Batch) -> Tensor:
    """What takes the place of an activation: the definition, in plain loops."""
    if kind in ("resample", "counterfactual"):
        return other[name]
    clean = cache[name].double()
    if kind == "zero":
        return torch.zeros_like(clean).float()
    last = [int(row.nonzero().max()) for row in batch.predicting]
    read = [
        [row[place] for row, end in zip(clean, last, strict=True) if place <= end] for place in range(max(last) + 1)
    ]
    if kind == "mean_all":
        mean = torch.stack([row for rows in read for row in rows]).mean(dim=0)
        return mean.float().expand_as(clean)
    means = clean.clone()  # where nothing is read it does not matter
    for place, rows in enumerate(read):
        means[:, place] = torch.stack(rows).mean(dim=0)
    return means.float()


def nlls_by_hooks(
    model: HookedTransformer, batch: Batch, news: dict[str, Tensor], components: Sequence[Component],
    positions: list[int], task_head: int,
) -> list[float]:  # fmt: skip
    """One run with a hook at every site of every component."""
    hooks: list[Any] = []
    for one in components:
        assert isinstance(one, Head | Part)  # groups have a test of their own, `test_grouped_query`
        for site in SITES[one.kind if isinstance(one, Part) else "head"]:
            name = f"blocks.{one.layer}.{site}"
            hooks.append((name, writer(one, positions, news[name])))
    logits: Tensor = model.run_with_hooks(batch.inputs, fwd_hooks=hooks, task=task_head)
    losses: list[float] = []
    for row, marks in enumerate(batch.predicting):
        at = marks.nonzero()[:, 0]
        surprises = -logits[row, at].double().log_softmax(dim=-1)[torch.arange(len(at)), batch.tokens[row, at + 1]]
        losses.append(surprises.mean().item())
    return losses


def writer(one: Head | Part, positions: list[int], new: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    def write(value: Tensor, hook: HookPoint) -> Tensor:
        value = value.clone()
        for position in positions:
            if isinstance(one, Part):
                value[:, position] = new[:, position]
            else:
                value[:, position, one.head] = new[:, position, one.head]
        return value

    return write


def assert_equal_to_hooks(
    model: HookedTransformer, task: Task, kind: AblationKind, scope: Positions, *, length: int
) -> None:
    generator, task_head = seeded(3), model.config.task_heads - 1
    pair: Pair = task.counterfactual(task.sample(6, length=length, generator=generator), generator=generator)
    chosen = partners(pair.clean, generator=seeded(9))
    others = pair.clean.inputs[chosen] if kind == "resample" else pair.counterfactual.inputs
    width, first = pair.clean.inputs.shape[1], int(pair.clean.scored[0].int().argmax())
    named = {"all": range(width), "prompt": range(first), "answer": range(first, width)}
    positions = list(named[scope]) if isinstance(scope, str) else list(scope)
    sets = [[parse_component(name) for name in names.split()] for names in SETS]
    outcome = ablate(
        model, Examples.of_pair(pair, task_head=task_head), sets, kind=kind, metrics=["nll"], positions=scope,
        generator=seeded(9),
    )  # fmt: skip
    cache, other = (
        model.run_with_cache(tokens, return_cache_object=False)[1] for tokens in (pair.clean.inputs, others)
    )
    sites = [f"blocks.{layer}.{site}" for layer in range(2) for site in ("attn.hook_z", *SITES["layer"])]
    news = {name: reference(cache, other, name, kind, pair.clean) for name in sites}
    wanted = [nlls_by_hooks(model, pair.clean, news, one, positions, task_head) for one in sets]
    assert (torch.tensor(wanted) - outcome.unedited["nll"]).abs().amax(dim=1).min() > 1e-4  # every one of them shows
    for names, found, values in zip(SETS, outcome.edited["nll"].tolist(), wanted, strict=True):
        assert found == pytest.approx(values, abs=2e-5, rel=1e-5), names


@torch.no_grad()
@pytest.mark.parametrize("kind", ["zero", "mean", "mean_all", "resample", "counterfactual"])
@pytest.mark.parametrize("name", SETTINGS)
def test_parts_equal_hooks(name: str, kind: AblationKind) -> None:
    model = random_model(TASK.vocabulary, **{"n_layers": 2, **SETTINGS[name]})
    for parameter_name, parameter in model.named_parameters():
        if ".b_" in parameter_name:
            parameter.normal_(generator=seeded(2))
    assert_equal_to_hooks(model, TASK, kind, "all", length=3)


@torch.no_grad()
@pytest.mark.parametrize("scope", ["prompt", "answer", (2, 4), (4,)])
@pytest.mark.parametrize("kind", ["mean", "resample"])
def test_positions_equal_hooks(kind: AblationKind, scope: Positions) -> None:
    assert_equal_to_hooks(random_model(TASK.vocabulary, n_layers=2), TASK, kind, scope, length=3)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mean", "mean_all", "resample", "counterfactual"])
def test_parts_equal_hooks_where_answers_differ_in_length(kind: AblationKind) -> None:
    task = get_task("multiply_cot")
    assert_equal_to_hooks(random_model(task.vocabulary, n_layers=2), task, kind, "all", length=2)


# --------------------------------------------------------------------------------------------------------------- errors
NO_COUNTERFACTUAL = (
    "metric 'logit_difference' compares with a counterfactual, and there is none here; use nll or accuracy, or an "
    "analysis or ablation kind that has counterfactuals"
)


@pytest.mark.parametrize(
    ("kind", "metric", "text"),
    [
        ("counterfactual", "nll", "kind 'counterfactual' needs counterfactual examples; give task.counterfactual's"),
        ("resample", "nll", "kind 'resample' needs a generator to draw the other examples with; give one"),
        ("zero", "logit_difference", NO_COUNTERFACTUAL),
    ],
)  # fmt: skip
def test_kind_or_metric_without_what_it_needs_is_refused(kind: AblationKind, metric: str, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        ablate(hand_model(), Examples(hand_batch()), [(Head(0, 0),)], kind=kind, metrics=[metric])
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("components", "text"),
    [
        ([Part(0, "mlp"), Part(2, "mlp")], "component 2.mlp does not exist: the model has layers 0 to 1"),
        ([Head(0, 1), Part(0, "layer")], "components 0.1 and 0.layer overlap; name each part of the model once"),
    ],
)
def test_components_are_checked(components: list[Component], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        ablate(hand_model(), Examples(hand_batch()), [components], kind="zero")
    assert str(caught.value) == text
