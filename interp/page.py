"""The report page: one self-contained HTML file that a reader can open anywhere, send on, and print."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from analyses.transfer.study_results import StudyResults
from interp.data_tables import DataTable, accuracy_table, settings_table
from interp.figures.attention_patterns import (
    HeadAttention,
    by_head,
    circuitsvis_script,
    pattern_properties,
    strongest_keys,
)
from interp.figures.style import ON_DARK
from interp.head_words import heads_sentence, heads_table
from interp.overlap_words import correction_note, overlap_headline, overlap_words
from interp.panels import (
    Panel,
    by_length_panel,
    map_panels,
    scatter_panels,
    study_maps,
    study_metrics,
    too_few_right,
    training_panels,
)
from interp.verdict import quoted, verdict
from training.files import write_whole

TEMPLATES = Path(__file__).parent / "templates"
_BY_LOSS = (
    "Too few answers are right at this length for exact match to show what a head does, so heads are measured by the "
    "loss here."
)


def write_page(results: StudyResults, path: Path) -> Path:
    """Writes a study's report page, under a temporary name first: a failure leaves nothing half-written behind.

    The page holds all that it needs (plotly's and circuitsvis's scripts once each) and forbids itself, by a content
    security policy, to ask any server for anything. The same results give the same bytes.

    Args:
        results: What the study found.
        path: Where to write; a missing folder is made, an older page is replaced.

    Returns:
        `path`.

    Raises:
        InvalidValueError: The results contradict themselves, for example a head twice in the ablation table; or the
            file can't be written.
    """
    text = render_page(results)
    return write_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def render_page(results: StudyResults) -> str:
    """The page as HTML text; see `write_page`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rich"] = rich
    return environment.get_template("report.html").render(_context(results))


def rich(text: str) -> Markup:
    """Text as HTML: escaped, parts in backticks as code, and no line break before "%" or inside "a ± b" or "p = x"."""
    safe = str(escape(text)).replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0").replace("p = ", "p\u00a0=\u00a0")
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", safe))


def script_json(value: object) -> Markup:
    """JSON that can stand in a script element: no text in it can end the element or open a comment."""
    text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _context(results: StudyResults) -> dict[str, Any]:
    headline = verdict(results)
    metric = next(iter(study_metrics(results)), "accuracy")
    maps = study_maps(results, metric=metric) if len(results.ablation) else []
    compared = maps[1:] if maps and maps[0].task == results.main else []
    sections = {
        "by_length": [by_length_panel(results)],
        "training": training_panels(results),
        "maps": map_panels(results),
        "heads": scatter_panels(results),
    }
    heads = by_head(results.attention)
    return {
        "results": results,
        "headline": headline,
        "main": quoted([results.main]),
        "auxiliaries": quoted(results.auxiliaries),
        "controls": quoted(results.controls),
        "sections": sections,
        "accuracy_table": accuracy_table(results.accuracy, weights=headline.weights),
        "heads_table": heads_table(maps) if maps else DataTable((), ()),
        "head_sentences": [
            *([_BY_LOSS] if too_few_right(results) else []),
            *(heads_sentence(maps[0], auxiliary) for auxiliary in compared),
            *overlap_headline(results.overlap, metric=metric),
        ],
        "pairs": overlap_words(results.overlap),
        "correction": correction_note(results.overlap),
        "attention": heads,
        "strongest_keys": strongest_keys,
        "settings": settings_table(results.settings),
        "data": script_json(_data([panel for panels in sections.values() for panel in panels], heads)),
        **_assets(),
    }


def _data(panels: Sequence[Panel], heads: Sequence[HeadAttention]) -> dict[str, Any]:
    """What the page's script draws, by the id of the element to draw in."""
    patterns = {
        f"pattern-{head.layer}-{head.head}-{place}": pattern_properties(example)
        for head in heads
        for place, example in enumerate(head.examples)
    }
    return {"plots": {panel.id: panel.plot for panel in panels}, "patterns": patterns, "onDark": ON_DARK}


def _assets() -> dict[str, Markup]:
    """Style and scripts, as they stand in the page."""
    return {
        "style": Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "script": Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        "plotly_script": Markup(get_plotlyjs()),
        "circuitsvis_script": Markup(circuitsvis_script()),
    }


def _without_nan(value: Any) -> Any:
    """The value with NaN and infinities as null, which plotly leaves out."""
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
