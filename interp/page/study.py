"""The page of a study of one seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyses.transfer.study_results import StudyResults
from interp.figures.attention_patterns import by_head, strongest_keys
from interp.findings.extras import NO_EXTRAS, Extras
from interp.page.data import page_data
from interp.page.extra_parts import extra_parts
from interp.page.html import render, write_html
from interp.page.study_sources import study_sources
from interp.panels.study import (
    by_length_panel,
    map_panels,
    scatter_panels,
    study_maps,
    study_metrics,
    too_few_right,
    training_panels,
)
from interp.words.heads import heads_sentence, heads_table
from interp.words.overlap import correction_note, overlap_headline, overlap_words
from interp.words.tables import DataTable, accuracy_table, settings_table
from interp.words.verdict import quoted, verdict

BY_LOSS = (
    "Too few answers are right at this length for exact match to show what a head does, so heads are measured by the "
    "loss here."
)


def write_page(results: StudyResults, path: Path, *, extras: Extras = NO_EXTRAS) -> Path:
    """Writes a study's report page, under a temporary name first: a failure leaves nothing half-written behind.

    The page holds all that it needs (plotly's and circuitsvis's scripts once each) and forbids itself, by a content
    security policy, to ask any server for anything. The same results give the same bytes.

    Args:
        results: What the study found.
        path: Where to write; a missing folder is made, an older page is replaced.
        extras: What else was measured on the study's model with the auxiliary.

    Returns:
        `path`.

    Raises:
        InvalidValueError: The results contradict themselves, for example a head twice in the ablation table; or the
            file can't be written.
    """
    return write_html(render_page(results, extras), path)


def render_page(results: StudyResults, extras: Extras = NO_EXTRAS) -> str:
    """The page as HTML text; see `write_page`."""
    return render("study.html", _context(results, extras), patterns=bool(results.attention))


def _context(results: StudyResults, extras: Extras) -> dict[str, Any]:
    headline = verdict(results)
    sources = study_sources(results, extras.run)
    sections = {
        "by_length": [by_length_panel(results, source=sources["accuracy"])],
        "training": training_panels(results, source=sources["training"]),
        "maps": map_panels(results, source=sources["ablation"]),
        "heads": scatter_panels(results, source=sources["ablation"]),
    }
    heads = by_head(results.attention)
    extra = extra_parts(extras, (results.main, *results.auxiliaries))
    panels = [panel for part in (*sections.values(), extra.trajectories, extra.circuits) for panel in part]
    return {
        "results": results,
        "title": f"{results.name} · interp study",
        "headline": headline,
        "main": quoted([results.main]),
        "auxiliaries": quoted(results.auxiliaries),
        "controls": quoted(results.controls),
        "sections": sections,
        "sources": sources,
        "extra": extra,
        "accuracy_table": accuracy_table(results.accuracy, weights=headline.weights),
        **_heads(results),
        "pairs": overlap_words(results.overlap),
        "correction": correction_note(results.overlap),
        "attention": heads,
        "strongest_keys": strongest_keys,
        "settings": settings_table(results.settings),
        "data": page_data(panels, [*sources.values(), *extra.sources.values()], heads),
    }


def _heads(results: StudyResults) -> dict[str, DataTable | Sequence[str]]:
    """The heads that matter, as a table and as sentences."""
    metric = next(iter(study_metrics(results)), "accuracy")
    maps = study_maps(results, metric=metric) if len(results.ablation) else []
    compared = maps[1:] if maps and maps[0].task == results.main else []
    sentences = [
        *([BY_LOSS] if too_few_right(results) else []),
        *(heads_sentence(maps[0], auxiliary) for auxiliary in compared),
        *overlap_headline(results.overlap, metric=metric),
    ]
    return {"heads_table": heads_table(maps) if maps else DataTable((), ()), "head_sentences": sentences}
