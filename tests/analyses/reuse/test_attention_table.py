"""The table of attention differences: intervals, columns, tasks on other prompts, totals, refusals."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analyses import AttentionDifference, Running
from analyses.reuse.attention import COLUMNS
from analyses.reuse.patterns import compare_patterns
from analyses.reuse.two_tasks import TwoTasks
from tasks import Batch, InvalidValueError, UnknownNameError, get_task
from tests.analyses.models import random_model, seeded
from tests.analyses.reuse.task_pairs import CARRY, COPY, MEASURES, SHIFT, of_heads, total, vocabulary
from training import HookedTransformer


def test_intervals_of_means_are_t_intervals_over_examples() -> None:
    model, n = random_model(vocabulary(SHIFT, COPY)), 6
    analysis = AttentionDifference(measures=("attention_difference",))
    table = analysis(model, SHIFT, COPY, length=4, n=n, generator=seeded())
    examples = TwoTasks.drawn(model, SHIFT, COPY, length=4, n=n, generator=seeded())
    single = compare_patterns(model, examples, positions="all", running=Running()).difference.flatten(1).numpy()
    values = np.column_stack((single, single.sum(axis=1)))
    stderr = values.std(axis=0, ddof=1) / n**0.5
    assert table["stderr"].to_numpy() == pytest.approx(stderr)
    half = 2.570581836 * stderr  # t(.975, 5)
    assert table["low"].to_numpy() == pytest.approx(values.mean(axis=0) - half)
    assert table["high"].to_numpy() == pytest.approx(values.mean(axis=0) + half)


# ---------------------------------------------------------------------------------------------------------------- table
def test_table() -> None:
    model = random_model(vocabulary(SHIFT, COPY), n_layers=2, n_heads=2)
    table = AttentionDifference(bootstraps=30)(model, SHIFT, COPY, length=4, n=6, generator=seeded(7))
    assert list(table.columns) == COLUMNS
    assert table["measure"].tolist() == [measure for measure in MEASURES for _ in range(5)]
    heads = [(0, 0), (0, 1), (1, 0), (1, 1), (pd.NA, pd.NA)] * 3
    assert list(zip(table["layer"], table["head"], strict=True)) == heads
    about = {
        "first": "shift", "second": "copy", "length": 4, "positions": "all", "aligned": True, "n": 6, "seeds": 1,
        "seed": 7,
    }  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    assert table["bootstraps"].tolist() == [0] * 10 + [30] * 5
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()
    again = AttentionDifference(bootstraps=30)(model, SHIFT, COPY, length=4, n=6, generator=seeded(7))
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    other = AttentionDifference(bootstraps=30)(model, SHIFT, COPY, length=4, n=6, generator=seeded(8))
    assert (table["estimate"] != other["estimate"]).all()


def test_tasks_on_other_prompts_have_profiles_only() -> None:
    model = random_model(vocabulary(SHIFT, CARRY), n_layers=1)
    table = AttentionDifference(bootstraps=9)(model, SHIFT, CARRY, length=4, n=5, generator=seeded())
    assert set(table["measure"]) == {"offset_cosine"}
    assert not table["aligned"].any()
    # [shift] + 4 letters + = + 4 letters are read of one task, [carry_only] + 4 + 1 + 4 + = + 5 tokens of the other, so
    # distances 0 to 9 are compared. Products between tasks are of all pairs, as the examples are drawn apart.
    source = seeded()
    batches = [
        task.bind(model.vocabulary).sample(5, length=4, generator=source, stream="test") for task in (SHIFT, CARRY)
    ]
    assert [batch.inputs.shape[1] for batch in batches] == [10, 16]
    profiles = np.array([profile_of(model, batch, head=1, distances=10) for batch in batches])
    products = np.einsum("sid,tjd->stij", profiles, profiles)
    different = ~np.eye(5, dtype=bool)
    cosine = products[0, 1].mean() / (products[0, 0][different].mean() * products[1, 1][different].mean()) ** 0.5
    assert of_heads(table, "offset_cosine")[1] == pytest.approx(cosine)


def profile_of(model: HookedTransformer, batch: Batch, *, head: int, distances: int) -> list[list[float]]:
    """Mean attention of a head of layer 0 at each distance, example by example. [batch, distance]"""
    with torch.no_grad():
        _, cache = model.run_with_cache(batch.inputs)
    patterns = cache["blocks.0.attn.hook_pattern"][:, head].double().numpy()
    return [[np.diagonal(pattern, -distance).mean() for distance in range(distances)] for pattern in patterns]


def test_markers_of_another_width_do_not_align() -> None:
    repeated = get_task("copy", alphabet=4, case="lower", marking="repeated")
    model = random_model(vocabulary(SHIFT, repeated), n_layers=1)
    table = AttentionDifference(bootstraps=9)(model, SHIFT, repeated, length=4, n=5, generator=seeded())
    assert not table["aligned"].any()


def test_totals_are_the_tables() -> None:
    model = random_model(vocabulary(SHIFT, COPY, CARRY), n_layers=2)
    analysis = AttentionDifference(bootstraps=9)
    table = analysis(model, SHIFT, COPY, length=4, n=6, generator=seeded())
    totals = analysis.totals(model, SHIFT, COPY, length=4, n=6, generator=seeded())
    assert totals == {measure: pytest.approx(total(table, measure)) for measure in MEASURES}
    assert list(analysis.totals(model, SHIFT, CARRY, length=4, n=6, generator=seeded())) == ["offset_cosine"]
    one = AttentionDifference(measures=("jensen_shannon",))
    assert one.totals(model, SHIFT, COPY, length=4, n=6, generator=seeded()) == {
        "jensen_shannon": pytest.approx(totals["jensen_shannon"])
    }


def test_prompt_and_answer_make_all() -> None:
    model, found = random_model(vocabulary(SHIFT, COPY)), []
    for positions in ("prompt", "answer", "all"):
        analysis = AttentionDifference(measures=("attention_difference",), positions=positions)
        found.append(analysis(model, SHIFT, COPY, length=4, n=6, generator=seeded())["estimate"].to_numpy())
    assert found[0] + found[1] == pytest.approx(found[2])


def test_the_model_is_left_as_it_was_and_progress_is_told() -> None:
    model, told = random_model(vocabulary(SHIFT, COPY)), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    running = Running(token_budget=40, on_done=lambda done, of: told.append((done, of)))  # two examples of both
    AttentionDifference(bootstraps=9)(model, SHIFT, COPY, length=4, n=5, generator=seeded(), running=running)
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert not model.is_hooked
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# --------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bootstraps": 1}, "bootstraps = 1 give no interval; allowed is 2 or more"),
        ({"measures": ("jensen_shannon",) * 2}, "measure 'jensen_shannon' is named twice; name each measure once"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        AttentionDifference(**settings)
    assert str(caught.value) == text


@pytest.mark.usefixtures("unchecked")
def test_unknown_names_are_refused() -> None:
    measures: Any = ("jensen",)
    with pytest.raises(UnknownNameError) as caught:
        AttentionDifference(measures=measures)
    assert str(caught.value) == (
        "unknown measure 'jensen'; did you mean 'jensen_shannon'? the measures are attention_difference, "
        "jensen_shannon, offset_cosine"
    )
    positions: Any = "answers"
    with pytest.raises(UnknownNameError) as caught:
        AttentionDifference(positions=positions)
    assert str(caught.value) == ("unknown scope 'answers'; did you mean 'answer'? the scopes are all, prompt, answer")


@pytest.mark.parametrize("measure", MEASURES[:2])
def test_pairs_of_queries_need_the_same_prompts(measure: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        AttentionDifference(measures=(measure,))(
            random_model(vocabulary(SHIFT, CARRY)), SHIFT, CARRY, length=4, n=5, generator=seeded()
        )
    assert str(caught.value) == (
        f"measure '{measure}' pairs queries one by one, and tasks 'shift' and 'carry_only' do not read the same "
        "prompts at the same positions; use offset_cosine, which needs no pairs"
    )


def test_one_example_and_hooked_models_are_refused() -> None:
    model, analysis = random_model(vocabulary(SHIFT, COPY)), AttentionDifference()
    with pytest.raises(InvalidValueError, match=r"^n = 1 examples give no interval; allowed is 2 or more$"):
        analysis(model, SHIFT, COPY, length=4, n=1, generator=seeded())
    model.add_hook("hook_embed", lambda value, hook: value)
    with pytest.raises(
        InvalidValueError, match="hooks attached; remove them with model.reset_hooks.. before two tasks"
    ):
        analysis.totals(model, SHIFT, COPY, length=4, n=2, generator=seeded())
