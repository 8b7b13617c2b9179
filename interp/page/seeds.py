"""The page of a study over several seeds."""

from pathlib import Path
from typing import Any

from interp.findings.extras import Extras
from interp.findings.seeds import SeedFindings
from interp.page.data import page_data
from interp.page.extra_parts import extra_parts
from interp.page.html import render, write_html
from interp.page.study_sources import ABLATION
from interp.panels.seeds import (
    seed_accuracy_panels,
    seed_map_panels,
    seed_maps,
    seed_metrics,
    seed_scatter_panels,
)
from interp.panels.sources import Source, columns_of, command
from interp.words.heads import heads_sentence
from interp.words.overlap import overlap_headline, overlap_words
from interp.words.seeds import gains_table, primitive_seeds_table, seed_verdict, shared_seeds_sentence
from interp.words.tables import DataTable, settings_table
from interp.words.verdict import quoted


def write_seeds(findings: SeedFindings, path: Path) -> Path:
    """Writes the page of a study over seeds; as `write_page`, self-contained, and the same bytes for the same findings.

    Raises:
        InvalidValueError: The file can't be written.
    """
    return write_html(render_seeds(findings), path)


def render_seeds(findings: SeedFindings) -> str:
    """The page as HTML text; see `write_seeds`."""
    return render("seeds.html", _context(findings), patterns=False)


def _context(findings: SeedFindings) -> dict[str, Any]:
    results, sources = findings.results, _sources(findings)
    extras = Extras(
        run=findings.name, trajectories=results.trajectories, association=results.association, leads=results.leads
    )
    extra = extra_parts(extras, (findings.main,))
    sections = {
        "by_length": seed_accuracy_panels(findings, source=sources["accuracy"]),
        "maps": seed_map_panels(findings, source=sources["ablation"]),
        "heads": seed_scatter_panels(findings, source=sources["ablation"]),
    }
    metric = next(iter(seed_metrics(findings)), "accuracy")
    overlap = results.overlap if "null" in results.overlap else results.overlap[:0]
    conditions = list(dict.fromkeys(overlap["condition"])) if len(overlap) else []
    panels = [panel for part in (*sections.values(), extra.trajectories) for panel in part]
    return {
        "findings": findings,
        "title": f"{findings.name} · interp study over seeds",
        "headline": seed_verdict(findings),
        "main": quoted([findings.main]),
        "auxiliaries": quoted(findings.others("auxiliary")),
        "controls": quoted(findings.others("control")),
        "sections": sections,
        "sources": sources,
        "extra": extra,
        "gains": gains_table(findings),
        "head_sentences": _head_sentences(findings, metric),
        "overlap_sentences": overlap_headline(overlap, metric=metric) if len(overlap) else [],
        "pairs": [pair for name in conditions for pair in overlap_words(overlap[overlap["condition"] == name])],
        "primitives": primitive_seeds_table(findings),
        "shared_primitives": shared_seeds_sentence(findings) if len(findings.primitives) else "",
        "settings": settings_table(findings.settings) if findings.settings else DataTable((), ()),
        "data": page_data(panels, [*sources.values(), *extra.sources.values()]),
    }


def _head_sentences(findings: SeedFindings, metric: str) -> list[str]:
    """For each seed, how many heads help the main task and its first auxiliary, and which help both."""
    sentences = []
    for seed in findings.seeds if len(findings.ablation) else ():
        maps = seed_maps(findings, metric=metric, seed=seed)
        if len(maps) > 1:
            sentences.append(f"Seed {seed}: {heads_sentence(maps[0], maps[1])}")
    return sentences


def _sources(findings: SeedFindings) -> dict[str, Source]:
    results = findings.results
    whole = (findings.command or command("interp", "report", findings.name),)
    wanted = ("seed", *ABLATION)
    overlap = (command("interp", "overlap", findings.name),)
    return {
        "accuracy": Source("accuracy-by-length", results.accuracy, whole),
        "gains": Source("transfer-gains", results.gains, whole),
        "ablation": Source("head-ablation", columns_of(findings.ablation, wanted), whole),
        "overlap": Source("overlap", results.overlap, whole if findings.command else overlap),
        "primitives": Source(
            "primitives", findings.primitives, (command("interp", "report", findings.name),)
        ),
    }  # fmt: skip
