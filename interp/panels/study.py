"""The figures of a study of one seed: accuracy by length and over training, ablation maps, heads as points."""

from analyses.transfer.study_results import StudyResults
from interp.figures.ablation_maps import ablation_maps, effect_title
from interp.figures.accuracy_by_length import accuracy_by_length
from interp.figures.accuracy_over_training import accuracy_over_training
from interp.figures.head_scatter import head_scatter
from interp.figures.heads import HeadMap, head_map, metric_name
from interp.panels.panel import NOTHING, Panel, panel
from interp.panels.sources import Source


def by_length_panel(results: StudyResults, *, source: Source = NOTHING) -> Panel:
    """Accuracy by length."""
    figure = accuracy_by_length(
        results.accuracy,
        main=results.main,
        main_length=results.main_length,
        auxiliary_length=results.auxiliary_length,
        transfer_length=results.transfer_length,
    )
    alt = f"Line chart: exact match of {results.main} by string length, for each model; numbers in the table below."
    return panel("by-length", "accuracy by length", alt=alt, figure=figure, source=source)


def training_panels(results: StudyResults, *, source: Source = NOTHING) -> list[Panel]:
    """Accuracy over training, one panel per length at which the main task was followed, the transfer length first."""
    rows = results.training[results.training["task"] == results.main]
    lengths = sorted({int(length) for length in rows["length"]}, key=lambda it: (it != results.transfer_length, it))
    return [
        panel(
            f"training-{length}",
            f"length {length}",
            alt=f"Line chart: exact match of {results.main} at length {length} over training steps, for each model.",
            figure=accuracy_over_training(results.training, main=results.main, length=length),
            source=source,
        )
        for length in lengths
    ]


def study_maps(results: StudyResults, *, metric: str) -> list[HeadMap]:
    """The ablation maps for one metric: main task first, then the auxiliaries that have one."""
    rows = results.ablation[results.ablation["metric"] == metric]
    present = set(rows["task"])
    tasks = [task for task in (results.main, *results.auxiliaries) if task in present]
    return [head_map(results.ablation, task=task, metric=metric) for task in tasks]


FEWEST_RIGHT = 0.1
"""Below this exact match of the unchanged model, heads are measured by the loss: what is wrong already cannot break."""


def study_metrics(results: StudyResults) -> list[str]:
    """The metrics of the ablation, the one to be read first in front: accuracy, unless too little is right to lose."""
    names = sorted({str(metric) for metric in results.ablation["metric"]}, key=lambda it: (it != "accuracy", it))
    return names[::-1] if too_few_right(results) else names


def too_few_right(results: StudyResults) -> bool:
    """Whether exact match cannot show a head's effect on some task, and the loss is there to show it."""
    rows = results.ablation[results.ablation["metric"] == "accuracy"]
    return bool((rows["clean"] < FEWEST_RIGHT).any()) and "nll" in set(results.ablation["metric"])


def map_panels(results: StudyResults, *, source: Source = NOTHING) -> list[Panel]:
    """The ablation maps side by side, one panel per metric."""
    panels = []
    for place, metric in enumerate(study_metrics(results)):
        maps = study_maps(results, metric=metric)
        if maps:
            names = " and ".join(one.task for one in maps)
            alt = f"Heat maps by layer and head, for {names}: {effect_title(metric)}. Blue: the head helped."
            figure = ablation_maps(maps, metric=metric)
            panels.append(panel(f"maps-{place}", metric_name(metric), alt=alt, figure=figure, source=source))
    return panels


def scatter_panels(results: StudyResults, *, source: Source = NOTHING) -> list[Panel]:
    """Heads as points, one panel per metric and auxiliary."""
    panels = []
    for metric in study_metrics(results):
        maps = study_maps(results, metric=metric)
        if not maps or maps[0].task != results.main:
            continue
        for auxiliary in maps[1:]:
            label = metric_name(metric) + (f", {auxiliary.task}" if len(maps) > 2 else "")
            alt = f"Scatter plot, one point per head: {effect_title(metric)}, {results.main} against {auxiliary.task}."
            figure = head_scatter(maps[0], auxiliary, metric=metric)
            panels.append(panel(f"heads-{len(panels)}", label, alt=alt, figure=figure, source=source))
    return panels
