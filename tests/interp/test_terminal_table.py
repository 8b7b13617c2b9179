"""Tables fit the terminal, whole: heads in lines, what all rows share aside, texts broken, columns in parts."""

import pandas as pd
import pytest
from rich.console import Console

from interp.terminal.table import laid_out


def text(table: pd.DataFrame, *, width: int, columns: list[str] | None = None) -> tuple[str, list[str]]:
    """The line about what rows share, and the lines that a terminal of that width shows."""
    caption, parts = laid_out(table, columns=columns or [str(name) for name in table], width=width)
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return caption, [line.rstrip() for line in captured.get().splitlines()]


def test_digits_follow_the_greatest_value_of_a_column() -> None:
    table = pd.DataFrame(
        {
            "large": [0.98765, -0.00001],  # three digits behind the point; no minus before nothing
            "small": [0.0123456, 0.1e-3],  # the greatest has three that count: 0.0123
            "whole": [4.0, 1.0],  # no more than they have
            "many": [1234.56, 7.0],
            "steps": [810.0, 90.0],
            "p": [0.0001234, 1.0],
            "q_both": [0.04321, 0.5],
        }
    )
    _, lines = text(table, width=200)
    assert lines[2].split() == ["0.988", "0.0123", "4.0", "1234.6", "810", "0.00012", "0.043"]
    assert lines[3].split() == ["0.000", "0.0001", "1.0", "7.0", "90", "1", "0.5"]


def test_an_error_and_an_interval_have_the_digits_of_their_number() -> None:
    table = pd.DataFrame({"effect": [1.25], "stderr": [0.01234], "low": [0.0], "high": [2.0], "share": [0.0123]})
    _, lines = text(table, width=200)
    assert lines[2].split() == ["1.250", "0.012", "0.000", "2.000", "0.0123"]


def test_what_is_missing_and_what_is_no_number() -> None:
    table = pd.DataFrame(
        {
            "layer": pd.array([1, pd.NA], dtype="Int64"),
            "value": [float("nan"), 0.5],
            "yes": [True, False],
            "text": ["a\x1b[31m", None],
            "markup": ["[bold]", "[/x]"],
        }
    )
    _, lines = text(table, width=200)
    assert lines[2].split() == ["1", "-", "yes", "a?[31m", "[bold]"]
    assert lines[3].split() == ["-", "0.5", "no", "-", "[/x]"]


@pytest.mark.parametrize(
    ("metric", "head"), [("nll", "effect (nats)"), ("logit_difference", "effect (logits)"), ("accuracy", "effect")]
)
def test_heads_carry_units(metric: str, head: str) -> None:
    table = pd.DataFrame({"metric": [metric], "effect": [0.5], "seconds": [1.5], "token_accuracy": [0.5]})
    _, lines = text(table, width=200)
    assert lines[0].split() == f"metric {head} seconds (s) token accuracy".split()


def test_a_head_is_named_as_options_name_it() -> None:
    table = pd.DataFrame(
        {
            "layer": pd.array([0, 1, pd.NA], dtype="Int64"),
            "head": pd.array([3, pd.NA, pd.NA], dtype="Int64"),
            "effect": [0.25, 0.125, 0.5],
        }
    )
    _, lines = text(table, width=200)
    assert [line.split() for line in (lines[0], *lines[2:])] == [
        ["head", "effect"], ["0.3", "0.250"], ["1", "0.125"], ["-", "0.500"]
    ]  # fmt: skip
    assert list(table) == ["layer", "head", "effect"], "the table itself stays as it is"


WIDE = pd.DataFrame(
    {
        "task": ["shift", "shift"],
        "measure": ["mean_absolute_difference", "cosine"],
        "first_specificity": [0.25, 0.5],
        "second_specificity": [0.75, 0.125],
        "p": [0.01, 0.5],
    }
)
# In one line: task 5, measure 24, "first specificity" 17, "second specificity" 18, p 4: 68 and four gaps of 2, 76.


def test_a_table_that_fits_is_left_alone() -> None:
    caption, lines = text(WIDE, width=76)
    assert caption == ""
    assert lines[0] == "task   measure                   first specificity  second specificity     p"
    assert len(lines) == 4


def test_heads_are_broken_first() -> None:
    caption, lines = text(WIDE, width=66)  # 5 + 24 + 11 + 11 + 4 and four gaps of 2: 63
    assert caption == ""
    assert lines[0].split() == ["first", "second"]
    assert lines[1].split() == ["task", "measure", "specificity", "specificity", "p"]


def test_then_what_all_rows_share_goes_into_a_line_of_its_own() -> None:
    caption, lines = text(WIDE, width=60)
    assert caption == "task shift"
    assert lines[1].split() == ["measure", "specificity", "specificity", "p"]
    assert lines[3].split() == ["mean_absolute_difference", "0.25", "0.750", "0.01"]


def test_then_texts_are_broken_behind_a_sign() -> None:
    _, lines = text(WIDE, width=52)
    assert max(map(len, lines)) <= 52
    assert lines[3].split() == ["mean_absolute_", "0.25", "0.750", "0.01"]
    assert lines[4].split() == ["difference"]


def test_then_columns_go_into_parts_each_with_what_a_row_is_about() -> None:
    _, lines = text(WIDE, width=36)
    assert max(map(len, lines)) <= 36
    heads = [line.split() for line in lines if line.startswith("measure")]
    assert heads == [["measure", "specificity"], ["measure", "specificity", "p"]]
    values = [line.split() for line in lines if line.startswith("cosine")]
    assert values == [["cosine", "0.50"], ["cosine", "0.125", "0.5"]]


@pytest.mark.parametrize("width", [24, 40, 60, 80])
def test_no_width_loses_anything(width: int) -> None:
    many = {f"some_value_{place}": [place / 8, 1.0] for place in range(9)}
    _, lines = text(pd.DataFrame({"name": ["x" * 50, "日本語 ü <script>'\""], **many}), width=width)
    shown = "".join(lines).replace(" ", "")
    assert all(f"{place / 8:.3f}" in shown for place in range(1, 9, 2))
    assert shown.count("x") >= 50
    assert "<script>" in shown or width == 24


def test_only_labels_in_a_narrow_terminal() -> None:
    table = pd.DataFrame({name: [f"{name}-{'y' * 20}", name] for name in "abcdefgh"})
    _, lines = text(table, width=40)
    assert max(map(len, lines)) <= 40
    assert all(any(name in line.split() for line in lines[1:]) for name in "abcdefgh")
