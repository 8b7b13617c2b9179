"""The explorer's panels in HTML: the overlap with its nulls, the primitives of a head, the commands. All is escaped."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from analyses.heads import Head
from interp.figures.heads import metric_name
from interp.figures.overlap_strip import overlap_strip
from interp.figures.style import BLUE, GREY, OCHRE, ON_DARK

STYLE = f"""<style>
.interp-words {{ font: 13px/1.45 system-ui, sans-serif; color: var(--jp-ui-font-color1, inherit); }}
.interp-words table {{ border-collapse: collapse; margin: 4px 0; }}
.interp-words td, .interp-words th {{ padding: 2px 12px 2px 0; text-align: left; vertical-align: middle;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }}
.interp-words td.n {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.interp-words {{ --interp-blue: {BLUE}; }}
[data-jp-theme-light="false"] .interp-words, .vscode-dark .interp-words {{ --interp-blue: {ON_DARK[BLUE]}; }}
.interp-words b.yes {{ color: var(--interp-blue); }}
.interp-words .aside {{ opacity: .75; }}
.interp-words code, .interp-words pre {{ font: 12px/1.4 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }}
.interp-words pre {{ margin: 4px 0; padding: 6px 8px; border-left: 3px solid {GREY}; }}
.interp-words .wrong {{ border-left: 3px solid {OCHRE}; padding-left: 8px; }}
.interp-words svg.strip {{ width: 170px; height: 22px; }}
.interp-words .strip .null {{ fill: {GREY}; opacity: .45; }}
.interp-words .strip .null-mean {{ stroke: {GREY}; stroke-width: 2; fill: none; }}
.interp-words .strip .interval {{ stroke: var(--interp-blue); stroke-width: 2; fill: none; }}
.interp-words .strip .estimate {{ fill: var(--interp-blue); }}
</style>"""

_MEASURES = {
    "cosine": "cosine",
    "spearman": "Spearman",
    "weighted_jaccard": "weighted Jaccard",
    "rank_biased_overlap": "rank-biased overlap",
    "mean_absolute_difference": "mean absolute difference",
    "jaccard": "Jaccard, top {k}",
    "overlap_coefficient": "same heads, top {k}",
}
_NULLS = {
    "free": "shuffled freely",
    "within_layer": "shuffled within layers",
    "hypergeometric": "sets at random, exact",
}

VERDICT_COLUMNS = ("primitive", "verdict", "looks there", "writes it", "cost (nats)", "q")


def page(body: str) -> str:
    """A panel with its style."""
    return f'{STYLE}<div class="interp-words">{body}</div>'


def overlap_table(table: pd.DataFrame) -> str:
    """Each measure with its interval, beside the strictest null there is for it and the free one.

    Args:
        table: Of `HeadOverlap`, of one pair.
    """
    shown = table[table["null"] != "free"]
    rows = []
    for record in shown.to_dict("records"):
        row: dict[str, Any] = {str(name): value for name, value in record.items()}
        strip = overlap_strip(**{name: float(row[name]) for name in _STRIP})
        rows.append(
            [
                html.escape(_MEASURES.get(str(row["measure"]), str(row["measure"])).format(k=int(row["k"]))),
                f"<b>{_number(row['estimate'])}</b> [{_number(row['low'])}, {_number(row['high'])}]",
                html.escape(_NULLS.get(str(row["null"]), str(row["null"]))),
                f"{_number(row['null_mean'])} [{_number(row['null_low'])}, {_number(row['null_high'])}]",
                strip,
                _p(float(row["p"])),
            ]
        )
    head = ("measure", "estimate [95 % without noise]", "null", "mean [95 %]", "", "p")
    draws, count = int(table["permutations"].max()), len(rows)
    aside = (
        f"{draws} shuffles tell no p below {1 / (draws + 1):.2g}. The {count} rows are not corrected for one another; "
        "like maps are no proof of like use: interp cross asks for that."
    )
    return f'{_table(head, rows)}<div class="aside">{aside}</div>'


_STRIP = ("estimate", "low", "high", "null_mean", "null_low", "null_high")


def verdict_table(verdicts: pd.DataFrame, head: Head, tasks: Sequence[str]) -> str:
    """One head's verdicts for each task; primitives without any evidence are only counted.

    Args:
        verdicts: Of `Primitives`, both tasks.
        head: The head.
        tasks: The tasks, in their order.
    """
    mine = verdicts[(verdicts["layer"] == head.layer) & (verdicts["head"] == head.head)]
    parts = []
    for task in tasks:
        rows = mine[mine["task"] == task]
        said = rows[rows["verdict"] != "none"]
        none = [str(name) for name in rows.loc[rows["verdict"] == "none", "primitive"]]
        body = _table(VERDICT_COLUMNS, [_verdict_row(row) for row in said.to_dict("records")]) if len(said) else ""
        aside = f'<div class="aside">no evidence for {html.escape(", ".join(none))}</div>' if none else ""
        parts.append(f"<div><b>{html.escape(task)}</b></div>{body}{aside}")
    return "".join(parts)


def _verdict_row(record: dict[Any, Any]) -> list[str]:
    verdict, written = str(record["verdict"]), max(_or_zero(record["write_tokens"]), _or_zero(record["write_values"]))
    text = f'<b class="yes">{verdict}</b>' if verdict == "implements" else html.escape(verdict)
    shares = (f"{float(record['share']):.0%}", f"{written:.0%}", f"{float(record['effect']):.2f}")
    return [html.escape(str(record["primitive"])), text, *shares, _p(float(record["q"]))]


def _or_zero(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def clean_sentence(names: tuple[str, str], clean: tuple[float, float], *, metric: str, length: int) -> str:
    """What the unchanged model scores; where it is too little to lose, that the loss should be looked at."""
    parts = [f"{html.escape(name)} {value:.2f}" for name, value in zip(names, clean, strict=True)]
    text = f"Unchanged model at length {length}, {metric_name(metric)}: {', '.join(parts)}."
    if metric == "accuracy" and min(clean) < 0.1:
        text += " What is wrong already cannot break: choose loss (nll) as the metric."
    return text


def code(lines: Iterable[str]) -> str:
    """Commands, as they are typed."""
    return "".join(f"<pre>{html.escape(line)}</pre>" for line in lines)


def wrong(text: str) -> str:
    """What could not be done."""
    return f'<div class="wrong">{html.escape(text)}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td class=n>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: object) -> str:
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number):
        return "–"
    text = f"{number:.3f}" if abs(number) < 0.1 else f"{number:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    text = f"{value:.2g}" if value >= 0.0001 else "&lt; 0.0001"
    return f'<b class="yes">{text}</b>' if value < 0.05 else text
