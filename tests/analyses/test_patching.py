"""Activation patching: its tables, hand-worked effects and errors, and TransformerLens' numbers."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from analyses import ActivationPatching, Metric
from analyses.examples import Examples, Running
from analyses.interventions import Edit, Intervention, Site
from analyses.interventions.places import Places
from analyses.interventions.sites import heads_at
from analyses.patches import Direction, PatchEffects, patch
from analyses.patching import By
from tasks import Batch, InvalidValueError, Pair, UnknownNameError, get_task
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

TASK = get_task("shift", alphabet=4, case="lower")

WIDTH = 8  # [shift] a b l = b c a: what is read at length 3; the first scored token stands at 5

COLUMNS = [
    "task", "length", "direction", "metric", "site", "layer", "head", "position", "window", "clean", "corrupted",
    "patched", "effect", "stderr", "normalised", "normalised_stderr", "n",
]  # fmt: skip

DIRECTIONS: tuple[Direction, ...] = ("denoise", "noise")


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=2, n_key_value_heads=2)


@pytest.fixture(scope="module")
def pair() -> Pair:
    generator = seeded(3)
    return TASK.counterfactual(TASK.sample(4, length=3, generator=generator), generator=generator)


def table_of(model: HookedTransformer, analysis: ActivationPatching, n: int = 3) -> pd.DataFrame:
    return analysis(model, TASK, length=3, n=n, generator=seeded())


# ---------------------------------------------------------------------------------------------------------- hand-worked
# `hand_model` (see interventions/hand_cases.py): the logit of [EOS] is l - z10 + 2 z11 at the second position. The
# clean example is `aa`, beside two counterfactuals:
#
#        t (both heads)   m          l        z10   z11   logit
#   aa   4, 4             4, 4       4, 4     4     4     8
#   ab   4, 2             4, 2       4, 2     3     3     5
#   ba   0, 2             0, 2       0, 2     1     1     3
#
# So what there is to win is 8 - 5 = 3 and 8 - 3 = 5, on average 4.
#
#   z of 1.1, noise     z11 = 3: 4 - 4 + 6 = 6;  z11 = 1: 4 - 4 + 2 = 2        effects 2, 6
#   z of 1.1, denoise   z11 = 4: 2 - 3 + 8 = 7;  z11 = 4: 2 - 1 + 8 = 9        effects 2, 6
#       mean 4, deviation sqrt(8), / sqrt(2) = 2; ratio 4 / 4 = 1; residuals 2 - 3, 6 - 5: error 1 / 4
#   z of 0.0, noise     m = 4, 0; l = 4, 0: 0 - 2 + 4 = 2;  m = -4, 0; l = 0: 0 + 2 + 0 = 2          effects 6, 6
#       mean 6, no deviation; ratio 6 / 4; residuals 6 - 4.5, 6 - 7.5: error 1.5 / 4
#   z of 0.0, denoise   m = l = 4, 6: 6 - 5 + 10 = 11;  m = l = 8, 6: 6 - 7 + 14 = 13                effects 6, 10
#       mean 8, deviation sqrt(8), / sqrt(2) = 2; ratio 8 / 4, exactly twice in each: error 0
HAND: list[tuple[int, Direction, list[float], list[float], float, float, float]] = [
    (1, "noise", [6, 2], [2, 6], 2, 1, 0.25),
    (1, "denoise", [7, 9], [2, 6], 2, 1, 0.25),
    (0, "noise", [2, 2], [6, 6], 0, 1.5, 0.375),
    (0, "denoise", [11, 13], [6, 10], 2, 2, 0),
]


def hand_examples() -> Examples:
    scored = torch.tensor([[False, False, True]] * 2)
    clean, changed = ([0, 0, 2], [0, 0, 2]), ([0, 1, 2], [1, 0, 2])
    return Examples(Batch(torch.tensor(clean), scored), Batch(torch.tensor(changed), scored))


def eos_logit(*, better: int) -> Metric:
    """The logit of [EOS], or how much is lacking to 100."""
    if better == 1:
        return Metric.of(lambda logits, _: logits[:, 2], name="logit")
    return Metric.of(lambda logits, _: 100 - logits[:, 2], name="lacking", better=-1)


@pytest.mark.parametrize("better", [1, -1])
@pytest.mark.parametrize(
    ("layer", "direction", "logits", "effects", "stderr", "ratio", "ratio_error"),
    HAND, ids=[f"{one[0]}.{one[0]} {one[1]}" for one in HAND],
)  # fmt: skip
def test_hand_worked_effects(
    layer: int, direction: Direction, logits: list[float], effects: list[float], stderr: float, ratio: float,
    ratio_error: float, better: int,
) -> None:  # fmt: skip
    edits: list[Intervention] = [(Edit("z", layer, Places.of([0, 1]), layer),)]  # 0.0 or 1.1
    found = patch(hand_model(), hand_examples(), edits, direction, eos_logit(better=better), [{"what": "z"}], Running())
    table = found.table()

    def shown(values: Sequence[float]) -> Any:
        return pytest.approx([value if better == 1 else 100 - value for value in values], abs=1e-5)

    assert found.clean.tolist() == shown([8, 8])
    assert found.corrupted.tolist() == shown([5, 3])
    assert found.patched.tolist() == [shown(logits)]
    assert found.effects.tolist() == [pytest.approx(effects, abs=1e-5)]  # the same whichever way is better
    row = table.iloc[0]
    assert row[["clean", "corrupted", "patched"]].tolist() == shown([8, 4, sum(logits) / 2])
    assert row["effect"] == pytest.approx(sum(effects) / 2, abs=1e-5)
    assert row["stderr"] == pytest.approx(stderr, abs=1e-5)
    assert row["normalised"] == pytest.approx(ratio, abs=1e-5)
    assert row["normalised_stderr"] == pytest.approx(ratio_error, abs=1e-5)
    assert (row["what"], row["n"], row["direction"]) == ("z", 2, direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_positive_nll_effect_means_that_it_helps_the_clean_answer(direction: Direction) -> None:
    edits: list[Intervention] = [(Edit("z", 1, Places.of([1]), 1),), (Edit("z", 1, Places.of([1]), 0),)]
    table = patch(hand_model(), hand_examples(), edits, direction, "nll", [{}] * 2, Running()).table()
    # Head 1.1 raises the right logit, and more so in the clean run; head 1.0 lowers it, and more so in the clean run.
    assert table["effect"][0] > 0 > table["effect"][1]
    assert table["normalised"][0] > 0 > table["normalised"][1]
    assert table["clean"][0] < table["corrupted"][0]


def test_normalised_is_missing_where_there_is_nothing_to_win() -> None:
    # Both runs call every example right, so exact match has nothing to win, whatever a patch does.
    edits: list[Intervention] = [(Edit("resid_pre", 0, Places.of([0])),), (Edit("z", 0, Places.of([0, 1]), 0),)]
    table = patch(hand_model(), hand_examples(), edits, "noise", "accuracy", [{}, {}], Running()).table()
    assert table["clean"].tolist() == table["corrupted"].tolist() == [1, 1]
    assert table["effect"].tolist() == [0, 0]
    assert table[["normalised", "normalised_stderr"]].isna().all(axis=None)


@pytest.mark.parametrize("metric", ["nll", "accuracy", "token_accuracy", "logit_difference", "kl"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_exchanging_everything_is_the_other_run(
    model: HookedTransformer, pair: Pair, direction: Direction, metric: str
) -> None:
    found = ActivationPatching(site="resid_pre", by="layer", direction=direction, metric=metric).effects(model, pair)
    other = found.clean if direction == "denoise" else found.corrupted
    torch.testing.assert_close(found.patched, other.expand(2, -1), rtol=1e-5, atol=1e-5)
    if metric == "kl":
        assert found.clean.abs().max() < 1e-6
    if (found.clean.mean() - found.corrupted.mean()).abs() > 1e-6:
        assert found.table()["normalised"].tolist() == pytest.approx([1, 1], abs=1e-4)


# ----------------------------------------------------------------------------------------------------------------- rows
@pytest.mark.parametrize("by", ["layer", "layer_position", "head", "head_position"])
@pytest.mark.parametrize("site", ["z", "k", "pattern"])
def test_rows_go_layer_head_position(model: HookedTransformer, by: By, site: Site) -> None:
    table = table_of(model, ActivationPatching(site=site, by=by, positions="answer"))
    assert list(table.columns) == COLUMNS
    heads = range(heads_at(site, model.config)) if by.startswith("head") else [pd.NA]
    positions = [5, 6, 7] if by.endswith("position") else [pd.NA]
    wanted = list(itertools.product([0, 1], heads, positions))
    assert [tuple(row) for row in table[["layer", "head", "position"]].to_numpy()] == wanted
    assert (table["window"] == (1 if by.endswith("position") else 3)).all()
    about = {"task": "shift", "length": 3, "direction": "denoise", "metric": "logit_difference", "site": site, "n": 3}
    assert (table[list(about)] == pd.Series(about)).all(axis=None)


def test_streams_have_rows_by_layer_and_position(model: HookedTransformer) -> None:
    table = table_of(model, ActivationPatching(site="resid_mid", by="layer_position"))
    assert table["position"].tolist() == [*range(WIDTH)] * 2
    assert table["head"].isna().all()


def test_effect_is_the_change_towards_the_clean_run(model: HookedTransformer) -> None:
    for direction, metric in itertools.product(DIRECTIONS, ["logit_difference", "nll"]):
        table = table_of(model, ActivationPatching(direction=direction, metric=metric), n=5)
        sign = -1 if metric == "nll" else 1
        change = table["patched"] - table["corrupted"] if direction == "denoise" else table["clean"] - table["patched"]
        assert (table["effect"] - sign * change).abs().max() < 1e-12
        whole = sign * (table["clean"] - table["corrupted"])
        assert (table["normalised"] - table["effect"] / whole).abs().max() < 1e-9
        assert (table["effect"].abs() > 1e-4).all()
        assert (table["stderr"] > 0).all()
        assert (table["normalised_stderr"] > 0).all()


def test_one_example_has_no_standard_error(model: HookedTransformer) -> None:
    table = table_of(model, ActivationPatching(), n=1)
    assert table[["stderr", "normalised_stderr"]].isna().all(axis=None)
    assert table["normalised"].notna().all()


def by_one(effects: PatchEffects) -> dict[tuple[Any, ...], Tensor]:
    return {
        tuple(label[name] for name in ("layer", "head", "position")): patched
        for label, patched in zip(effects.labels, effects.patched, strict=True)
    }


def test_a_layer_is_all_its_heads_at_once(model: HookedTransformer, pair: Pair) -> None:
    # All heads' z at all positions are what attention writes.
    z, out = (ActivationPatching(site=site, by="layer").effects(model, pair).patched for site in ("z", "attn_out"))
    torch.testing.assert_close(z, out, rtol=1e-5, atol=1e-5)
    singly = ActivationPatching(site="z", by="head").effects(model, pair).patched
    assert (singly[:4] - z[0]).abs().min(dim=0).values.max() > 1e-3


def test_window_patches_neighbouring_positions_at_once(model: HookedTransformer, pair: Pair) -> None:
    found = ActivationPatching(site="resid_pre", by="layer_position", window=3).effects(model, pair)
    assert [label["window"] for label in found.labels] == [3, 3, 3, 3, 3, 3, 2, 1] * 2
    for label, patched in zip(found.labels, found.patched, strict=True):
        places = range(label["position"], min(label["position"] + 3, WIDTH))  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        together = ActivationPatching(site="resid_pre", by="layer", positions=tuple(places)).effects(model, pair)
        torch.testing.assert_close(patched, together.patched[label["layer"]], rtol=1e-5, atol=1e-5)  # pyright: ignore[reportArgumentType]


def test_positions_bound_what_is_patched(model: HookedTransformer, pair: Pair) -> None:
    every = by_one(ActivationPatching(by="head_position").effects(model, pair))
    prompt = by_one(ActivationPatching(by="head_position", positions="prompt").effects(model, pair))
    named = by_one(ActivationPatching(by="head_position", positions=(6, 2)).effects(model, pair))
    assert [key[2] for key in prompt] == [0, 1, 2, 3, 4] * 8
    assert [key[2] for key in named] == [2, 6] * 8
    for key, patched in (*prompt.items(), *named.items()):
        torch.testing.assert_close(patched, every[key], rtol=1e-5, atol=1e-5)


def test_effects_of_a_pair_are_those_of_the_table(model: HookedTransformer) -> None:
    generator = seeded()
    batch = TASK.sample(3, length=3, generator=generator, stream="test")
    pair = TASK.counterfactual(batch, generator=generator)
    analysis = ActivationPatching(site="q", by="head", direction="noise", metric="nll")
    table = table_of(model, analysis)
    pd.testing.assert_frame_equal(analysis.effects(model, pair).table(), table.drop(columns=["task", "length"]))
    pd.testing.assert_frame_equal(table, table_of(model, analysis), check_exact=True)


def test_task_head_is_used(pair: Pair) -> None:
    model = random_model(TASK.vocabulary, n_layers=1, task_heads=2)
    first, second = (ActivationPatching().effects(model, pair, task_head=place) for place in (0, 1))
    assert (first.clean != second.clean).all()


# ------------------------------------------------------------------------------------------------- how the work is done
@pytest.mark.parametrize("by", ["head", "head_position"])
def test_results_do_not_depend_on_the_token_budget(model: HookedTransformer, pair: Pair, by: By) -> None:
    analysis = ActivationPatching(site="v", by=by, metric="nll")
    once = analysis.effects(model, pair).patched
    for budget in (1, 30, 100):
        again = analysis.effects(model, pair, running=Running(token_budget=budget)).patched
        torch.testing.assert_close(again, once, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("interrupted", [False, True])
def test_model_is_left_as_it_was(model: HookedTransformer, pair: Pair, interrupted: bool) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(pair.clean.inputs)

    def stop(done: int, total: int) -> None:
        if interrupted:
            raise KeyboardInterrupt

    try:
        ActivationPatching(by="head_position").effects(model, pair, running=Running(token_budget=20, on_done=stop))
    except KeyboardInterrupt:
        assert interrupted
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.is_hooked
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model(pair.clean.inputs), logits)


# --------------------------------------------------------------------------------------------------------------- errors
SCOPES = "the scopes are all, prompt and answer, and positions can be given by number"

SITE_NAMES = "resid_pre, q, k, v, pattern, z, attn_out, resid_mid, mlp_out, resid_post"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"site": "resid_pret"}, f"unknown site 'resid_pret'; did you mean 'resid_pre'? the sites are {SITE_NAMES}"),
        ({"direction": "denoising"},
         "unknown direction 'denoising'; did you mean 'denoise'? the directions are denoise and noise"),
        ({"by": "heads"},
         "unknown unit 'heads'; did you mean 'head'? patches go by layer, layer_position, head, head_position"),
        ({"positions": "answers"}, f"unknown scope 'answers'; did you mean 'answer'? {SCOPES}"),
    ],
    ids=["site", "direction", "unit", "scope"],
)  # fmt: skip
def test_unknown_name_is_refused_when_asked_for(unchecked: None, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        ActivationPatching(**settings)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"window": 0}, "window = 0 positions is not possible; allowed is 1 or more"),
        ({"window": 2}, "a window of 2 needs patches by position; use by='head_position'"),
        ({"window": 3, "site": "resid_pre", "by": "layer"},
         "a window of 3 needs patches by position; use by='layer_position'"),
        ({"positions": (3, 3)}, "positions (3, 3) must be at least one, each named once"),
    ],
    ids=["no window", "window of heads", "window of layers", "position twice"],
)  # fmt: skip
def test_impossible_settings_are_refused_when_asked_for(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        ActivationPatching(**settings)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("analysis", "text"),
    [
        (ActivationPatching(site="resid_post"),
         "site 'resid_post' has no heads of its own; use by='layer', or site 'z'"),
        (ActivationPatching(site="mlp_out", by="head_position"),
         "site 'mlp_out' has no heads of its own; use by='layer', or site 'z'"),
        (ActivationPatching(positions=(2, 8)), "position 8 does not exist: the examples have 0 to 7"),
    ],
    ids=["stream by head", "MLP by head", "position"],
)  # fmt: skip
def test_what_is_not_there_is_refused(model: HookedTransformer, analysis: ActivationPatching, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        table_of(model, analysis)
    assert str(caught.value) == text


def test_unknown_metric_no_examples_and_hooks_are_refused(model: HookedTransformer, pair: Pair) -> None:
    with pytest.raises(UnknownNameError) as unknown:
        table_of(model, ActivationPatching(metric="logits"))
    assert str(unknown.value).startswith("unknown metric 'logits'; the metrics are accuracy, ")
    with pytest.raises(InvalidValueError) as caught:
        table_of(model, ActivationPatching(), n=0)
    assert str(caught.value) == "n = 0 examples cannot be measured; allowed is 1 or more"
    hooked = random_model(TASK.vocabulary, n_layers=1)
    hooked.add_hook("blocks.0.hook_mlp_out", lambda value, hook: value)
    with pytest.raises(InvalidValueError) as caught:
        ActivationPatching().effects(hooked, pair)
    assert str(caught.value) == (
        "the model has hooks attached; remove them with model.reset_hooks() before an intervention"
    )
