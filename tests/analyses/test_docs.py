"""The pages on analyses: every public name is there, columns are the tables', and the examples run."""

import inspect
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

import analyses
from analyses import ActivationPatching, PathPatching, effects, get_metric, list_metrics
from analyses.ablation import AblationKind
from analyses.attribution import attribution_patching, direct_logit_attribution, edge_attribution
from analyses.circuits import circuit_tests, curve, minimality
from analyses.ground_truth import sharpness, theory
from analyses.interventions import Site
from analyses.lens import residual_lens
from analyses.patches import Direction
from analyses.patching import By
from analyses.primitives import locating, shared
from analyses.probing import linear_probe
from analyses.reuse import (
    association,
    attention,
    cross_effects,
    dissociation,
    gradients,
    leads,
    length_effects,
    over_training,
    overlap,
    representation,
    transfer_heads,
)
from analyses.scopes import Scope
from analyses.transfer import gain, isolation_table
from tasks import get_task
from tests.analyses.models import random_model, seeded

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "analyses").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "name", [name for name, thing in vars(analyses).items() if name[0] != "_" and not inspect.ismodule(thing)]
)
def test_every_public_name_is_explained(name: str) -> None:
    assert any(
        re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", page.read_text(encoding="utf-8")) for page in DOCS.rglob("*.md")
    )


@pytest.mark.parametrize(
    ("page", "columns"),
    [
        ("ground-truth", theory.COLUMNS),
        ("ground-truth", theory.REACH_COLUMNS),
        ("ground-truth", sharpness.SHARPNESS_COLUMNS),
        ("lens", residual_lens.COLUMNS),
        ("primitives", locating.COLUMNS),
        ("primitives", shared.COLUMNS),
        ("probes", linear_probe.COLUMNS),
        ("attribution", edge_attribution.COLUMNS),
        ("attribution", attribution_patching.COLUMNS),
        ("attribution", direct_logit_attribution.COLUMNS),
        ("circuits", curve.COLUMNS),
        ("circuits", curve.SUMMARY_COLUMNS),
        ("circuits", circuit_tests.COLUMNS),
        ("circuits", minimality.COLUMNS),
        ("head-ablation", effects.COLUMNS),
        ("head-overlap", overlap.COLUMNS),
        ("attention-difference", attention.COLUMNS),
        ("task-similarity", representation.COLUMNS),
        ("task-similarity", gradients.COLUMNS),
        ("cross-task-ablation", cross_effects.COLUMNS),
        ("cross-task-ablation", dissociation.COLUMNS),
        ("length-maps", length_effects.COLUMNS),
        ("length-maps", transfer_heads.COLUMNS),
        ("isolation", isolation_table.COLUMNS),
        ("reuse-over-training", over_training.COLUMNS),
        ("reuse-over-training", association.COLUMNS),
        ("reuse-over-training", leads.COLUMNS),
        ("seed-study", gain.COLUMNS),
    ],
)
def test_every_column_is_explained_in_order(page: str, columns: Sequence[str]) -> None:
    text = (DOCS / "analyses" / f"{page}.md").read_text(encoding="utf-8")
    tables = [after.partition("\n\n")[0] for after in text.split("| column | meaning |")[1:]]
    assert columns in [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in tables]


@pytest.mark.parametrize(
    ("page", "analysis"), [("activation-patching", ActivationPatching()), ("path-patching", PathPatching())]
)
def test_every_column_of_a_patch_is_explained_in_order(page: str, analysis: ActivationPatching | PathPatching) -> None:
    task = get_task("copy", alphabet=4)
    table = analysis(random_model(task.vocabulary, n_layers=1), task, length=2, n=2, generator=seeded())
    test_every_column_is_explained_in_order(page, list(table.columns))


def test_every_metric_is_explained() -> None:
    text = (DOCS / "analyses" / "metrics.md").read_text(encoding="utf-8")
    table = text.partition("| metric | unit |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| .+ \| (more|less) \|$", table, re.MULTILINE)
    assert rows == [(name, "more" if get_metric(name).better == 1 else "less") for name in list_metrics()]


@pytest.mark.parametrize(
    ("page", "allowed"),
    [("head-ablation", AblationKind), ("activation-patching", Site), ("activation-patching", By), ("engine", Site),
     ("activation-patching", Direction), ("path-patching", Direction), ("activation-patching", Scope),
     ("head-ablation", Scope)],
)  # fmt: skip
def test_every_choice_is_named(page: str, allowed: object) -> None:
    text = (DOCS / "analyses" / f"{page}.md").read_text(encoding="utf-8")
    assert set(get_args(allowed)) <= set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_examples_run(
    page: Path, tiny_study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_study, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    examples = blocks(page, "python")
    assert examples
    for example in examples:
        exec(compile(example, page.name, "exec"), {})
    assert re.search("^0 ", capsys.readouterr().out, re.MULTILINE)  # a table was printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_understood(page: Path) -> None:
    from interp.cli import app

    lines = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "interp"
        app.parse_args(arguments, exit_on_error=False, print_error=False)
