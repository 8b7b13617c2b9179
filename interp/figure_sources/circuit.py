"""The data of `interp figure circuit`: each task's edges, and the primitives that heads implement."""

from dataclasses import replace

import pandas as pd

from analyses import CircuitSearch, Head, PathPatching
from analyses.circuits.choosing import choose_circuit
from analyses.graph import edges
from interp.asking.figure_options import Asked
from interp.asking.options import On, Which
from interp.figure_sources.drawn import Drawn, asked_run, length_of, tasks_of, which
from interp.figure_sources.primitives import N, located
from interp.measuring.tables import measured
from interp.paper import circuit_figure
from interp.paper.circuit import Shape
from training import Run

_DRAWN = 40
"""Edges that a diagram can bear."""

_UNITS = {"logit_difference": "logits", "nll": "nats per scored token", "kl": "nats"}


def circuit(asked: Asked) -> Drawn:
    """The circuits of one task or two, by EAP-IG or by path patching."""
    run, metric = asked_run(asked), asked.measure.metric or "logit_difference"
    names, length = tasks_of(asked, run, most=2), length_of(asked, run)
    exact = asked.special.edges == "paths"
    examples = which(asked, n=32 if exact else 128)
    total = len(edges(run.config.model))
    size = min(0.05, _DRAWN / total) if asked.special.size is None else asked.special.size
    search = CircuitSearch("edges", max(size, 1 / total) if asked.special.size is None else size, metric=metric,
                           choose="greedy")  # fmt: skip
    on = On(task=tuple(names), length=length)
    table = _by_paths(run, search, on, examples) if exact else measured(run, search, on, examples)
    primitives = located(run, names, replace(examples, n=N), length=length)
    named = primitives[primitives["verdict"] == "implements"]
    found: dict[tuple[str, Head], list[str]] = {}
    for task, layer, head, primitive in named[["task", "layer", "head", "primitive"]].itertuples(index=False):
        found.setdefault((task, Head(layer, head)), []).append(primitive)
    model = run.config.model
    figure = circuit_figure(
        table,
        found,
        shape=Shape(model.n_layers, model.n_heads, model.n_heads // model.n_key_value_heads),
        unit=_UNITS.get(metric, metric.replace("_", " ")),
        width=asked.look.width or ("page" if len(names) > 1 else "column"),
    )
    how = "path patching" if exact else "EAP-IG"
    title = f"{run.name}: circuits of {search.size:.3g} of {total} edges by {how} at length {length}, {metric}"
    columns = ("task", "sender", "receiver", "score", "stderr")
    return Drawn(figure, table, columns, title, run.path, run.name, {"primitives": named})


def _by_paths(run: Run, search: CircuitSearch, on: On, which: Which) -> pd.DataFrame:
    """Every edge patched exactly with the counterfactual's value; the best ones by what that costs."""
    analysis = PathPatching(direction="noise", metric=search.metric)
    table = measured(run, analysis, on, which).rename(columns={"effect": "score"})
    parts = []
    for _, scores in table.groupby("task", sort=False):
        chosen = choose_circuit(scores, run.config.model, size=search.size, choose=search.choose)
        kept = [(str(edge.sender), str(edge.receiver)) for edge in chosen]
        parts.append(scores.set_index(["sender", "receiver"]).loc[kept].reset_index())
    return pd.concat(parts, ignore_index=True)[
        ["task", "length", "metric", "sender", "receiver", "score", "stderr", "n"]
    ]
