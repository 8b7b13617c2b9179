"""The figures of a study over seeds: accuracy by length, and each seed's ablation maps and heads."""

from interp.figures.ablation_maps import ablation_maps
from interp.figures.accuracy_of_groups import accuracy_of_groups
from interp.figures.head_scatter import head_scatter
from interp.figures.heads import HeadMap, head_map, metric_name
from interp.figures.lines import Line
from interp.figures.style import CONDITIONS, plain
from interp.findings.seeds import SeedFindings
from interp.panels.panel import Panel, panel
from interp.panels.sources import Source
from interp.panels.study import FEWEST_RIGHT
from interp.words.seeds import over_seeds


def seed_accuracy_panels(findings: SeedFindings, *, source: Source) -> list[Panel]:
    """Accuracy by length, one panel per kind of weights, averaged first."""
    kinds = sorted({str(kind) for kind in findings.results.accuracy["weights"]}, key=lambda it: (it == "raw", it))
    panels = []
    for kind in kinds:
        alt = f"Line chart: exact match of {findings.main} by length, mean over seeds and each seed, {kind} weights."
        title = "exact match (% of examples)"
        figure = accuracy_of_groups(*_lines(findings, kind), marks=_marks(findings), title=title)
        panels.append(panel(f"by-length-{kind}", f"{kind} weights", alt=alt, figure=figure, source=source))
    return panels


def seed_map_panels(findings: SeedFindings, *, source: Source) -> list[Panel]:
    """The ablation maps side by side, one panel per metric and seed."""
    panels: list[Panel] = []
    for metric in seed_metrics(findings):
        for seed in _seeds(findings):
            maps = seed_maps(findings, metric=metric, seed=seed)
            figure, name = ablation_maps(maps, metric=metric), f"seed {seed}, {metric_name(metric)}"
            alt = f"Heat maps by layer and head, {name}, for {' and '.join(one.task for one in maps)}."
            panels.append(panel(f"maps-{len(panels)}", name, alt=alt, figure=figure, source=source))
    return panels


def seed_scatter_panels(findings: SeedFindings, *, source: Source) -> list[Panel]:
    """Heads as points, main task against its first auxiliary, one panel per seed, in the metric to be read first."""
    panels: list[Panel] = []
    metric = next(iter(seed_metrics(findings)), "")
    for seed in _seeds(findings):
        maps = seed_maps(findings, metric=metric, seed=seed)
        if len(maps) > 1:
            figure = head_scatter(maps[0], maps[1], metric=metric)
            alt = f"Scatter plot, one point per head, seed {seed}: {metric_name(metric)}."
            panels.append(panel(f"heads-{len(panels)}", f"seed {seed}", alt=alt, figure=figure, source=source))
    return panels


def seed_maps(findings: SeedFindings, *, metric: str, seed: int) -> list[HeadMap]:
    """One seed's maps, the main task's first."""
    table = findings.ablation[findings.ablation["seed"] == seed]
    tasks = dict.fromkeys(table.loc[table["metric"] == metric, "task"])
    return [head_map(table, task=str(task), metric=metric) for task in tasks]


def seed_metrics(findings: SeedFindings) -> list[str]:
    """The metrics, the one to be read first in front: accuracy, unless too little is right in most seeds to lose."""
    table = findings.ablation
    if not len(table):
        return []
    names = sorted({str(metric) for metric in table["metric"]}, key=lambda it: (it != "accuracy", it))
    rows = table[table["metric"] == "accuracy"]
    low = rows.groupby("seed")["clean"].min() < FEWEST_RIGHT
    return names[::-1] if len(low) and low.mean() > 0.5 else names


def _seeds(findings: SeedFindings) -> list[int]:
    return sorted(int(seed) for seed in findings.ablation["seed"].unique()) if len(findings.ablation) else []


def _marks(findings: SeedFindings) -> list[tuple[int, str]]:
    results, at = findings.results, findings.transfer_length
    own = int(results.accuracy["main_length"].iloc[0])
    marks = [(own, f"main trained to {own}"), (at, f"compared at {at}")]
    if "auxiliary_length" in results.gaps:
        other = int(results.gaps["auxiliary_length"].max())
        marks.append((other, f"auxiliary trained to {other}"))
    return marks


def _lines(findings: SeedFindings, kind: str) -> tuple[list[Line], list[Line]]:
    """Each condition's mean, and its seeds."""
    table = findings.results.accuracy
    table, lines, faint = table[table["weights"] == kind], [], []
    for condition, rows in table.groupby("condition", sort=False):
        means, style = over_seeds(rows), CONDITIONS[str(condition)]
        name = _name(findings, str(condition))
        low, high = (means[end].tolist() for end in ("low", "high"))
        lines.append(Line(name, style, means["length"].tolist(), means["mean"].tolist(), low, high))
        for seed, part in rows.groupby("seed"):
            part = part.sort_values("length")
            points = (part["length"].tolist(), part["accuracy"].tolist())
            faint.append(Line(name, style, *points, label=f"seed {seed}"))
    return lines, faint


def _name(findings: SeedFindings, condition: str) -> str:
    if condition == "alone":
        return f"{plain(findings.main)}, trained alone"
    others = ", ".join(plain(task) for task in findings.others(condition))
    return f"{plain(findings.main)}, trained with {others}" + (" (control)" if condition == "control" else "")
