"""The parts of a page that come of the extras: primitives, the cross-task test, reuse over training, circuits."""

from collections.abc import Sequence
from dataclasses import dataclass

from pandas import DataFrame

from interp.figures.faithfulness import faithfulness
from interp.figures.trajectories import trajectories
from interp.findings.extras import Extras
from interp.panels.panel import Panel, panel
from interp.panels.sources import Source, columns_of, command
from interp.words.primitives import primitive_sentences, primitives_table, shared_sentence
from interp.words.reuse import (
    association_sentences,
    association_table,
    cross_sentences,
    cross_table,
    leads_table,
    quantity_name,
)
from interp.words.tables import DataTable, number

FOLLOWED = (
    ("mean_absolute_difference", "accuracy"),
    ("gap", ""),
    ("accuracy", ""),
    ("cosine", "nll"),
    ("weighted_jaccard", "nll"),
    ("attention_difference", ""),
    ("offset_cosine", ""),
)
"""What is drawn over training, as quantity and metric of the maps, the first paper's in front."""

TRAJECTORY = ("condition", "auxiliary", "seed", "step", "quantity", "metric", "value", "length", "n")

_MOST_EDGES = 25


@dataclass(frozen=True)
class ExtraParts:
    """Sentences, tables and figures; an empty one was not measured, and `sources` has the command that measures it."""

    primitive_sentences: tuple[str, ...]
    primitives: DataTable
    no_primitives: str
    cross_sentences: tuple[str, ...]
    cross: DataTable
    trajectories: tuple[Panel, ...]
    association_sentences: tuple[str, ...]
    association: DataTable
    leads: DataTable
    circuits: tuple[Panel, ...]
    edges: DataTable
    sources: dict[str, Source]


def extra_parts(extras: Extras, tasks: Sequence[str]) -> ExtraParts:
    """The parts of a page about one run.

    Args:
        extras: What was measured.
        tasks: The run's tasks, the main one first.
    """
    sources = _sources(extras)
    sentences = primitive_sentences(extras.primitives)
    if sentences and len(tasks) > 1:
        sentences.append(shared_sentence(extras.shared_primitives, tasks))
    return ExtraParts(
        primitive_sentences=tuple(sentences),
        primitives=primitives_table(extras.primitives),
        no_primitives=extras.no_primitives,
        cross_sentences=tuple(cross_sentences(extras.cross)),
        cross=cross_table(extras.cross),
        trajectories=tuple(trajectory_panels(extras.trajectories, source=sources["trajectories"])),
        association_sentences=tuple(association_sentences(extras.association)),
        association=association_table(extras.association),
        leads=leads_table(extras.leads),
        circuits=tuple(_circuits(extras.circuit, source=sources["circuit"])),
        edges=_edges(extras.edges),
        sources=sources,
    )


def trajectory_panels(table: DataFrame, *, source: Source) -> list[Panel]:
    """One panel per quantity that is followed over training."""
    panels: list[Panel] = []
    for quantity, metric in FOLLOWED if len(table) else ():
        if ((table["quantity"] == quantity) & (table["metric"] == metric)).any():
            name = quantity_name(quantity, metric)
            figure = trajectories(table, quantity=quantity, metric=metric, title=name)
            alt = f"Line chart: {name} over training steps; numbers in the data."
            panels.append(panel(f"over-{len(panels)}", name, alt=alt, figure=figure, source=source))
    return panels


def _sources(extras: Extras) -> dict[str, Source]:
    run = extras.run or "RUN"
    circuit = command("interp", "circuit", run)
    edges = command("interp", "circuit", run, "--show", "edges")
    associate = command("interp", "association", run)
    path = columns_of(extras.trajectories, TRAJECTORY)
    return {
        "primitives": Source("primitives", extras.primitives, (command("interp", "primitives", run),)),
        "cross": Source("cross-task-ablation", extras.cross, (command("interp", "cross", run),)),
        "trajectories": Source("reuse-over-training", path, (f"{associate} --trajectories",)),
        "association": Source("association", extras.association, (associate,)),
        "leads": Source("leads", extras.leads, (f"{associate} --leads",)),
        "circuit": Source("faithfulness", extras.circuit, (circuit,)),
        "edges": Source("circuit-edges", extras.edges, (edges,)),
    }


def _circuits(table: DataFrame, *, source: Source) -> list[Panel]:
    if not len(table):
        return []
    alt = "Line chart: faithfulness of circuits over the share of edges that are kept, for each task searched."
    return [panel("circuit", "faithfulness", alt=alt, figure=faithfulness(table), source=source)]


def _edges(table: DataFrame) -> DataTable:
    """The edges with the greatest scores."""
    if not len(table):
        return DataTable((), ())
    order = table["score"].abs().sort_values(ascending=False, kind="stable").index[:_MOST_EDGES]
    rows = table.loc[order]
    return DataTable(
        ("from", "to", "task", "score (logits)"),
        tuple(
            (str(row["sender"]), str(row["receiver"]), f"`{row['task']}`", number(row["score"]))
            for row in rows.to_dict("records")
        ),
    )
