"""Cross-task ablation: M worked out on paper, and against hooks."""

import math
import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses import CrossTaskAblation, CrossTaskEffects, Head, HeadAblation, double_dissociation
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from analyses.journal import Journal
from analyses.metrics import Metric
from analyses.reuse import dissociation
from analyses.reuse.cross_effects import COLUMNS
from tasks import InterpError, InvalidValueError, get_group
from tests.analyses.models import hand_model, random_model, seeded
from tests.analyses.reuse.hand_tasks import EOS, A, B, First, Row, Second, towards_target
from training import HookedTransformer

# ------------------------------------------------------------------------------------------------------------- on paper
# `hand_model` on `aa` and `ab`, kind zero: effects on the logit of [EOS] (tests/analyses/test_ablate.py)
#   0.0: 4, 2    0.1: -8, -5    1.0: -4, -3    1.1: 8, 6
#   0.0 1.0: 8, 5    0.0 1.1: 4, 2    0.1 1.0: -16, -11    0.1 1.1: 8, 7
# The first task wants that logit great on both, the second small on `ab`: there every effect has the other sign.
FIRST = First(rows=lambda length: [(A, A, EOS), (A, B, EOS)])
SECOND = Second(rows=lambda length: [(A, B, A)])
HAND = CrossTaskAblation(k=1, kind="zero", metric=towards_target, bootstraps=200)

ONE = {  # first's top head 1.1, with the control 1.0; second's 0.1, with the control 0.0
    ("first", "first"): {
        "heads": "1.1", "shared": 1, "effect": 7, "own": 7, "share": 1, "specificity": 0, "controls": 1,
        "control_mean": -3.5, "p": 1 / 2, "specificity_p": 1,
        "q": 1, "specificity_q": 1,  # of 1/2, 1, 1, 1/2, and of 1/2, 1/2: 1/2 * 4/2 and 1/2 * 2/2
    },
    ("first", "second"): {
        "heads": "1.1", "shared": 0, "effect": -6, "own": 5, "share": -6 / 5, "specificity": 7 + 6, "controls": 1,
        "control_mean": 3, "p": 1, "specificity_p": 1 / 2,  # the control's specificity is -3.5 - 3
        "q": 1, "specificity_q": 1 / 2,
    },
    ("second", "first"): {
        "heads": "0.1", "shared": 0, "effect": -6.5, "own": 7, "share": -6.5 / 7, "specificity": 5 + 6.5,
        "controls": 1, "control_mean": 3, "p": 1, "specificity_p": 1 / 2,  # -2 - 3
    },
    ("second", "second"): {
        "heads": "0.1", "shared": 1, "effect": 5, "own": 5, "share": 1, "specificity": 0, "controls": 1,
        "control_mean": -2, "p": 1 / 2, "specificity_p": 1,
    },
}  # fmt: skip

TWO = {  # each has the 3 other sets of one head in each layer as controls
    ("first", "first"): {
        "heads": "0.0 1.1", "effect": 3, "own": 3, "specificity": 0, "controls": 3,
        "control_mean": (6.5 - 13.5 + 7.5) / 3, "p": 3 / 4, "specificity_p": 1,
        "q": 1, "specificity_q": 1,  # of 3/4, 2/4, 1, 1/4: 3/4 * 4/3, 2/4 * 4/2, 1, 1/4 * 4; of 3/4, 1/4: 3/4, 1/4 * 2
    },
    ("first", "second"): {
        "heads": "0.0 1.1", "effect": -2, "own": 11, "share": -2 / 11, "specificity": 3 + 2,
        "control_mean": (-5 + 11 - 7) / 3, "p": 2 / 4, "specificity_p": 3 / 4,  # 11.5, -24.5 and 14.5
        "q": 1, "specificity_q": 3 / 4,
    },
    ("second", "first"): {
        "heads": "0.1 1.0", "effect": -13.5, "own": 3, "share": -4.5, "specificity": 11 + 13.5,
        "control_mean": (6.5 + 3 + 7.5) / 3, "p": 1, "specificity_p": 1 / 4,  # -11.5, -5 and -14.5
        "q": 1, "specificity_q": 1 / 2,
    },
    ("second", "second"): {
        "heads": "0.1 1.0", "effect": 11, "own": 11, "specificity": 0, "control_mean": (-5 - 2 - 7) / 3, "p": 1 / 4,
        "specificity_p": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize(("k", "wanted"), [(1, ONE), (2, TWO)])
def test_hand_worked_table(k: int, wanted: dict[tuple[str, str], dict[str, Any]]) -> None:
    table = replace(HAND, k=k)(hand_model(), [FIRST, SECOND], length=2, n=8, generator=seeded(3))
    assert list(table.columns) == COLUMNS
    assert list(zip(table["ablated"], table["scored"], strict=True)) == list(wanted)
    about = {"length": 2, "kind": "zero", "positions": "all", "metric": "towards_target", "k": k, "bootstraps": 200,
             "n": 4, "seeds": 1, "seed": 3, "null": "matched sets", "family": 4, "specificity_family": 2,
             "correction": "Benjamini-Hochberg"}  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    for (_, row), values in zip(table.iterrows(), wanted.values(), strict=True):
        for name, value in values.items():
            assert row[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4)), name
        assert row["low"] <= row["effect"] <= row["high"]
        assert row["specificity_low"] <= row["specificity"] <= row["specificity_high"]
    # The second task's examples are all alike, so its own effect has no spread.
    assert table["high"].iloc[3] - table["low"].iloc[3] == pytest.approx(0, abs=1e-6)
    assert table["high"].iloc[0] > table["low"].iloc[0] + 0.1


def test_hand_worked_dissociation() -> None:
    found = HAND.effects(hand_model(), [FIRST, SECOND], length=2, n=8, generator=seeded(3))
    table = double_dissociation(found)
    assert list(table.columns) == dissociation.COLUMNS
    row = table.iloc[0]
    assert len(table) == 1
    assert (row["first"], row["second"], row["first_heads"], row["second_heads"]) == ("first", "second", "1.1", "0.1")
    assert row["first_specificity"] == pytest.approx(13, abs=1e-4)
    assert row["second_specificity"] == row["dissociation"] == pytest.approx(11.5, abs=1e-4)
    # The one pair of controls, 1.0 and 0.0: min(-3.5 - 3, -2 - 3) = -6.5.
    assert row["control_mean"] == row["control_low"] == row["control_high"] == pytest.approx(-6.5, abs=1e-4)
    assert (row["controls"], row["p"], row["p_both"], row["shared"], row["n"]) == (1, 0.5, 0.5, 0, 4)
    assert row["low"] <= 11.5 <= row["high"]
    assert (row["null"], row["correction"], row["seeds"]) == ("pairs of matched sets", "Benjamini-Hochberg", 1)
    assert (row["q"], row["q_both"], row["family"]) == (0.5, 0.5, 1)  # one pair: nothing to correct for
    two = double_dissociation(
        replace(HAND, k=2).effects(hand_model(), [FIRST, SECOND], length=2, n=8, generator=seeded(3))
    ).iloc[0]
    assert (two["controls"], two["p_both"]) == (3, 0.75)
    assert two["dissociation"] == pytest.approx(5, abs=1e-4)


def test_heads_are_chosen_on_one_half_and_scored_on_the_other() -> None:
    # The first four of eight examples, `aa`, want [EOS] great, and choose 1.1 (8). The others, `ab`, want it small: -6.
    rows: list[Row] = [(A, A, EOS)] * 4 + [(A, B, A)] * 4
    table = HAND(hand_model(), [First(rows=lambda length: rows), SECOND], length=2, n=8, generator=seeded())
    assert table["heads"].iloc[0] == "1.1"
    assert table["effect"].iloc[0] == pytest.approx(-6, abs=1e-4)
    assert table["n"].iloc[0] == 4


def test_ties_go_to_the_lower_layer_and_a_set_without_its_like_has_no_controls() -> None:
    # On `bb` every head writes 0, so no ablation changes anything: all four tie.
    zeros = First(rows=lambda length: [(B, B, EOS)])
    table = replace(HAND, k=2)(hand_model(), [zeros, SECOND], length=2, n=8, generator=seeded())
    row = table.iloc[0]
    assert (row["heads"], row["effect"], row["share"], row["p"]) == ("0.0 0.1", 0, 0, 1)
    assert table["share"].iloc[2] == 0  # second's heads on a task that loses nothing by its own
    assert (row["controls"], table["controls"].iloc[3]) == (0, 3)
    empty = table.iloc[:2]
    assert (empty[["p", "specificity_p"]] == 1).all(axis=None)
    assert empty[["control_mean", "control_low", "control_high"]].isna().all(axis=None)
    pair = double_dissociation(
        replace(HAND, k=4).effects(hand_model(), [zeros, SECOND], length=2, n=8, generator=seeded())
    ).iloc[0]
    assert (pair["controls"], pair["p"], pair["p_both"], pair["shared"]) == (0, 1, 1, 4)
    assert math.isnan(pair["control_mean"])


# -------------------------------------------------------------------------------------------------------- against hooks
GROUP = get_group("copy+shift")
TASKS = [GROUP.main.task, GROUP.auxiliaries[0].task, GROUP.controls[0].task]
MODEL = random_model(GROUP.vocabulary, n_layers=2)


def by_hooks(model: HookedTransformer, examples: Examples, heads: tuple[Head, ...]) -> Tensor:
    """Effects in nll of ablating heads together to the mean over the batch: z overwritten in one run of it."""
    batch = examples.clean

    def overwrite(z: Tensor, hook: HookPoint) -> Tensor:
        for head in heads:
            if hook.name == f"blocks.{head.layer}.attn.hook_z":
                z[:, :, head.head] = means[hook.name][:, head.head]
        return z

    def nll(logits: Tensor) -> Tensor:
        chosen = logits.log_softmax(dim=-1)[:, :, :].gather(-1, batch.tokens[:, 1:, None])[..., 0]
        return -(chosen * batch.predicting).sum(dim=1) / batch.predicting.sum(dim=1)

    with torch.no_grad():
        logits, cache = model.run_with_cache(batch.inputs, names_filter=lambda name: name.endswith("hook_z"))
        means = {name: cache[name].mean(dim=0) for name in cache}
        edited = model.run_with_hooks(batch.inputs, fwd_hooks=[(name, overwrite) for name in means])
    return nll(edited) - nll(logits)


def test_equals_running_every_set_alone_with_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Examples] = []
    real = HeadAblation.draw

    def draw(self: HeadAblation, *arguments: Any, **options: Any) -> Examples:
        drawn.append(real(self, *arguments, **options))
        return drawn[-1]

    monkeypatch.setattr(HeadAblation, "draw", draw)
    found = CrossTaskAblation(k=2, metric="nll", controls=4).effects(MODEL, TASKS, length=4, n=12, generator=seeded(1))
    words = [one.clean.tokens[:, 1:5].tolist() for one in drawn]
    assert words[0] == words[1] == words[2]  # matched prompts
    for place, examples in enumerate(drawn):
        choosing, judging = Examples(examples.clean[:6]), Examples(examples.clean[6:])
        singly = {head: by_hooks(MODEL, choosing, (head,)).mean().item() for head in all_heads(MODEL.config)}
        best = sorted(singly, key=singly.__getitem__)[-2:]
        assert set(found.top[place]) == set(best)
        for number, heads in enumerate(found.scored[place].sets):
            wanted = by_hooks(MODEL, judging, tuple(Head.parse(str(one)) for one in heads)).double()
            torch.testing.assert_close(found.scored[place].effects[number], wanted, rtol=1e-4, atol=1e-5)
        sizes = [sum(head.layer == layer for head in found.top[place]) for layer in range(2)]
        start = sum(count + 1 for count in found.controls[:place])
        own = found.scored[0].sets[start + 1 : start + 1 + found.controls[place]]
        assert all([sum(head.layer == layer for head in one) for layer in range(2)] == sizes for one in own)
        assert found.top[place] not in own


def test_same_seed_same_table_whatever_is_stored() -> None:
    ablation = CrossTaskAblation(k=2, metric="nll", controls=5, kind="resample", bootstraps=50)
    found = ablation.effects(MODEL, TASKS, length=4, n=12, generator=seeded(1))
    table, pairs = found.table(), double_dissociation(found)
    again = ablation(MODEL, TASKS, length=4, n=12, generator=seeded(1))
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    stored = found.examples().sample(frac=1, random_state=0)  # in any order but that of the tasks
    stored = stored.sort_values("scored", key=lambda names: names.map([t.name for t in TASKS].index), kind="stable")
    back = CrossTaskEffects.from_examples(stored, bootstraps=50)
    pd.testing.assert_frame_equal(table, back.table(), check_exact=True)
    pd.testing.assert_frame_equal(pairs, double_dissociation(back), check_exact=True)
    redrawn = CrossTaskEffects.from_examples(stored, bootstraps=70).table()
    assert set(redrawn["bootstraps"]) == {70}
    assert (redrawn["low"] != table["low"]).any()
    pd.testing.assert_series_equal(redrawn["effect"], table["effect"])
    other = ablation(MODEL, TASKS, length=4, n=12, generator=seeded(2))
    assert (table["effect"] != other["effect"]).any()
    generator = seeded(1)
    ablation(MODEL, TASKS, length=4, n=12, generator=generator)
    assert (ablation(MODEL, TASKS, length=4, n=12, generator=generator)["effect"] != table["effect"]).any()


@pytest.mark.parametrize(("kind", "metric"), [("counterfactual", "logit_difference"), ("mean", "kl")])
def test_every_kind_and_metric(kind: Any, metric: str) -> None:
    table = CrossTaskAblation(k=1, kind=kind, metric=metric, positions="prompt", bootstraps=20)(
        MODEL, TASKS[:2], length=4, n=12, generator=seeded(1)
    )
    assert set(table["positions"]) == {"prompt"}
    assert table.drop(columns=["ablated"]).notna().all(axis=None)


def test_task_heads_choose_the_unembedding() -> None:
    model = random_model(GROUP.vocabulary, n_layers=1, task_heads=2)
    ablation = CrossTaskAblation(k=1, metric="nll", bootstraps=20)
    tables = [
        ablation(model, TASKS[:2], length=4, n=12, generator=seeded(1), task_heads=heads)
        for heads in ((), (0, 0), (0, 1))
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    scored = tables[2]["scored"] == "copy"
    assert (tables[2]["own"][scored] != tables[0]["own"][scored]).all()


def test_progress_counts_all_sweeps_and_journals_are_removed(tmp_path: Any) -> None:
    seen: list[tuple[int, int]] = []
    running = Running(on_done=lambda *done: seen.append(done), journal=Journal(tmp_path / "x.journal", seconds=0.0))
    CrossTaskAblation(k=1, metric="nll")(MODEL, TASKS, length=4, n=12, generator=seeded(1), running=running)
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert list(tmp_path.iterdir()) == []


def test_metrics_of_ones_own_are_one_for_all_tasks() -> None:
    own = Metric.of(towards_target, name="mine", better=-1)
    table = replace(HAND, metric=own)(hand_model(), [FIRST, SECOND], length=2, n=8, generator=seeded())
    assert set(table["metric"]) == {"mine"}
    assert table["heads"].iloc[0] == "0.1"  # less is better: the signs are the other way round
    broken = replace(HAND, metric=lambda logits, batch: logits[:, 0] * torch.inf)
    with pytest.raises(InvalidValueError, match="not finite"):
        broken(hand_model(), [FIRST, SECOND], length=2, n=8, generator=seeded())


# --------------------------------------------------------------------------------------------------------------- errors
def run(
    *, tasks: Any = TASKS[:2], length: int = 3, n: int = 8, task_heads: Any = (), k: int = 1, positions: Any = "all"
) -> pd.DataFrame:
    ablation = CrossTaskAblation(k=k, positions=positions, bootstraps=5)
    return ablation(MODEL, tasks, length=length, n=n, generator=seeded(), task_heads=task_heads)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CrossTaskAblation(k=0), "k = 0 is not possible; allowed is 1 or more"),
        (lambda: CrossTaskAblation(controls=0), "controls = 0 is not possible; allowed is 1 or more"),
        (lambda: CrossTaskAblation(bootstraps=0), "bootstraps = 0 is not possible; allowed is 1 or more"),
        (lambda: CrossTaskAblation(metric="acuracy"), "unknown metric 'acuracy'; did you mean 'accuracy'? .*"),
        (lambda: CrossTaskAblation(kind="nul"), "unknown ablation kind 'nul'; .*"),  # pyright: ignore[reportArgumentType]
        (lambda: run(k=9), "k = 9 top heads of 8; allowed are 1 to 8"),
        (lambda: run(tasks=TASKS[:1]), "cross-task ablation compares two or more tasks, got shift; name at least two"),
        (lambda: run(tasks=[TASKS[0], TASKS[0]]), "task 'shift' is named twice; name each task once"),
        (lambda: run(task_heads=(0,)), "1 task heads are named for 2 tasks; name one for each, or none"),
        (lambda: run(task_heads=(0, 1)), "task head 1 does not exist: the model has 1, counted from 0"),
        (lambda: run(n=3), "n = 3 examples do not make two halves of 2 or more; use n >= 4"),
        (lambda: run(length=0), "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
        (lambda: run(positions=(99,)), "position 99 does not exist: the examples have 0 to .*"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InterpError) as caught:
        make()
    pattern = ".*".join(re.escape(part) for part in text.split(".*"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
