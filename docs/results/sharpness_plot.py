"""Draws `sharpness.svg`: `python docs/results/sharpness_plot.py SWEEP`, the folder of docs/results/grids/sorting.toml.

How much attention is on the source, by length: the theoretical sorter, and the trained sorters' strongest heads. Writes
the numbers beside the figure as CSV.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import SorterTheory, attention_sharpness
from interp.paper.style import PAGE, paper_style, save_figure
from training import Run, named_generator
from training.finding import sweep_runs

LENGTHS = (4, 8, 12, 16, 24, 32, 48)
SORTED, N = 8, 64
"""The longest length in training; examples of each length."""

SOFTMAX = {"none": "plain", "log_n": "tempered"}
COLORS = {"(alone)": "#0072b2", "successor": "#d55e00", "theory": "#555555"}
DASHES = {"plain": "-", "tempered": "--"}


def trained(run: Run) -> pd.DataFrame:
    """Mass and entropy of the head that has most attention on the source at the trained length, on other examples."""
    model, task = run.model(), run.mixture[0].task
    table = attention_sharpness(model, task, lengths=LENGTHS, n=N, generator=named_generator(run.config.seed, "sharp"))
    choosing = attention_sharpness(
        model, task, lengths=[SORTED], n=N, generator=named_generator(run.config.seed, "choose")
    )
    parts = []
    for positions, part in table.groupby("positions", sort=False):
        at = choosing[choosing["positions"] == positions]
        head = at.loc[at["mass"].idxmax()]
        parts.append(part[(part["layer"] == head["layer"]) & (part["head"] == head["head"])])
    others = ", ".join(member.task.name for member in run.mixture[1:])
    return pd.concat(parts).assign(
        kind=others or "(alone)", softmax=SOFTMAX[run.config.model.temperature], run_seed=run.config.seed
    )


def theory() -> pd.DataFrame:
    """The same of the construction, with noise of one nat on its logits, over both kinds of position."""
    table = SorterTheory(precisions=("float32",), noises=(1.0,))(
        lengths=LENGTHS, n=N, generator=named_generator(0, "theory")
    )
    return table.assign(kind="theory", softmax=table["temperature"].map(SOFTMAX), run_seed=0)


def drawn(table: pd.DataFrame) -> Figure:
    """Mass on the source, and entropy, at the end of the input and at answer positions."""
    with paper_style():
        figure = Figure(figsize=(PAGE, 4.2), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True)
        labels = {"mass": "attention on the source", "entropy": "entropy of attention (nats)"}
        names = {"end": "at the end of the input (min)", "answer": "at answer positions (successor)"}
        for row, (column, label) in zip(panels, labels.items(), strict=True):
            for axes, (positions, name) in zip(row, names.items(), strict=True):
                _panel(axes, table[table["positions"].isna() | (table["positions"] == positions)], column)
                axes.set(ylabel=label, title=name if column == "mass" else "")
                axes.set_ylim(bottom=0)
                axes.spines[["top", "right"]].set_visible(False)
        for axes in panels[1]:
            axes.set(xlabel="elements (line: longest in training)")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, column: str) -> None:
    for (kind, softmax), part in table.groupby(["kind", "softmax"], sort=True):
        wide = part.pivot_table(index="length", columns="run_seed", values=column)
        color, dash = COLORS[str(kind)], DASHES[str(softmax)]
        if wide.shape[1] > 1:
            axes.plot(wide.index, wide.to_numpy(), dash, color=color, lw=0.4, alpha=0.5)
        name = {"theory": "theory, noise 1", "(alone)": "trained alone"}.get(str(kind), f"trained with {kind}")
        axes.plot(wide.index, wide.mean(axis=1), dash, color=color, lw=1.6, label=f"{name}, {softmax}")
    axes.axvline(SORTED, color="#999999", lw=0.6)


def main(sweep: str) -> None:
    """Measures, and writes figure and numbers."""
    runs = [run for run in sweep_runs(Path(sweep)) if [m.task.name for m in run.mixture[1:]] in ([], ["successor"])]
    table = pd.concat([theory(), *map(trained, runs)], ignore_index=True)
    here = Path(__file__).parent
    columns = ["kind", "softmax", "run_seed", "length", "positions", "layer", "head", "mass", "entropy", "n"]
    table[columns].round(5).to_csv(here / "sharpness.csv", index=False)
    save_figure(drawn(table), here / "sharpness.svg", form="svg")


if __name__ == "__main__":
    main(sys.argv[1])
