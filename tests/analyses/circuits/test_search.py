"""From a task to its circuit: what is scored and what is tested, each table, errors before any work, the journals."""

from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
import torch

from analyses import CircuitSearch
from analyses.attribution import EdgeAttribution
from analyses.attribution import edge_attribution as attribution
from analyses.circuits import Circuit, CircuitMinimality, CircuitTests, FaithfulnessCurve, circuit_tests, minimality
from analyses.circuits import curve as curves
from analyses.circuits import search as searches
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import edges
from analyses.journal import Journal
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.circuits.models import TASK
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

N, LENGTH = 12, 4
SETTINGS: dict[str, Any] = {"size": 0.2, "metric": "kl", "steps": 2, "sizes": (0.1, 0.5, 1.0)}

every_show = pytest.mark.parametrize("show", get_args(searches.Show))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nulls of few random circuits: their number is not what is tested here."""
    monkeypatch.setattr(CircuitSearch, "_tests", lambda self: CircuitTests(self.metric, draws=4))
    monkeypatch.setattr(CircuitSearch, "_minimality", lambda self: CircuitMinimality(self.metric, draws=4))


def small_model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=1, n_heads=2, initializer_range=0.3)


def search(show: Any, model: HookedTransformer, running: Running = AT_ONCE, **settings: Any) -> pd.DataFrame:
    analysis = CircuitSearch(show, **{**SETTINGS, **settings})
    return analysis(model, TASK, length=LENGTH, n=N, generator=seeded(5), running=running)


# -------------------------------------------------------------------------------------------------------- each table
@every_show
def test_tables_are_those_of_its_parts_on_examples_drawn_one_after_the_other(show: Any) -> None:
    model, generator = small_model(), seeded(5)
    drawn: dict[str, Any] = {"length": LENGTH, "n": N, "generator": generator, "task_head": 0}
    first = Examples.drawn_in_pairs(model, TASK, **drawn)
    each = EdgeAttribution("EAP-IG-inputs", "kl", "noise", steps=2).scores(model, first)
    # The same scores from the same examples, as a table, by a generator of its own.
    scores = EdgeAttribution("EAP-IG-inputs", "kl", "noise", steps=2)(
        model, TASK, length=LENGTH, n=N, generator=seeded(5)
    )
    assert scores["score"].abs().sum() == pytest.approx(each.mean(dim=0).abs().sum().item())
    second = Examples.drawn_in_pairs(model, TASK, **drawn)
    assert not torch.equal(first.clean.tokens, second.clean.tokens)

    circuit = Circuit.top(scores, model.config, n=len(edges(model.config)) // 5, by="magnitude")
    given: dict[str, Any] = {"generator": generator}
    match show:
        case "edges":
            rows = [(str(edge.sender), str(edge.receiver)) for edge in circuit]
            wanted = scores[[row in rows for row in zip(scores["sender"], scores["receiver"], strict=True)]]
            wanted = wanted.reset_index(drop=True)
        case "tests":
            wanted = CircuitTests("kl", draws=4).of_examples(model, second, circuit=circuit, **given)
        case "minimality":
            wanted = CircuitMinimality("kl", draws=4).of_examples(model, second, circuit=circuit, **given)
        case _:
            curve = FaithfulnessCurve("kl", (0.1, 0.5, 1.0), "magnitude")
            found = curve.of_examples(model, second, scores=scores, **given)
            wanted = found.table() if show == "curve" else found.summary()
    table = search(show, model)
    columns = {
        "curve": curves.COLUMNS, "summary": curves.SUMMARY_COLUMNS, "edges": attribution.COLUMNS[2:],
        "tests": circuit_tests.COLUMNS, "minimality": minimality.COLUMNS,
    }[show]  # fmt: skip
    assert list(table.columns) == ["task", "length", *columns]
    assert table[["task", "length"]].drop_duplicates().to_numpy().tolist() == [["copy", LENGTH]]
    pd.testing.assert_frame_equal(table[columns], wanted[columns])


def test_chosen_greedily_every_edge_leads_to_the_logits() -> None:
    model = small_model()
    table = search("edges", model, choose="greedy")
    circuit = Circuit.parse(" ".join(table["sender"] + "->" + table["receiver"]), model.config)
    assert len(circuit) == len(edges(model.config)) // 5
    scores = EdgeAttribution("EAP-IG-inputs", "kl", "noise", steps=2)(
        model, TASK, length=LENGTH, n=N, generator=seeded(5)
    )
    assert circuit == Circuit.greedy(scores, model.config, n=len(circuit))


@every_show
def test_progress_counts_scoring_and_testing_together(show: Any) -> None:
    # Embed into 2 heads' q, k, v; embed and 2 heads into the MLP; those and the MLP into the logits: 6 + 3 + 4 = 13
    # edges, and a fifth of them is 2. The 12 examples are scored once, and tested with 3 sizes; or with the circuit, 4
    # random ones and the complements of all, 10; or with the circuit, without either edge, and with 4 paths, whole and
    # without an edge, 11.
    tested = {"edges": 0, "curve": 3, "summary": 3, "tests": 10, "minimality": 11}[show]
    seen: list[tuple[int, int]] = []
    search(show, small_model(), Running(token_budget=200, on_done=lambda *done: seen.append(done)))
    done, totals = zip(*seen, strict=True)
    assert set(totals) == {12 * (1 + tested)}
    assert done[-1] == totals[-1]
    assert list(done) == sorted(set(done))
    assert 12 in done


# ----------------------------------------------------------------------------------------------------------- journals
class StopError(Exception):
    """What the user's own code raises."""


@pytest.mark.parametrize(
    ("show", "at"), [(show, at) for show in get_args(searches.Show) for at in (5, 13) if show != "edges" or at <= N]
)
def test_interrupted_goes_on_with_the_same_scores(
    show: Any, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path, scored, original = small_model(), tmp_path / "kept.journal", list[int](), EdgeAttribution._scores

    def counted(self: EdgeAttribution, model: HookedTransformer, part: Examples) -> torch.Tensor:
        scored.append(len(part))
        return original(self, model, part)

    def stop(done: int, total: int) -> None:
        if done >= at:
            raise StopError

    at_once = search(show, model, Running(token_budget=40))
    monkeypatch.setattr(EdgeAttribution, "_scores", counted)
    with pytest.raises(StopError):
        search(show, model, Running(token_budget=40, on_done=stop, journal=Journal(path)))
    assert path.with_suffix(".scores").is_file()
    assert path.is_file() == (at > N)  # the scores do not stand where tested circuits do
    resumed = search(show, model, Running(token_budget=40, journal=Journal(path)))
    assert sum(scored) == N
    pd.testing.assert_frame_equal(resumed, at_once, check_exact=True)
    assert not path.with_suffix(".scores").exists()


# ------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("settings", "n", "text"),
    [
        ({}, 0, "n = 0 examples cannot be measured; allowed is 1 or more"),
        ({"show": "edges"}, 0, "n = 0 examples cannot be measured; allowed is 1 or more"),
        *[({"show": show}, 1, "n = 1 examples give no interval; allowed is 2 or more")
          for show in ("curve", "summary", "tests", "minimality")],
        *[({"show": show, "size": 0.01}, 12,
           "a circuit of 0.01 of the 13 edges has none; use a size of at least 0.0769")
          for show in ("edges", "tests", "minimality")],
        ({"show": "minimality", "size": 1.0}, 12,
         ("a circuit of 1.0 of the 13 edges has all of them, so there are none outside to compare with; use a smaller "
          "size")),
    ],
)  # fmt: skip
def test_refused_before_any_work(settings: dict[str, Any], n: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("this is work")

    model = small_model()
    monkeypatch.setattr(Examples, "drawn_in_pairs", never)
    monkeypatch.setattr(HookedTransformer, "start", never)
    with pytest.raises(InvalidValueError) as caught:
        CircuitSearch(**settings)(model, TASK, length=LENGTH, n=n, generator=seeded())
    assert str(caught.value) == text


def test_a_curve_may_have_sizes_without_an_edge_and_edges_need_one_example() -> None:
    curve = search("curve", small_model(), size=0.01, sizes=(0.0, 0.01, 1.0))
    assert curve["edges"].tolist() == [0, 0, 13]
    table = CircuitSearch("edges", 1.0)(small_model(), TASK, length=LENGTH, n=1, generator=seeded())
    assert len(table) == 13


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"show": "test"},
         "unknown table 'test'; did you mean 'tests'? there are curve, summary, edges, tests, minimality"),
        ({"choose": "scores"},
         "unknown way to choose edges 'scores'; did you mean 'score'? the ways are score, magnitude and greedy"),
        ({"method": "EAP-IG"},
         "unknown method 'EAP-IG'; did you mean 'EAP'? the methods are EAP, EAP-IG-inputs, EAP-IG-activations"),
        *[({"size": size}, f"size {size} is no share of the edges; allowed is more than 0 and up to 1")
          for size in (0.0, 1.5, float("nan"))],
        ({"sizes": (0.5,)}, "sizes (0.5,) make no curve; give two or more shares of the edges, rising, from 0 to 1"),
        ({"metric": "accuracy"},
         ("metric 'accuracy' counts right answers, so it has no gradient; use logit_difference, nll or kl, or a smooth "
          "metric of your own")),
    ],
)  # fmt: skip
def test_refused_when_made(unchecked: None, settings: dict[str, Any], text: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        CircuitSearch(**settings)
    assert str(caught.value) == text
