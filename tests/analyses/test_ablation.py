"""Effects, their standard errors and signs, and the tables they are kept in."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from analyses import Head, HeadAblation, HeadEffects, Part, ablate, get_metric, list_metrics
from analyses.ablation import AblationKind
from analyses.effects import COLUMNS
from analyses.examples import Examples
from analyses.heads import all_heads
from analyses.scopes import Positions
from tasks import Batch, InvalidValueError, UnknownNameError, get_task
from tests.analyses.models import effects_of, hand_batch, hand_model, random_model, seeded
from training import HookedTransformer
from training.files import read_table, write_table

TASK = get_task("shift", alphabet=4, case="lower")


# In `hand_model` the logits are a: 1, b: 0, [EOS]: x, and [EOS] is right.
PROBABILITIES = {x: torch.tensor([1.0, 0, x], dtype=torch.float64).softmax(dim=0) for x in range(-40, 41)}
NLL = {x: -math.log(p[2].item()) for x, p in PROBABILITIES.items()}
KL = {(x, y): (p * (p / q).log()).sum().item() for x, p in PROBABILITIES.items() for y, q in PROBABILITIES.items()}


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=2)


# Three examples, two heads; the metric is 1 for each example where nothing is ablated.
#   head 0.0   effects 1, 0, 2    mean 1      squared deviations 0 + 1 + 1,     / (3 - 1) = 1,    stderr sqrt(1 / 3)
#   head 0.1   effects 0, 0, -3   mean -1     squared deviations 1 + 1 + 4,     / (3 - 1) = 3,    stderr sqrt(3 / 3)
THREE = torch.tensor([[1.0, 0, 2], [0, 0, -3]])


@pytest.mark.parametrize(("metric", "better"), [("accuracy", 1), ("token_accuracy", 1), ("nll", -1)])
def test_table_of_three_examples(metric: str, better: int) -> None:
    table = effects_of(THREE, metric=metric, heads_per_layer=2).table()
    assert list(table.columns) == COLUMNS
    assert table["effect"].tolist() == [1, -1]
    assert table["stderr"].tolist() == pytest.approx([math.sqrt(1 / 3), 1])
    assert table["clean"].tolist() == [1, 1]
    assert table["ablated"].tolist() == [1 - better, 1 + better]
    assert table["n"].tolist() == [3, 3]
    assert [*zip(table["layer"], table["head"], table["heads"], strict=True)] == [(0, 0, "0.0"), (0, 1, "0.1")]
    assert (table["metric"] == metric).all()


def test_table_of_parts_has_layers_but_no_heads() -> None:
    table = effects_of(THREE, sets=[(Part(2, "mlp"),), (Head(1, 0), Part(1, "mlp"))]).table()  # pyright: ignore[reportArgumentType]
    assert table["heads"].tolist() == ["2.mlp", "1.0 1.mlp"]
    assert table["layer"].isna().tolist() == [False, True]
    assert table["layer"][0] == 2
    assert table["head"].isna().all()


def test_stderr_of_one_example_is_missing() -> None:
    assert effects_of(torch.tensor([[1.0]])).table()["stderr"].isna().all()


def test_joint_row_names_all_its_heads_and_no_single_one() -> None:
    table = effects_of(THREE, sets=[(Head(0, 3), Head(2, 1)), (Head(1, 0),)]).table()
    assert table["heads"].tolist() == ["0.3 2.1", "1.0"]
    assert table["layer"].isna().tolist() == [True, False]
    assert table["head"].isna().tolist() == [True, False]
    assert table["layer"].dtype == table["head"].dtype == "Int64"


@pytest.mark.parametrize("metric", list_metrics())
def test_positive_effect_means_that_the_head_helped(metric: str) -> None:
    # In `hand_model` the logit of the right token falls from 8 and 5 to 0 and -1 without head 1.1, which makes both
    # examples wrong, and rises to 12 and 8 without head 1.0, which were right before. The counterfactual answer is a,
    # whose logit is 1. Whatever changes the logits takes them away from the clean run, so both cost kl.
    sets = [(Head(1, 1),), (Head(1, 0),)]
    clean, measured = hand_batch(), get_metric(metric)
    counterfactual = Batch(clean.tokens * torch.tensor([1, 1, 0]), clean.scored)
    outcome = ablate(hand_model(), Examples(clean, counterfactual), sets, kind="zero", metrics=[metric])
    effects = HeadEffects(
        "hand", 1, "zero", measured, tuple(sets), outcome.unedited[metric], outcome.edited[metric]
    )  # fmt: skip
    helped, harmed = effects.table()["effect"]
    wanted = {
        "nll": (NLL[0] + NLL[-1] - NLL[8] - NLL[5], NLL[12] + NLL[8] - NLL[8] - NLL[5]),
        "logit_difference": (8 - 0 + 5 + 1, 8 - 12 + 5 - 8),
        "kl": (KL[8, 0] + KL[5, -1], KL[8, 12] + KL[5, 8]),
    }.get(metric, (2, 0))
    assert (helped, harmed) == pytest.approx([total / 2 for total in wanted], abs=1e-5)
    assert harmed < 0 or metric not in ("nll", "logit_difference")


def test_every_head_once_layer_by_layer(model: HookedTransformer) -> None:
    table = HeadAblation(metric="nll")(model, TASK, length=3, n=8, generator=seeded())
    assert list(table.columns) == COLUMNS
    assert table["heads"].tolist() == [str(head) for head in all_heads(model.config)]
    about = {"task": "shift", "length": 3, "kind": "mean", "positions": "all", "metric": "nll", "n": 8}
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    assert (table["effect"] - (table["ablated"] - table["clean"])).abs().max() < 1e-12
    assert (table["effect"].abs() > 1e-3).all()
    assert (table["stderr"] > 0).all()


def test_accuracy_effect_is_clean_minus_ablated(model: HookedTransformer) -> None:
    table = HeadAblation(metric="token_accuracy", kind="zero")(model, TASK, length=3, n=8, generator=seeded())
    assert (table["effect"] - (table["clean"] - table["ablated"])).abs().max() < 1e-12
    assert table["effect"].any()


def test_named_heads_singly_and_jointly(model: HookedTransformer) -> None:
    heads = (Head(1, 2), Head(0, 1))
    every = HeadAblation(metric="nll")(model, TASK, length=3, n=8, generator=seeded()).set_index("heads")
    singly = HeadAblation(metric="nll", heads=heads)(model, TASK, length=3, n=8, generator=seeded())
    jointly = HeadAblation(metric="nll", heads=heads, together="jointly")(
        model, TASK, length=3, n=8, generator=seeded()
    )
    assert singly["heads"].tolist() == ["1.2", "0.1"]
    assert singly["effect"].tolist() == pytest.approx(every.loc[["1.2", "0.1"], "effect"].tolist(), abs=1e-6)
    assert jointly["heads"].tolist() == ["1.2 0.1"]
    assert abs(jointly["effect"].item() - singly["effect"].sum()) > 1e-3


def test_several_metrics_from_the_same_passes(model: HookedTransformer) -> None:
    ablation = HeadAblation(metric="nll")
    both = ablation.effects(model, TASK, length=3, n=8, generator=seeded(), also=["accuracy"])
    assert [effects.metric.name for effects in both] == ["nll", "accuracy"]
    alone = HeadAblation(metric="accuracy")(model, TASK, length=3, n=8, generator=seeded())
    pd.testing.assert_frame_equal(both[1].table(), alone)


def test_same_seed_same_table_and_another_seed_another(model: HookedTransformer) -> None:
    first, again, other = (
        HeadAblation(metric="nll")(model, TASK, length=3, n=8, generator=seeded(seed)) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert (first["effect"] != other["effect"]).all()


def test_task_is_bound_to_the_models_vocabulary() -> None:
    larger = TASK.vocabulary.union(get_task("copy", alphabet=6, case="lower").vocabulary)
    table = HeadAblation(metric="nll")(random_model(larger, n_layers=1), TASK, length=3, n=4, generator=seeded())
    assert len(table) == 4


def test_task_head_is_used() -> None:
    model = random_model(TASK.vocabulary, n_layers=1, task_heads=2)
    first, second = (
        HeadAblation(metric="nll")(model, TASK, length=3, n=4, generator=seeded(), task_head=place) for place in (0, 1)
    )
    assert (first["clean"] != second["clean"]).all()


def test_metric_of_a_users_own(model: HookedTransformer) -> None:
    def surprise(logits: Tensor, batch: Batch) -> Tensor:
        losses = -logits.log_softmax(dim=-1).gather(1, batch.targets[:, None])[:, 0]
        return torch.stack([part.mean() for part in losses.split(batch.scored.sum(dim=1).tolist())])

    mine = HeadAblation(metric=surprise)(model, TASK, length=3, n=8, generator=seeded())
    nll = HeadAblation(metric="nll")(model, TASK, length=3, n=8, generator=seeded())
    assert mine["metric"].unique().tolist() == ["surprise"]
    assert mine["effect"].tolist() == pytest.approx((-nll["effect"]).tolist(), abs=1e-5)


@pytest.mark.parametrize(("positions", "text"), [("prompt", "prompt"), ((5, 2), "5 2")])
def test_positions_stand_in_the_table(model: HookedTransformer, positions: Positions, text: str) -> None:
    everywhere = HeadAblation(metric="nll")(model, TASK, length=3, n=8, generator=seeded())
    table = HeadAblation(metric="nll", positions=positions)(model, TASK, length=3, n=8, generator=seeded())
    assert (table["positions"] == text).all()
    assert table["clean"].tolist() == pytest.approx(everywhere["clean"].tolist(), abs=1e-6)
    assert ((table["effect"] - everywhere["effect"]).abs() > 1e-4).sum() >= 6


def test_counterfactuals_are_drawn_where_kind_or_metric_asks_for_them(model: HookedTransformer) -> None:
    generator = seeded()
    pair = TASK.counterfactual(TASK.sample(8, length=3, generator=generator, stream="test"), generator=generator)
    sets = [(head,) for head in all_heads(model.config)]
    cases: list[tuple[AblationKind, str]] = [("counterfactual", "nll"), ("mean", "logit_difference")]
    for kind, metric in cases:
        found = HeadAblation(kind=kind, metric=metric)(model, TASK, length=3, n=8, generator=seeded())
        wanted = ablate(model, Examples.of_pair(pair), sets, kind=kind, metrics=[metric])
        assert found["ablated"].tolist() == pytest.approx(wanted.edited[metric].mean(dim=1).tolist(), abs=1e-6)


def test_partners_are_drawn_behind_the_examples(model: HookedTransformer) -> None:
    found = HeadAblation(kind="resample", metric="nll")(model, TASK, length=3, n=8, generator=seeded())
    generator = seeded()
    batch = TASK.sample(8, length=3, generator=generator, stream="test")
    sets = [(head,) for head in all_heads(model.config)]
    wanted = ablate(model, Examples(batch), sets, kind="resample", metrics=["nll"], generator=generator)
    assert found["ablated"].tolist() == pytest.approx(wanted.edited["nll"].mean(dim=1).tolist(), abs=1e-6)


# ---------------------------------------------------------------------------------------------- kept example by example
@pytest.mark.parametrize(
    "sets",
    [None, [(Head(0, 3), Head(2, 1)), (Head(1, 0),)], [(Part(1, "mlp"), Head(0, 0)), (Part(0, "layer"),)]],
    ids=["single heads", "joint", "parts"],
)
def test_examples_make_the_effects_again(sets: Any, tmp_path: Path) -> None:
    effects = effects_of(torch.randn(2, 7, generator=seeded()), sets=sets, metric="accuracy", kind="zero")
    write_table(tmp_path / "effects.parquet", effects.examples())
    again = HeadEffects.from_examples(read_table(tmp_path / "effects.parquet"))
    for name in ("task", "length", "kind", "positions", "metric", "sets"):
        assert getattr(again, name) == getattr(effects, name)
    assert torch.equal(again.clean, effects.clean)
    assert torch.equal(again.ablated, effects.ablated)
    pd.testing.assert_frame_equal(again.table(), effects.table(), check_exact=True)


def test_examples_hold_a_row_per_set_and_example() -> None:
    table = effects_of(THREE, heads_per_layer=2).examples()
    assert list(table.columns) == [
        "task", "length", "kind", "positions", "metric", "model", "task_key", "heads", "example", "clean", "ablated",
        "effect",
    ]  # fmt: skip
    assert table["heads"].tolist() == ["0.0"] * 3 + ["0.1"] * 3
    assert table["example"].tolist() == [0, 1, 2] * 2
    assert table["effect"].tolist() == [1, 0, 2, 0, 0, -3]
    assert table["ablated"].tolist() == [2, 1, 3, 1, 1, -2]  # nll: 1 where clean, plus the effect


def test_examples_are_paired_by_number_whatever_their_order() -> None:
    effects = effects_of(THREE, heads_per_layer=2)
    # Head 0.0 keeps examples 0, 1, 2; head 0.1's come as 2, 1, 0.
    shuffled = effects.examples().iloc[[0, 1, 2, 5, 4, 3]]
    assert torch.equal(HeadEffects.from_examples(shuffled).effects, effects.effects)


@pytest.mark.parametrize(
    ("table", "counts"),
    [
        (pd.concat([effects_of(THREE).examples(), effects_of(THREE, task="shift").examples()]),
         "2 of those and 12 rows for 2 sets"),
        (effects_of(THREE).examples().iloc[:-1], "1 of those and 5 rows for 2 sets"),
        (effects_of(THREE).examples().iloc[[0, 0, 1, 2, 3, 4]], "1 of those and 6 rows for 2 sets"),
        (effects_of(THREE).examples().iloc[:0], "0 of those and 0 rows for 0 sets"),
    ],
    ids=["two tasks", "a row missing", "a row twice, another missing", "empty"],
)  # fmt: skip
def test_table_that_holds_no_whole_set_is_refused(table: pd.DataFrame, counts: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        HeadEffects.from_examples(table)
    assert str(caught.value) == (
        "the table must hold every example of every set once, for one model, task, length, kind, scope and metric; "
        f"it has {counts}; select one first"
    )


# --------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("ablation", "asked", "text"),
    [
        (HeadAblation(), {"n": 0}, "n = 0 examples cannot be measured; allowed is 1 or more"),
        (HeadAblation(), {"n": 1},
         "kind 'mean' of one example would put the example itself in place; use n >= 2, or kind 'zero'"),
        (HeadAblation(kind="resample"), {"n": 1},
         "kind 'resample' of one example would put the example itself in place; use n >= 2, or kind 'zero'"),
        (HeadAblation(heads=(Head(9, 0),)), {},
         "head 9.0 does not exist: the model has layers 0 to 1 of heads 0 to 3, so 0.0 to 1.3"),
        (HeadAblation(heads=(Head(0, 1), Head(0, 1)), together="jointly"), {},
         "head 0.1 is named twice; name each head once"),
        (HeadAblation(), {"length": 0}, "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
        (HeadAblation(), {"task": get_task("copy", alphabet=4, case="lower")},
         "the vocabulary lacks '[copy]', which task 'copy' needs; it has a b c d = [EOS] [shift]"),
    ],
    ids=["no example", "one example", "no other example", "no such head", "head twice", "length", "vocabulary"],
)  # fmt: skip
def test_refused(model: HookedTransformer, ablation: HeadAblation, asked: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        ablation(model, **{"task": TASK, "length": 3, "n": 4, "generator": seeded(), **asked})  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == text


def test_unknown_metric_is_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownNameError) as caught:
        HeadAblation(metric="acuracy")(hand_model(), TASK, length=3, generator=seeded())
    assert str(caught.value) == (
        "unknown metric 'acuracy'; did you mean 'accuracy'? the metrics are accuracy, token_accuracy, nll, "
        "logit_difference, kl"
    )


def test_unknown_kind_or_scope_is_refused_when_asked_for(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        HeadAblation(kind="zeros")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown ablation kind 'zeros'; did you mean 'zero'? the kinds are zero, mean, mean_all, resample, "
        "counterfactual"
    )
    with pytest.raises(UnknownNameError) as caught:
        HeadAblation(positions="prompts")  # pyright: ignore[reportArgumentType]
    assert str(caught.value).startswith("unknown scope 'prompts'; did you mean 'prompt'?")
