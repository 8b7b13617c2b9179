"""Sets, pairs and orders of heads: on the model that is set by hand, and their controls."""

import itertools
from typing import Any

import pandas as pd
import pytest
import torch

from analyses import GreedyAblation, Head, HeadAblation, JointAblation, PairAblation, Part
from analyses.examples import Examples
from analyses.joint_ablation import matched_sets
from analyses.pair_ablation import pair_table
from tasks import InterpError, get_task
from tests.analyses.models import hand_batch, hand_model, random_model, seeded

TASK = get_task("copy", alphabet=4, case="lower")
MODEL = random_model(TASK.vocabulary, n_layers=2)


def pairs_of_hand_model() -> pd.DataFrame:
    """`PairAblation`'s rows for the hand model, in the [EOS] logit itself (a metric of one's own), kind zero."""
    heads = [Head(0, 0), Head(0, 1), Head(1, 0), Head(1, 1)]
    ablation = HeadAblation(kind="zero", metric=eos_logit)
    pairs = list(itertools.combinations(heads, 2))
    sets = [*((head,) for head in heads), *pairs]
    found = ablation.of_sets(hand_model(), Examples(hand_batch()), sets, about=("hand", 2), generator=seeded())
    return pair_table(found[0], heads, pairs)


def eos_logit(logits: torch.Tensor, batch: Any) -> torch.Tensor:
    return logits[:, 2]


def test_interactions_of_the_hand_model() -> None:
    # Logits of `aa` and `ab` (test_ablate.py): clean 8, 5; without 0.0: 4, 3; 0.1: 16, 10; 1.0: 12, 8; 1.1: 0, -1; so
    # effects 4, 2;  -8, -5;  -4, -3;  8, 6: means 3, -6.5, -3.5, 7.
    # Both gone: 0.0 0.1: 0, 0, effects 8, 5; less 4 - 8 and 2 - 5: interactions 12, 8.
    #            1.0 1.1: 4, 2 (relu(middle) alone), effects 4, 3; less -4 + 8 and -3 + 6: 0, 0.
    #            0.0 1.0: 0, 0, effects 8, 5; less 4 - 4 and 2 - 3: 8, 6.
    #            0.1 1.1: 0, -2, effects 8, 7; less -8 + 8 and -5 + 6: 8, 6.
    table = pairs_of_hand_model().set_index(["first", "second"])
    assert len(table) == 6
    columns = ("first_effect", "second_effect", "joint_effect", "interaction")
    for column, value in zip(columns, (3, -6.5, 6.5, 10), strict=True):
        assert table[column][("0.0", "0.1")] == pytest.approx(value, abs=1e-4)
    wanted = {("0.0", "0.1"): (12, 8), ("1.0", "1.1"): (0, 0), ("0.0", "1.0"): (8, 6), ("0.1", "1.1"): (8, 6)}
    for pair, (one, other) in wanted.items():
        assert table.loc[pair, "interaction"] == pytest.approx((one + other) / 2, abs=1e-4)
        # standard deviation of two numbers is |a - b| / sqrt(2), over sqrt(2)
        assert table.loc[pair, "stderr"] == pytest.approx(abs(one - other) / 2, abs=1e-4)
    assert table["metric"].unique().tolist() == ["eos_logit"]
    assert (table["n"] == 2).all()


def test_pairs_of_a_trained_shape() -> None:
    table = PairAblation(metric="nll")(MODEL, TASK, length=3, n=6, generator=seeded(1))
    heads = [f"{layer}.{head}" for layer in range(2) for head in range(4)]
    assert list(zip(table["first"], table["second"], strict=True)) == list(itertools.combinations(heads, 2))
    row = table.iloc[9]
    both = tuple(Head.parse(name) for name in (row["first"], row["second"]))
    joint = HeadAblation(metric="nll", heads=both, together="jointly")(MODEL, TASK, length=3, n=6, generator=seeded(1))
    single = HeadAblation(metric="nll", heads=both)(MODEL, TASK, length=3, n=6, generator=seeded(1))
    assert row["joint_effect"] == pytest.approx(joint["effect"][0], abs=1e-6)
    assert row["interaction"] == pytest.approx(joint["effect"][0] - single["effect"].sum(), abs=1e-6)
    parts = PairAblation((Part(0, "mlp"), Part(1, "mlp"), Head(1, 2)), metric="nll")
    assert parts(MODEL, TASK, length=3, n=6, generator=seeded(1))["second"].tolist() == ["1.mlp", "1.2", "1.2"]


def test_controls_are_all_other_sets_if_these_are_few() -> None:
    found = matched_sets([Head(0, 1), Head(2, 0), Head(2, 3)], heads_per_layer=4, count=100, generator=seeded())
    # 4 choices of one head in layer 0 times 6 of two in layer 2, less the set itself
    assert len(found) == len({frozenset(one) for one in found}) == 23
    assert all([head.layer for head in one] == [0, 2, 2] for one in found)
    assert frozenset([Head(0, 1), Head(2, 0), Head(2, 3)]) not in map(frozenset, found)


def test_controls_are_drawn_uniformly_if_there_are_more() -> None:
    asked = [Head(0, 1), Head(1, 0), Head(1, 3)]
    counts: dict[frozenset[Head], int] = {}
    generator = seeded(3)
    for _ in range(400):
        found = matched_sets(asked, heads_per_layer=4, count=5, generator=generator)
        assert len(set(map(frozenset, found))) == 5
        for one in found:
            counts[frozenset(one)] = counts.get(frozenset(one), 0) + 1
    assert len(counts) == 23
    # Each in 5 of 23 draws: 87 of 400 expected, standard deviation 8.2.
    assert all(87 - 5 * 8.2 < count < 87 + 5 * 8.2 for count in counts.values())


def test_joint_set_against_its_controls() -> None:
    joint = JointAblation((Head(0, 0), Head(1, 2)), kind="zero", metric="nll", controls=100)
    row = joint(MODEL, TASK, length=3, n=6, generator=seeded(1)).iloc[0]
    # Every control by itself: the 15 other pairs of one head of layer 0 and one of layer 1.
    effects = [
        HeadAblation("zero", "nll", (Head(0, one), Head(1, other)), "jointly")(
            MODEL, TASK, length=3, n=6, generator=seeded(1)
        )["effect"][0]
        for one, other in itertools.product(range(4), range(4))
        if (one, other) != (0, 2)
    ]
    assert row["controls"] == 15
    assert row["control_mean"] == pytest.approx(sum(effects) / 15, abs=1e-6)
    assert row["p"] == (sum(effect >= row["effect"] for effect in effects) + 1) / 16
    assert min(effects) <= row["control_low"] <= row["control_mean"] <= row["control_high"] <= max(effects)
    again = joint(MODEL, TASK, length=3, n=6, generator=seeded(1)).iloc[0]
    assert again.equals(row)


@pytest.mark.parametrize("order", ["most", "least"])
def test_greedy_order_is_the_best_step_each_time(order: Any) -> None:
    greedy = GreedyAblation(steps=3, order=order, kind="zero", metric="nll")
    table = greedy(MODEL, TASK, length=3, n=6, generator=seeded(1))
    assert table["step"].tolist() == [1, 2, 3]
    best = max if order == "most" else min
    so_far: tuple[Head, ...] = ()
    heads = [Head(layer, head) for layer in range(2) for head in range(4)]
    for row in table.itertuples():
        effects = {
            head: HeadAblation("zero", "nll", (*so_far, head), "jointly")(
                MODEL, TASK, length=3, n=6, generator=seeded(1)
            )["effect"][0]
            for head in heads
            if head not in so_far
        }
        wanted = best(effects, key=effects.__getitem__)
        assert row.added == str(wanted)
        assert row.chosen_effect == pytest.approx(effects[wanted], abs=1e-6)
        so_far = (*so_far, wanted)
        assert row.heads == " ".join(map(str, so_far))
    # The effects that are reported are those on examples that did not choose: the next 6 of the generator.
    generator = seeded(1)
    HeadAblation(metric="nll").draw(MODEL, TASK, length=3, n=6, generator=generator)
    fresh = HeadAblation("zero", "nll", so_far, "jointly")(MODEL, TASK, length=3, n=6, generator=generator)
    assert table["effect"].iloc[-1] == pytest.approx(fresh["effect"][0], abs=1e-6)


def test_greedy_stops_when_no_head_is_left() -> None:
    greedy = GreedyAblation(steps=9, heads=(Head(0, 1), Head(1, 1)), metric="nll")
    seen: list[tuple[int, int]] = []
    from analyses import Running

    running = Running(on_done=lambda *done: seen.append(done))
    assert len(greedy(MODEL, TASK, length=3, n=6, generator=seeded(1), running=running)) == 2
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: JointAblation(()), "a set of heads to ablate is empty; name at least one head"),
        (lambda: JointAblation((Head(0, 0), Part(1, "mlp"))),
         "controls are sets of heads, and 1.mlp is none; name heads only, as '0.3'"),
        (lambda: JointAblation((Head(0, 0),), controls=0), "controls = 0 sets are not possible; allowed is 1 or more"),
        (lambda: JointAblation(tuple(Head(0, head) for head in range(4))),
         "0.0 0.1 0.2 0.3 are all the heads of their layers, so no other set is like it; name fewer heads"),
        (lambda: JointAblation((Head(0, 9),)),
         "head 0.9 does not exist: the model has layers 0 to 1 of heads 0 to 3, so 0.0 to 1.3"),
        (lambda: PairAblation((Head(0, 0),)), "pairs need at least 2 heads. Got 1; name more, or none for all of them"),
        (lambda: PairAblation((Head(0, 0), Part(0, "attn"))),
         "components 0.0 and 0.attn overlap; name each part of the model once"),
        (lambda: GreedyAblation(steps=0), "steps = 0 are not possible; allowed is 1 or more"),
        (lambda: GreedyAblation(order="best"),  # pyright: ignore[reportArgumentType]
         "unknown order 'best'; did you mean 'least'? the orders are most and least"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InterpError) as caught:
        make()(MODEL, TASK, length=3, n=4, generator=seeded())
    assert str(caught.value) == text
