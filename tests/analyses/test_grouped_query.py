"""Every analysis on grouped-query attention: as with each query head's own copy of its keys and values, or by hooks."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses import (
    ActivationPatching,
    AttentionDifference,
    DirectLogitAttribution,
    Group,
    Head,
    HeadAblation,
    HeadEffects,
    HeadOverlap,
    JointAblation,
    LinearProbe,
    PairAblation,
    Part,
    Primitives,
    RepresentationSimilarity,
    all_groups,
)
from analyses.ablation import AblationKind, partners
from analyses.components import Component, check_components, parse_component
from analyses.examples import Examples
from analyses.heads import check_groups
from analyses.interventions import Site
from analyses.joint_ablation import matched_sets
from tasks import InvalidValueError, get_task
from tests.analyses.interventions.by_hooks import random_biases
from tests.analyses.models import effects_of, random_model, seeded
from training import HookedTransformer, ModelConfig
from training.evaluate import score_logits

COPY, SHIFT = (get_task(name, alphabet=4, case="lower") for name in ("copy", "shift"))
VOCABULARY = COPY.vocabulary.union(SHIFT.vocabulary)
LENGTH, N = 3, 6


def grouped() -> HookedTransformer:
    """4 query heads on 2 key-value heads, 2 layers, query, key and value biases; in float64."""
    model = random_model(VOCABULARY, n_layers=2, n_key_value_heads=2, biases="qkv", d_mlp=20)
    return random_biases(model, seeded(2)).double()


def with_own_copies(model: HookedTransformer) -> HookedTransformer:
    """The same function with as many key-value heads as heads, each the copy of what its query head read."""
    config = model.config.model_copy(update={"n_key_value_heads": model.config.n_heads})
    own = HookedTransformer(config, vocabulary=model.vocabulary, generator=seeded()).double()
    shared = model.config.n_heads // model.config.n_key_value_heads
    weights = model.state_dict()
    for name, value in weights.items():
        if name.split(".")[-1] in ("W_K", "W_V", "b_K", "b_V"):
            weights[name] = torch.stack([value[head // shared] for head in range(model.config.n_heads)])
    own.load_state_dict(weights)
    return own.eval()


Measure = Callable[[HookedTransformer], pd.DataFrame]

SAME: dict[str, Measure] = {
    "head ablation": lambda model: HeadAblation("resample", "nll")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "pairs": lambda model: PairAblation(metric="nll")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "joint": lambda model: JointAblation((Head(0, 1), Head(1, 2)), metric="nll", controls=5)(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "patterns patched": lambda model: ActivationPatching("pattern")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "queries patched": lambda model: ActivationPatching("q", "head_position", "noise")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "keys patched, whole layers": lambda model: ActivationPatching("k", "layer")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "values patched, whole layers": lambda model: ActivationPatching("v", "layer_position")(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "direct logit attribution": lambda model: DirectLogitAttribution()(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "attention difference": lambda model: AttentionDifference(bootstraps=5)(
        model, COPY.bind(VOCABULARY), SHIFT.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "representation similarity": lambda model: RepresentationSimilarity(groups=2)(
        model, COPY.bind(VOCABULARY), SHIFT.bind(VOCABULARY), length=LENGTH, n=8, generator=seeded(3)
    ),
    "primitives": lambda model: Primitives(permutations=20)(
        model, COPY.bind(VOCABULARY), length=LENGTH, n=N, generator=seeded(3)
    ),
    "probes of heads": lambda model: LinearProbe(sites=("z",))(
        model, COPY.bind(VOCABULARY), label="current_token", length=LENGTH, n=40, generator=seeded(3)
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_same_as_with_a_copy_of_keys_and_values_for_each_head(name: str) -> None:
    model = grouped()
    found, wanted = SAME[name](model), SAME[name](with_own_copies(model))
    ignored = [column for column in found if str(column).startswith("untrained")]  # drawn anew, in other shapes
    pd.testing.assert_frame_equal(found.drop(columns=ignored), wanted.drop(columns=ignored), rtol=1e-7, atol=1e-9)


# ------------------------------------------------------------------------------------------------ by key-value head


def by_hooks(
    model: HookedTransformer, examples: Examples, site: str, writes: dict[int, list[int]], new: Tensor
) -> Tensor:
    """NLL of every example with `new` [layer, batch, pos, head, d] in place at some heads of a hook."""

    def write(activation: Tensor, hook: HookPoint) -> Tensor:
        changed, layer = activation.clone(), int(str(hook.name).split(".")[1])
        for head in writes[layer]:
            changed[:, :, head] = new[layer][:, :, head]
        return changed

    hooks: list[Any] = [(f"blocks.{layer}.attn.hook_{site}", write) for layer in writes]
    logits = model.run_with_hooks(examples.clean.inputs, fwd_hooks=hooks)
    return score_logits(logits[examples.clean.predicting], examples.clean).nll


def reference(model: HookedTransformer, examples: Examples, kind: AblationKind) -> Tensor:
    """What takes the place of z [layer, batch, pos, head, d_head], from a run with a cache."""
    layers = range(model.config.n_layers)
    z = torch.stack([model.run_with_cache(examples.clean.inputs)[1]["z", layer] for layer in layers])
    if kind == "counterfactual":
        assert examples.counterfactual is not None
        cache = model.run_with_cache(examples.counterfactual.inputs)[1]
        return torch.stack([cache["z", layer] for layer in layers])
    if kind == "resample":
        return z[:, partners(examples.clean, generator=seeded(9))]
    means = {"zero": 0 * z, "mean": z.mean(dim=1, keepdim=True), "mean_all": z.mean(dim=(1, 2), keepdim=True)}
    return means[kind].expand_as(z)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["zero", "mean", "mean_all", "resample", "counterfactual"])
def test_a_group_is_both_its_query_heads_at_once(kind: AblationKind) -> None:
    model, ablation = grouped(), HeadAblation(kind, "nll")
    examples = Examples.drawn_in_pairs(model, COPY, length=LENGTH, n=N, generator=seeded(3), task_head=0)
    groups = all_groups(model.config)
    assert [str(group) for group in groups] == ["0.kv0", "0.kv1", "1.kv0", "1.kv1"]
    found = ablation.of_sets(
        model, examples, [(group,) for group in groups], about=("copy", LENGTH), generator=seeded(9)
    )[0]
    new = reference(model, examples, kind)
    for place, group in enumerate(groups):
        heads = [2 * group.group, 2 * group.group + 1]  # 4 query heads on 2 key-value heads
        wanted = by_hooks(model, examples, "z", {group.layer: heads}, new)
        torch.testing.assert_close(found.ablated[place].double(), wanted.double(), rtol=1e-6, atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("site", ["k", "v"])
def test_patches_of_keys_and_values_are_those_of_key_value_heads(site: Site) -> None:
    model = grouped()
    pair = COPY.bind(VOCABULARY).counterfactual(
        COPY.bind(VOCABULARY).sample(N, length=LENGTH, generator=seeded(3)), generator=seeded(4)
    )
    effects = ActivationPatching(site, "head", "noise", "nll").effects(model, pair)
    assert [(label["layer"], label["head"]) for label in effects.labels] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    cache = model.run_with_cache(pair.counterfactual.inputs)[1]
    other = torch.stack([cache[site, layer] for layer in range(2)])
    assert other.shape[3] == 2
    for place, label in enumerate(effects.labels):
        layer, head = int(str(label["layer"])), int(str(label["head"]))
        wanted = by_hooks(model, Examples.of_pair(pair), site, {layer: [head]}, other)
        torch.testing.assert_close(effects.patched[place].double(), wanted.double(), rtol=1e-6, atol=1e-7)


def test_table_of_groups_and_what_is_made_of_it() -> None:
    model = grouped()
    groups: tuple[Component, ...] = tuple(all_groups(model.config))
    maps = [
        HeadAblation("mean", "nll", groups).effects(model, task, length=LENGTH, n=N, generator=seeded(3))[0]
        for task in (COPY.bind(VOCABULARY), SHIFT.bind(VOCABULARY))
    ]
    table = maps[0].table()
    assert list(table["heads"]) == ["0.kv0", "0.kv1", "1.kv0", "1.kv1"]
    assert list(zip(table["layer"], table["head"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert HeadEffects.from_examples(maps[0].examples()).sets == maps[0].sets
    overlap = HeadOverlap(k=2, permutations=50, bootstraps=10)(*maps, generator=seeded(0))
    exact = overlap[(overlap["null"] == "hypergeometric") & (overlap["measure"] == "jaccard")].iloc[0]
    # Of 4 groups, 2 tops of 2: P(share all 2) = 1/6, P(share 1 or more) = 5/6; Jaccard is 1, 1/3 or 0.
    assert exact["p"] == pytest.approx({1.0: 1 / 6, 1 / 3: 5 / 6, 0.0: 1.0}[exact["estimate"]])
    heads = HeadAblation("mean", "nll").effects(model, SHIFT, length=LENGTH, n=N, generator=seeded(3))[0]
    with pytest.raises(InvalidValueError, match=re.escape("differ in sets: 4 sets (0.kv0, 0.kv1, 1.kv0, 1.kv1) and 8")):
        HeadOverlap(k=2)(maps[0], heads, generator=seeded(0))


def test_group_jointly_and_in_pairs() -> None:
    model = grouped()
    alone = HeadAblation("mean", "nll", (Group(1, 0),))(model, COPY, length=LENGTH, n=N, generator=seeded(3))
    both = HeadAblation("mean", "nll", (Head(1, 0), Head(1, 1)), "jointly")(
        model, COPY, length=LENGTH, n=N, generator=seeded(3)
    )
    assert alone["effect"].item() == pytest.approx(both["effect"].item(), rel=1e-9)
    joint = JointAblation((Group(1, 0),), metric="nll")(model, COPY, length=LENGTH, n=N, generator=seeded(3)).iloc[0]
    # The only other group of its layer is the only control.
    other = HeadAblation("mean", "nll", (Group(1, 1),))(model, COPY, length=LENGTH, n=N, generator=seeded(3))
    assert (joint["heads"], joint["controls"]) == ("1.kv0", 1)
    assert joint["control_mean"] == pytest.approx(other["effect"].item(), rel=1e-9)
    pair = PairAblation((Group(0, 1), Head(1, 3)), metric="nll")(
        model, COPY, length=LENGTH, n=N, generator=seeded(3)
    ).iloc[0]
    assert (pair["first"], pair["second"]) == ("0.kv1", "1.3")


def test_controls_of_groups_are_groups() -> None:
    assert matched_sets([Group(0, 0)], heads_per_layer=3, count=9, generator=seeded()) == [
        (Group(0, 1),),
        (Group(0, 2),),
    ]


# ------------------------------------------------------------------------------------------------------------ names


def config(**settings: object) -> ModelConfig:
    return ModelConfig.read(
        {"n_layers": 2, "n_heads": 4, "d_model": 8, "d_vocab": 3, "n_key_value_heads": 2, **settings}
    )


def test_groups_by_name() -> None:
    group = Group(1, 0)
    assert parse_component(str(group)) == group
    assert group.heads(config()) == [Head(1, 0), Head(1, 1)]
    assert Group(1, 1).heads(config()) == [Head(1, 2), Head(1, 3)]
    assert group != Head(1, 0)  # or one would take the other's place in a dictionary
    ungrouped = config(n_key_value_heads=4)
    assert [one.heads(ungrouped) for one in all_groups(ungrouped)][:2] == [[Head(0, 0)], [Head(0, 1)]]


@pytest.mark.parametrize(
    ("components", "text"),
    [
        ([Group(0, 2)], "group 0.kv2 does not exist: the model has layers 0 to 1 of key-value heads 0 to 1, so 0.kv0"),
        ([Group(2, 0)], "group 2.kv0 does not exist"),
        ([Group(0, 1), Group(0, 1)], "group 0.kv1 is named twice; name each group once"),
        ([Head(0, 3), Group(0, 1)], "components 0.3 and 0.kv1 overlap; name each part of the model once"),
        ([Group(0, 1), Part(0, "attn")], "components 0.kv1 and 0.attn overlap"),
    ],
)
def test_refused(components: list[Component], text: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(text)):
        check_components(components, config())


def test_what_does_not_overlap() -> None:
    check_components([Head(0, 1), Group(0, 1), Group(1, 0), Part(0, "mlp")], config())
    check_groups([Group(0, 0), Group(0, 1)], config())


def test_joint_sets_of_heads_and_groups_have_no_controls() -> None:
    with pytest.raises(InvalidValueError, match=re.escape("0.1 0.kv1 are heads and groups of heads, and no other set")):
        JointAblation((Head(0, 1), Group(0, 1)))
    with pytest.raises(
        InvalidValueError, match=re.escape("0.kv0 0.kv1 are all the heads of their layers, so no other")
    ):
        matched_sets([Group(0, 0), Group(0, 1)], heads_per_layer=2, count=3, generator=seeded())


def test_many_heads_are_compared_at_once() -> None:
    """480 heads, as in 32 layers of 15, and effects of accuracy, which tie in thousands of ways."""
    draws = torch.rand(2, 480, 64, generator=seeded(0)) < torch.rand(480, 1, generator=seeded(1)) ** 8
    maps = [
        effects_of(values.double(), heads_per_layer=15, task=task, metric="accuracy")
        for values, task in zip(draws, ("copy", "shift"), strict=True)
    ]
    table = HeadOverlap(k=10, permutations=100, bootstraps=20)(*maps, generator=seeded(0))
    assert table["estimate"].between(0, 1).all()
    assert (table.loc[table["measure"] == "rank_biased_overlap", "p"] < 0.02).all()
