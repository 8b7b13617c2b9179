"""`interp pretraining` and its figure: a tiny family, accuracies written by hand, and maps made with plain hooks."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from analyses.pretraining import Finetuned, finetuned_runs
from interp.cli import run
from interp.paper.pretraining import pretraining_figure
from interp.paper.style import Width
from tests.interp.conftest import Refused
from tests.interp.drawn_texts import clashes, drawn_texts, outside
from tests.training.tiny_checkpoint import write_tiny_checkpoint
from training import Grid, HookedTransformer, named_generator, run_sweep
from training.files import read_table, write_table
from training.pretrained import load_for_tasks

pytestmark = pytest.mark.usefixtures("one_thread")

FIXED = {
    "group": "copy+shift", "preset": "finetune", "start.checkpoint": "family", "main_length": 3, "auxiliary_length": 6,
    "train.steps": 2, "train.batch_size": 4, "measure.checkpoints": 1, "measure.n": 4, "measure.lengths": [3, 5, 6, 8],
    "train.learning_rate": 0.03, "train.warmup": 1,
}  # fmt: skip
REVISIONS, CONDITIONS = ("step-0", "step-40"), ("auxiliary", "alone")

BEYOND = {
    (0, "auxiliary"): (0.30, 0.32),
    (0, "alone"): (0.1, 0.1),
    (40, "auxiliary"): (0.6, 0.9),
    (40, "alone"): (0.1, 0.3),
}
"""Accuracy of the main task beyond its length, by pretraining step and condition, of seeds 0 and 1."""


def sweep(name: str, axes: dict[str, Any], fixed: dict[str, Any] = FIXED) -> None:
    run_sweep(Grid.read({"name": name, "fixed": fixed, "axes": axes}), Path("runs") / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sweeps over two random checkpoints, trained for two steps: `family`, and four that are no family."""
    folder = tmp_path_factory.mktemp("pretraining")
    for seed, name in enumerate(REVISIONS):
        write_tiny_checkpoint(folder / "family" / name, seed=seed)
    one = {**FIXED, "start.revision": "step-0"}
    scratch = {key: value for key, value in FIXED.items() if not key.startswith("start.")}
    shape = {"preset": "small", "model.n_layers": 1, "model.n_heads": 1, "model.d_model": 8, "model.d_mlp": 8}
    with contextlib.chdir(folder):
        sweep("family", {"start.revision": REVISIONS, "condition": CONDITIONS, "seed": (0, 1)})
        sweep("one", {"seed": (0,)}, one)
        sweep("nameless", {"seed": (0,)}, {**FIXED, "start.checkpoint": "family/step-0"})
        sweep("scratch", {"seed": (0,)}, {**scratch, **shape})
        sweep("controls", {"start.revision": REVISIONS, "condition": ("control",)})
        for cell in finetuned_runs(Path("runs/family")):
            write_accuracies(cell)
    return folder


def write_accuracies(cell: Finetuned) -> None:
    """The value of `BEYOND` at 5, less or more at 4 and 6; and others wherever they must not be read."""
    path = cell.run.path / "metrics.parquet"
    table, value = read_table(path), BEYOND[cell.step, cell.condition][cell.run.config.seed]
    by_length = {3: 1.0, 4: value - 0.1, 5: value, 6: value + 0.1, 8: 0.99}
    accuracy = table["length"].map(by_length)
    ours = (table["task"] == "shift") & (table["weights"] == "averaged")
    write_table(path, table.assign(accuracy=accuracy.where(ours, 0.77)))


@pytest.mark.slow
def test_a_family_from_sweep_to_summary_and_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert run(["pretraining", "family", "--n", "6", "--json"]) == 0
    shown = capsys.readouterr()
    assert "no correlation with the pretraining step, which needs 4 checkpoints" in shown.err
    first, last = json.loads(shown.out)
    # t of one degree of freedom is 12.706. Seeds .30 and .32: .31 with a standard error of .01; gains .20 and .22.
    wanted = {
        "group": "copy+shift", "pretraining_step": 0, "auxiliary": 0.31, "low": 0.31 - 0.12706, "high": 0.31 + 0.12706,
        "alone": 0.1, "gain": 0.21, "gain_low": 0.21 - 0.12706, "gain_high": 0.21 + 0.12706, "seeds": 2,
    }  # fmt: skip
    assert {key: first[key] for key in wanted} == pytest.approx(wanted, abs=1e-5)
    # .6 and .9: .75 with .15, so the interval is all of [0, 1]; gains .5 and .6: .55 with .05, cut at 1.
    wanted = {"auxiliary": 0.75, "low": 0, "high": 1, "alone": 0.2, "gain": 0.55, "gain_low": 0.55 - 0.6353}
    assert {key: last[key] for key in wanted} == pytest.approx(wanted, abs=1e-4)
    assert (last["pretraining_step"], last["gain_high"]) == (40, 1)
    for row in (first, last):
        maps = cosines(row["pretraining_step"])
        assert abs(maps[0] - maps[1]) > 0.01  # or one could stand for the other
        assert (row["before"], row["after"]) == pytest.approx(maps, abs=1e-4)
    figures = Path("runs/family/figures")
    assert (figures / "pretraining.svg").read_text().startswith("<?xml")
    transfer, reuse = (pd.read_csv(figures / f"pretraining-{name}.csv") for name in ("transfer", "reuse"))
    beyond = (
        transfer[transfer["quantity"] == "beyond"]
        .set_index(["pretraining_step", "condition", "seed"])["value"]
        .sort_index()
    )
    for (step, condition), values in BEYOND.items():
        assert beyond[step, condition].tolist() == pytest.approx(list(values))
    assert set(transfer["lengths"][transfer["quantity"] == "beyond"]) == {"4 5 6"}
    assert set(reuse["condition"]) == {"auxiliary"}
    assert pd.read_csv(figures / "pretraining-association.csv").empty


def cosines(step: int) -> tuple[float, float]:
    """Cosine of the two tasks' maps before and after finetuning from a checkpoint, mean over seeds."""
    cells = [cell for cell in finetuned_runs(Path("runs/family")) if (cell.step, cell.condition) == (step, "auxiliary")]
    assert [cell.run.config.seed for cell in cells] == [0, 1]
    total = torch.zeros(2)
    for seed, cell in enumerate(cells):
        before = load_for_tasks(
            Path("family") / f"step-{step}", cell.run.model().vocabulary, generator=named_generator(seed, "weights")
        ).model
        for place, model in enumerate((before, cell.run.model())):
            maps = [mean_ablation(model, cell, name, seed) for name in ("shift", "copy")]
            total[place] += torch.cosine_similarity(*maps, dim=0)
    return total[0].item() / 2, total[1].item() / 2


@torch.no_grad()
def mean_ablation(model: HookedTransformer, cell: Finetuned, name: str, seed: int) -> Tensor:
    """Loss with each head's z exchanged for its mean over 6 examples of length 4, less that without, with hooks."""
    batch = cell.run.task(name).sample(6, length=4, generator=named_generator(seed, "ablation"), stream="test")

    def loss(logits: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(logits[batch.predicting], batch.targets)

    def exchange(head: int) -> Any:
        def hook(z: Tensor, hook: object) -> Tensor:
            changed = z.clone()
            changed[:, :, head] = z[:, :, head].mean(dim=0)
            return changed

        return hook

    clean, (layers, heads) = loss(model(batch.inputs)), (2, 4)
    edits = [(f"blocks.{layer}.attn.hook_z", exchange(head)) for layer in range(layers) for head in range(heads)]
    return torch.stack([loss(model.run_with_hooks(batch.inputs, fwd_hooks=[edit])) - clean for edit in edits])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scratch", "run 'scratch/.*' was not finetuned from a checkpoint; name a sweep over start.revision"),
        ("nameless", "revision 'main' does not say its pretraining step; name checkpoints as 'step-N', or give .*"),
        ("one", "sweep 'one' has finished runs from 1 checkpoint, and a series needs two or more; vary start.revision"),
        ("controls", "the sweep has no finished run with the auxiliary, so nothing can be shared; add condition = .*"),
        ("nowhere", "unknown sweep 'nowhere'; 'runs' has .*"),
    ],
)
@pytest.mark.slow
def test_what_is_refused(refused: Refused, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.chdir(folder)
    refused(["pretraining", name], text)


# ---------------------------------------------------------------------------------------------------------- the figure


def tables(groups: tuple[str, ...], steps: tuple[int, ...], seeds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Group, step and seed i: .2 + .1 i with the auxiliary, half alone; cosines -.5 and 0 before, .4 and .6 after."""
    points: list[dict[str, Any]] = [
        {"group": group, "pretraining_step": step, "seed": seed}
        for group in groups for step in steps for seed in range(seeds)
    ]  # fmt: skip
    transfer = [
        {**point, "condition": condition, "quantity": "beyond", "value": share * (0.2 + 0.1 * point["seed"])}
        for point in points for condition, share in (("auxiliary", 1), ("alone", 0.5))
    ]  # fmt: skip
    transfer += [{**one, "quantity": "gap", "value": 0.9} for one in transfer]
    reuse = [
        {**point, "condition": condition, "when": when, "auxiliary": other, "quantity": "cosine", "value": value}
        for point in points for condition, off in (("auxiliary", 0), ("control", 1))
        for when, pair in (("before", (-0.5, 0)), ("after", (0.4, 0.6)))
        for other, value in zip("xy", (one - off for one in pair), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(transfer), pd.DataFrame(reuse)


def drawn(axes: Axes) -> dict[str, tuple[list[float], str]]:
    """Values and dashes of each line by its label."""
    return {
        str(line.get_label()): (np.asarray(line.get_ydata()).tolist(), str(line.get_linestyle()))
        for line in axes.get_lines()
    }


def test_lines_and_bars_of_the_figure() -> None:
    figure = pretraining_figure(*tables(("g",), (0, 250, 4000), 2))
    first, second = figure.axes
    # Means of .2 and .3, and of half of them; of the two auxiliaries' cosines: the control's are not there.
    accuracies = drawn(first)
    assert {name: dashes for name, (_, dashes) in accuracies.items()} == {"g": "-", "g, alone": ":"}
    assert accuracies["g"][0] == pytest.approx([0.25] * 3)
    assert accuracies["g, alone"][0] == pytest.approx([0.125] * 3)
    alike = drawn(second)
    assert {name: dashes for name, (_, dashes) in alike.items()} == {"g, before": "--", "g, after": "-"}
    assert alike["g, before"][0] == pytest.approx([-0.25] * 3)
    assert alike["g, after"][0] == pytest.approx([0.5] * 3)
    assert [label.get_text() for label in first.get_xticklabels()] == ["0", "250", "4k"]
    # .25 with a standard error of .05 is .25 -+ .635, cut where no accuracy can be.
    (bars, _) = (one for one in first.collections if isinstance(one, LineCollection))
    ends = [np.asarray(segment)[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0, 0.25 + 0.6353], abs=1e-4)] * 3
    assert "Means over 2 seeds" in text_of(figure)
    assert "95 % t" in text_of(figure)


def text_of(figure: Figure) -> str:
    return " ".join(text for text, _ in drawn_texts(figure))


def test_one_seed_has_no_intervals() -> None:
    figure = pretraining_figure(*tables(("g",), (0, 8), 1))
    assert "Means over 1 seed of" in text_of(figure)
    assert "95 % t" not in text_of(figure)


@pytest.mark.parametrize("width", ["page", "column"])
def test_no_word_over_another_or_outside(width: Width) -> None:
    names = ("a" * 40, "<script>$x_1$</script>", "Überlänge & \\Sigma", "reverse_add-scaled")
    figure = pretraining_figure(*tables(names, (0, 1, 10, 100, 1000, 10_000, 160_000, 1_600_000), 2), width=width)
    texts = drawn_texts(figure)
    assert clashes(texts) == []
    assert outside(texts, figure) == []
