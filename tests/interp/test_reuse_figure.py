"""The figure of transfer and reuse: its panels show the tables' numbers, and the same tables give the same bytes."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.transfer.seed_study import SeedStudyResults
from interp.figures.style import CONDITIONS
from interp.paper import reuse_figure, save_figure
from interp.paper.style import Format, Width
from tests.interp.drawn_texts import clashes, drawn_texts, outside
from tests.interp.seed_results import OTHER, SEEDS, seed_results, without


@pytest.fixture(scope="module")
def results() -> SeedStudyResults:
    return seed_results()


@pytest.fixture(scope="module")
def figure(results: SeedStudyResults) -> Figure:
    return reuse_figure(results)


def xy(line: Line2D) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def lines(axes: Axes, condition: str) -> list[tuple[list[float], list[float]]]:
    """The lines in a condition's colour, as x and y, the thin ones first."""
    color = CONDITIONS[condition].color.lower()
    found = sorted(
        (line for line in axes.lines if to_hex(line.get_color()) == color), key=lambda one: one.get_linewidth()
    )
    return [xy(one) for one in found]


def legend(axes: Axes) -> list[str]:
    shown = axes.get_legend()
    assert shown is not None
    return [text.get_text() for text in shown.get_texts()]


def test_accuracy_by_length_with_t_intervals(figure: Figure, results: SeedStudyResults) -> None:
    axes, table = figure.axes[0], results.accuracy
    assert legend(axes) == ["auxiliary", "alone", "control"]
    for place, condition in enumerate(("auxiliary", "alone", "control")):
        rows = table[(table["condition"] == condition) & (table["weights"] == "averaged")]
        values = rows.pivot(index="length", columns="seed", values="accuracy").to_numpy()
        ((lengths, mean),) = lines(axes, condition)
        assert lengths == list(range(1, 9))
        assert mean == pytest.approx(values.mean(axis=1).tolist())
        half = scipy.stats.t.ppf(0.975, len(SEEDS) - 1) * values.std(axis=1, ddof=1) / len(SEEDS) ** 0.5
        ends = np.concatenate([np.clip(values.mean(axis=1) + sign * half, 0, 1) for sign in (-1, 1)])
        corners = np.concatenate([path.vertices for path in axes.collections[place].get_paths()])
        assert set(np.round(ends, 6)) == set(np.round(corners[:, 1], 6))
    (line,) = [one for one in axes.lines if one.get_label() not in legend(axes)]
    assert xy(line)[0] == [4, 4], "the main task's longest length"


@pytest.mark.parametrize(
    ("panel", "quantity", "metric", "label"),
    [(1, "gap", "", "generalization gap"),
     (2, "mean_absolute_difference", "accuracy", "map difference (accuracy)")],
)  # fmt: skip
def test_over_training_a_line_per_seed_and_their_mean(
    figure: Figure, results: SeedStudyResults, panel: int, quantity: str, metric: str, label: str
) -> None:
    axes, table = figure.axes[panel], results.trajectories
    assert axes.get_ylabel() == label
    assert legend(axes) == list(OTHER)
    for condition in OTHER:
        rows = table[(table["condition"] == condition) & (table["quantity"] == quantity) & (table["metric"] == metric)]
        values = rows.pivot(index="seed", columns="step", values="value")
        *each, mean = lines(axes, condition)
        assert [y for _, y in each] == values.to_numpy().tolist()
        assert mean[0] == values.columns.tolist()
        assert mean[1] == pytest.approx(values.mean().tolist())


@pytest.mark.parametrize("width", ["column", "page"])
def test_words_have_room(results: SeedStudyResults, width: Width) -> None:
    figure = reuse_figure(results, width=width)
    texts = drawn_texts(figure)
    assert clashes(texts) == []
    assert outside(texts, figure) == []


def points(axes: Axes) -> pd.DataFrame:
    """What the last panel shows: label, condition, middle, ends, and whether the point is filled."""
    labels = [text.get_text() for text in axes.get_yticklabels()]
    colors = {style.color.lower(): name for name, style in CONDITIONS.items()}
    rows = []
    for bar, point in zip(axes.lines[:-1:2], axes.lines[1:-1:2], strict=True):
        (middle,), (height,) = xy(point)
        filled = to_hex(point.get_markerfacecolor()) == to_hex(point.get_markeredgecolor())
        rows.append((labels[round(height)], colors[to_hex(bar.get_color())], middle, *xy(bar)[0], filled))
    return pd.DataFrame(rows, columns=["label", "condition", "middle", "one", "other", "filled"])


MEASURES = {
    "map difference": ("mean_absolute_difference", "accuracy"),
    "map cosine (nll)": ("cosine", "nll"),
    "map Spearman (nll)": ("spearman", "nll"),
    "weighted Jaccard (nll)": ("weighted_jaccard", "nll"),
    "attention difference": ("attention_difference", ""),
    "Jensen-Shannon div.": ("jensen_shannon", ""),
    "offset cosine": ("offset_cosine", ""),
}


def test_associations_are_signed_so_that_right_means_more_sharing_and_a_smaller_gap(
    figure: Figure, results: SeedStudyResults
) -> None:
    shown, table = points(figure.axes[3]), results.association
    assert len(shown) == len(MEASURES) * len(OTHER)
    for row in shown.to_dict("records"):
        quantity, metric = MEASURES[row["label"]]
        (expected,) = table[
            (table["level"] == "pooled") & (table["outcome"] == "gap") & (table["quantity"] == quantity)
            & (table["metric"] == metric) & (table["condition"] == row["condition"])
        ].to_dict("records")  # fmt: skip
        # A difference that falls with the gap, or a likeness that grows as the gap falls, stands on the right.
        sign = 1 if quantity in ("mean_absolute_difference", "attention_difference", "jensen_shannon") else -1
        assert row["middle"] == pytest.approx(sign * expected["detrended"])
        assert {row["one"], row["other"]} == {
            sign * expected["detrended_low"], sign * expected["detrended_high"],
        }  # fmt: skip
        assert row["filled"] == (expected["q"] < 0.05 and expected["seeds_p"] < 0.05)
    assert shown["middle"].mean() > 0.3, "reuse was made to follow the gap"


def test_a_point_is_filled_where_both_tests_agree(results: SeedStudyResults) -> None:
    table = results.association.astype({"seeds_p": float})
    for q, p, filled in ((0.01, 0.01, True), (0.01, 0.2, False), (0.2, 0.01, False)):
        changed = reuse_figure(dataclasses.replace(results, association=table.assign(q=q, seeds_p=p)))
        assert set(points(changed.axes[3])["filled"]) == {filled}


def test_conditions_that_are_not_there_are_not_drawn(results: SeedStudyResults) -> None:
    figure = reuse_figure(without(results, "control"))
    assert legend(figure.axes[0]) == ["auxiliary", "alone"]
    assert legend(figure.axes[1]) == legend(figure.axes[2]) == ["auxiliary"]
    assert set(points(figure.axes[3])["condition"]) == {"auxiliary"}


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_tables_give_the_same_bytes(tmp_path: Path, results: SeedStudyResults, form: Format) -> None:
    first, again = (save_figure(reuse_figure(results), tmp_path / name, form=form).read_bytes() for name in "ab")
    assert first == again
    assert first.startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[form])
    assert len(first) > 5000
