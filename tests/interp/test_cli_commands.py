"""Every command, through the app: exit code, what it prints where, and the files it writes."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import pandas as pd
import pytest
from torch import Tensor

import analyses.transfer.study
import interp.studies.study  # noqa: F401 - before the fixture replaces Study, so that its annotations mean the real one.
from analyses import HeadOverlap
from analyses.interventions import Intervention
from interp.cli import run
from tasks import list_groups, list_tasks
from tests.interp.conftest import PRESET, Refused
from tests.training.tiny import numbers
from training import Preset, Progress, TrainConfig, list_runs, load_preset, load_run, train

pytestmark = pytest.mark.usefixtures("one_thread")

EVALUATE = ["evaluate", "tiny", "--lengths", "2", "3", "--n", "8"]
PATCH = ["patch", "tiny", "--length", "3", "--n", "8"]
CIRCUIT = ["circuit", "tiny", "--length", "3", "--n", "8"]
ABLATE = ["ablate", "tiny", "--length", "3", "--n", "8"]
OVERLAP = ["overlap", "tiny", "--length", "3", "--n", "8", "--permutations", "20", "--bootstraps", "20"]
TABLES = {
    "tasks": (["tasks"], ["task", "example"]),
    "examples": (["tasks", "shift", "--length", "4"], ["prompt", "answer"]),
    "evaluate": (EVALUATE, ["task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll", "weights"]),
    "ablate": (ABLATE, ["task", "length", "kind", "positions", "metric", "layer", "head", "heads", "clean", "ablated"]),
    "mlps": (
        [*ABLATE, "--mlps", "--layers"],
        ["task", "length", "kind", "positions", "metric", "layer", "head", "heads"],
    ),
    "pairs": ([*ABLATE, "--pairs"], ["task", "length", "kind", "positions", "metric", "first", "second"]),
    "controls": (
        [*ABLATE, "--heads", "0.1", "1.0", "--joint", "--controls", "9"],
        [
            "task",
            "length",
            "kind",
            "positions",
            "metric",
            "heads",
            "clean",
            "ablated",
            "effect",
            "stderr",
            "n",
            "controls",
        ],
    ),
    "greedy": ([*ABLATE, "--greedy", "least", "--steps", "2"], ["step", "added", "chosen_effect", "task", "length"]),
    "patch": (PATCH, ["task", "length", "direction", "metric", "site", "layer", "head", "position", "window", "clean"]),
    "paths": (
        [*PATCH, "--paths"],
        ["task", "length", "direction", "metric", "sender", "receiver", "clean", "corrupted"],
    ),
    "circuit": (
        CIRCUIT,
        ["task", "length", "metric", "choose", "size", "edges", "value", "faithfulness", "low", "high"],
    ),
    "circuit edges": (
        [*CIRCUIT, "--show", "edges", "--size", "0.5"],
        ["task", "length", "method", "direction", "metric"],
    ),
    "circuit tests": ([*CIRCUIT, "--show", "tests", "--size", "0.5"], ["task", "length", "metric", "test", "edges"]),
    "minimality": ([*CIRCUIT, "--show", "minimality", "--size", "0.1"], ["task", "length", "metric", "edge", "value"]),
    "overlap": (
        OVERLAP,
        ["first", "second", "length", "kind", "positions", "metric", "measure", "k", "estimate", "corrected", "low"],
    ),
}


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """What a command prints with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(("arguments", "columns"), TABLES.values(), ids=TABLES)
def test_json_is_the_table_and_all_of_stdout(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], columns: list[str]
) -> None:
    table = rows(arguments, capsys)
    assert list(table)[: len(columns)] == columns
    assert len(table) > 1


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("arguments", "columns"), TABLES.values(), ids=TABLES)
def test_out_writes_the_same_table_by_its_ending(
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    columns: list[str],
    ending: str,
) -> None:
    path = tmp_path / "new" / f"x.{ending}"
    capsys.readouterr()
    assert run([*arguments, "--out", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"written: {path}\n" in shown.err
    table = (
        pd.read_csv(path, dtype=dict.fromkeys(("heads", "first", "second", "added"), str))
        if ending == "csv"
        else pd.read_parquet(path)
    )
    expected = rows(arguments, capsys)
    assert list(table) == list(expected)
    for column in columns:
        if pd.api.types.is_numeric_dtype(table[column]):
            found, wanted = (pd.to_numeric(one[column]).to_numpy(float, na_value=nan) for one in (table, expected))
            assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-9, nan_ok=True)
        else:
            assert table[column].astype(str).tolist() == expected[column].astype(str).tolist()
    assert [path.name for path in path.parent.iterdir()] == [path.name]


def test_json_and_out_together(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(rows([*EVALUATE, "--out", str(tmp_path / "x.csv")], capsys)) == len(pd.read_csv(tmp_path / "x.csv"))


@pytest.mark.parametrize(("arguments", "columns"), TABLES.values(), ids=TABLES)
def test_same_command_same_output(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], columns: list[str]
) -> None:
    assert rows(arguments, capsys).equals(rows(arguments, capsys))


def test_tasks_for_a_person(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks"]) == 0
    shown = capsys.readouterr()
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "reverse qWe= -> eWq: the word backwards" in lines
    assert "copy+shift shift 10 copy 20 reverse" in lines
    assert len(lines) == len(list_tasks()) + len(list_groups()) + 2 * 3  # a title, heads and a rule above each
    assert shown.err == ""
    assert run(["tasks", "copy", "--length", "2", "--n", "1"]) == 0
    shown = capsys.readouterr()
    tokens, scored, other, differs, end = shown.out.splitlines()
    assert tokens.split()[:2] == ["tokens", "[copy]"]
    assert scored.split() == ["scored", ".", ".", ".", ".", "x", "x", "x"]
    assert tokens.index("[EOS]") <= scored.rindex("x") < len(tokens)
    assert other.split()[:2] == ["counterfactual", "[copy]"]
    # [copy] a b = a b [EOS]: the replaced letter is the first or the second, and so is the answer's that differs.
    assert differs.split()[1:] in (list(".^..x.."), list("..^..x."))
    marked = {place for place, mark in enumerate(differs.split()) if mark in "^x"}
    assert {place for place in range(8) if tokens.split()[place] != other.split()[place]} - {0} == marked
    assert end == ""
    assert shown.err.startswith("copy: qWe= -> qWe: the word as it is\nlengths 1 to 4096; marking=start, alphabet=26")


def test_tasks_of_ones_own_parameters_and_changes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tasks", "multiply_cot(digits=1,fixed=3)", "--length", "2", "--n", "4"]
    table = rows(command, capsys)
    assert list(table) == ["prompt", "answer", "counterfactual_prompt", "counterfactual_answer"]
    for prompt, answer, other, other_answer in table.itertuples(index=False):
        for text, product in ((prompt, answer), (other, other_answer)):
            number = int(text.split("*")[0][::-1]) * 3
            assert text.endswith("*3=")
            assert product == f"{str(number)[::-1]}={str(number)[::-1].ljust(3, '0')}"
    table = rows(["tasks", "reverse_add", "--change", "digit", "--n", "20"], capsys)
    for prompt, other in zip(table["prompt"], table["counterfactual_prompt"], strict=True):
        assert [carries_of(text) for text in (prompt,)] == [carries_of(text) for text in (other,)]


def carries_of(prompt: str) -> list[int]:
    """The carry into each digit of a sum, by hand."""
    first, second = prompt.removesuffix("=").split("+")
    carried = [0]
    for one, other in zip(first, second, strict=True):
        carried.append((int(one) + int(other) + carried[-1]) // 10)
    return carried


def test_long_examples_are_broken_into_blocks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "shortest_path", "--length", "12", "--n", "1"]) == 0
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert len(blocks) > 1
    assert all(len({len(line.split()) for line in block.splitlines()}) == 1 for block in blocks)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 130


def test_train_writes_a_run_that_can_be_loaded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_run("tiny")
    assert [member.task.name for member in loaded.mixture] == ["shift", "copy"]
    assert loaded.steps == [10, 20, 30]
    assert run(["train", "tiny.toml", "--name", "tiny"]) == 0  # found as it is
    shown = capsys.readouterr()
    assert "run: runs/tiny\n" in shown.err
    assert "accuracy" in shown.out


def test_train_prints_and_writes_its_table(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    table = rows(["train", "tiny.toml", "--name", "tiny"], capsys)
    assert set(table["step"]) == {10, 20, 30}
    assert set(table["weights"]) == {"raw", "averaged"}
    assert run(["train", "tiny.toml", "--name", "tiny", "--out", str(tmp_path / "x.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "x.csv")) == len(table)
    refused(["train", "tiny.toml", "--name", "new", "--out", "x.txt"], "cannot tell the format of 'x.txt'; .*")


def test_train_options_reach_the_configuration(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--condition", "control", "--seed", "5", "--main-length", "3", "--auxiliary-length", "4"]
    options += ["--set", "train.steps=2", "model.norm=LN"]
    assert run(["train", str(made / "tiny.toml"), *options]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines()[:2] == [line for line in shown.err.splitlines() if line.startswith("control: step ")]
    (name,) = list_runs()
    assert re.fullmatch("copy\\+shift-control-tiny-seed5-[0-9a-f]{6}", name)  # a digest of what else was given
    config = load_run().config
    assert [(member.task, member.max_length) for member in config.mixture] == [("shift", 3), ("reverse", 4)]
    assert (config.seed, config.train.steps, config.model.norm) == (5, 2, "LN")


def test_train_tasks_put_together(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["train", str(made / "tiny.toml"), "--set", "train.steps=2"]
    own = ["--main", "shift(alphabet=3,case=lower)", "--auxiliary", "copy(alphabet=4)", "--marking", "repeated"]
    assert run([*tiny, *own, "--main-length", "4", "--auxiliary-length", "6"]) == 0
    (name,) = list_runs()
    assert re.fullmatch("shift\\+copy-auxiliary-tiny-seed0-[0-9a-f]{6}", name)
    first, second = load_run().config.mixture
    assert (first.task, first.max_length, second.task, second.max_length) == ("shift", 4, "copy", 6)
    assert first.parameters == {"marking": "repeated", "alphabet": 3, "case": "lower"}
    assert second.parameters == {"marking": "repeated", "alphabet": 4, "case": "both"}
    assert "[BOS]" in load_run().config.vocabulary
    assert run([*tiny, "--main", "min(numbers=5)", "--name", "alone"]) == 0
    assert [member.task for member in load_run("alone").config.mixture] == ["min"]
    capsys.readouterr()


def test_evaluate_the_newest_run_by_default(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(["evaluate", "--n", "2"], capsys)
    assert set(table["task"]) == {"shift", "copy"}
    assert table["length"].max() == 25  # a quarter beyond the auxiliary's 20
    assert run(["evaluate", "--n", "2", "--lengths", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "run: runs/tiny\n"
    assert "tiny: exact match, averaged weights" in shown.out


def test_evaluate_what_is_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--task", "reverse", "--lengths", "2", "--step", "10", "--weights", "raw", "--n", "16", "--seed", "3"]
    table = rows(["evaluate", "tiny", *options], capsys)
    assert table[["task", "length", "n", "weights"]].to_numpy().tolist() == [["reverse", 2, 16, "raw"]]
    other = rows(["evaluate", "tiny", *options[:-1], "4"], capsys)
    assert table["nll"][0] != other["nll"][0]
    assert rows(["evaluate", "tiny", "--task", "reverse", "--lengths", "2", "--n", "16", "--seed", "3"], capsys)["nll"][
        0
    ] != pytest.approx(table["nll"][0], abs=1e-6)


def test_ablate_every_head_of_the_newest_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--heads"]):
        table = rows(["ablate", *options, "--n", "4"], capsys)
        heads = ["0.0", "0.1", "1.0", "1.1"]
        assert list(table[["task", "heads"]].itertuples(index=False, name=None)) == [
            (task, head) for task in ("shift", "copy") for head in heads
        ]
        assert set(table["length"]) == {15}  # halfway between 10 and 20


def test_ablate_named_heads_singly_and_jointly(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--heads", "0.1", "1.0", "--task", "shift", "--metric", "nll", "--kind", "zero"]
    singly = rows([*ABLATE, *options], capsys)
    jointly = rows([*ABLATE, *options, "--joint"], capsys)
    assert singly["heads"].tolist() == ["0.1", "1.0"]
    assert jointly["heads"].tolist() == ["0.1 1.0"]
    assert set(singly["metric"]) == {"nll"}
    assert set(singly["kind"]) == {"zero"}
    whole = rows([*ABLATE, "--metric", "nll", "--kind", "zero"], capsys)
    same = whole[(whole["task"] == "shift") & whole["heads"].isin(["0.1", "1.0"])]
    assert same["effect"].tolist() == pytest.approx(singly["effect"].tolist(), abs=1e-5)


def test_a_result_is_kept_and_read_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["ablate", "tiny", "--length", "3", "--n", "11", "--task", "shift", "--metric", "nll", "--kind", "resample"]
    first = rows(asked, capsys)
    monkeypatch.setattr("analyses.ablation.intervene", None)  # what would be called to measure anything
    pd.testing.assert_frame_equal(rows(asked, capsys), first)
    with pytest.raises(TypeError):
        run([*asked, "--seed", "1"])


def test_an_interrupted_command_goes_on(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from analyses.interventions.stacked import Stacked

    shutil.copytree(here / "runs", tmp_path / "runs")
    asked = ["ablate", "tiny", "--length", "3", "--n", "13", "--metric", "nll", "--task", "copy"]
    whole = rows(asked, capsys)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "runs/tiny/results").glob("HeadAblation-copy*"):
        path.unlink()
    stacks, real = [], Stacked.logits

    def counted(self: Stacked, stack: Sequence[Intervention]) -> Tensor:
        if len(stacks) == 1:
            raise KeyboardInterrupt
        stacks.append(len(stack))
        return real(self, stack)

    monkeypatch.setattr(Stacked, "logits", counted)
    assert run([*asked, "--json"]) == 130
    assert [path.suffix for path in (tmp_path / "runs/tiny/results").glob("HeadAblation-copy*")] == [".journal"]
    stacks[:] = [0, 0]  # from now on all may run
    pd.testing.assert_frame_equal(rows(asked, capsys), whole)
    assert sum(stacks) == 2  # the heads of one layer were measured before, those of the other now
    assert [path.suffix for path in (tmp_path / "runs/tiny/results").glob("HeadAblation-copy*")] == [".parquet"]


def test_patch_shows_the_strongest_and_writes_all(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*PATCH, "--task", "shift", "--by", "head_position", "--metric", "nll"]
    table = rows(asked, capsys)
    assert len(table) == 4 * 8  # heads times tokens that are read: [shift], 3 letters, =, 3 letters
    capsys.readouterr()
    assert run([*asked, "--top", "3"]) == 0
    shown = capsys.readouterr()
    assert "3 of 32 rows; --json or --out gives all of them" in shown.err
    strongest = table.iloc[int(table["effect"].abs().argmax())]
    first = next(line for line in shown.out.splitlines() if line.startswith("shift"))
    assert first.split()[2:4] == [
        f"{int(strongest['layer'])}.{int(strongest['head'])}",
        f"{int(strongest['position'])}",
    ]


def test_overlap_has_a_row_for_each_measure_and_null(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows([*OVERLAP, "--metric", "nll", "--k", "2", "--tasks", "copy", "shift"], capsys)
    assert set(table["first"]) == {"copy"}
    nulls = table.groupby("measure")["null"].agg(list).to_dict()
    exact = {"jaccard", "overlap_coefficient"}  # of the top-k sets
    assert nulls == {
        measure: ["free", "within_layer", *(["hypergeometric"] if measure in exact else [])] for measure in nulls
    }
    assert exact < set(nulls)
    assert set(table["seeds"]) == {1}
    assert table["p"].between(0, 1).all()
    assert table["q"].tolist() == table["p"].tolist()
    assert set(table["family"]) == {1}, "q is over the pairs of tasks, and there is one"


def test_overlap_of_every_two_of_several_tasks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*OVERLAP, "--metric", "nll"]
    table = rows([*asked, "--tasks", "copy", "shift", "reverse"], capsys)
    pairs = table[["first", "second"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["copy", "shift"], ["copy", "reverse"], ["shift", "reverse"]]
    assert set(table["family"]) == {3}
    alone = rows([*asked, "--tasks", "copy", "shift"], capsys)
    assert table["estimate"].tolist()[: len(alone)] == alone["estimate"].tolist()
    capsys.readouterr()
    assert run([*asked, "--tasks", "copy", "shift", "reverse"]) == 0
    shown = capsys.readouterr()
    assert "tiny: copy and shift and reverse at length 3, mean ablation, nll" in shown.out
    assert shown.err == "run: runs/tiny\n"


def test_overlap_keeps_its_effects_with_the_run(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*OVERLAP, "--metric", "nll", "--kind", "resample"]
    first = rows(asked, capsys)
    monkeypatch.setattr("analyses.ablation.intervene", None)  # what would be called to measure anything
    pd.testing.assert_frame_equal(rows(asked, capsys), first)
    rows([*asked, "--k", "2"], capsys)
    with pytest.raises(TypeError):
        run([*asked, "--seed", "1"])


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains a study's models in this process, one after the other: starting processes takes seconds."""

    def train_many(
        jobs: Mapping[str, tuple[TrainConfig, Path]],
        *,
        workers: int,
        on_progress: Callable[[str, Progress], object],
    ) -> None:
        for name, (config, path) in jobs.items():
            train(config, path, on_step=lambda progress, name=name: on_progress(name, progress))

    monkeypatch.setattr(analyses.transfer.study, "train_many", train_many)


@dataclass(frozen=True)
class QuickStudy(analyses.transfer.study.Study):
    """A study of few examples, unless told otherwise."""

    n: int = 8
    overlap: HeadOverlap = HeadOverlap(permutations=50, bootstraps=50, resample="together")


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_by_one: None) -> Path:
    """A working directory with the tiny preset, and that preset, shorter, in the place of `small`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(PRESET)
    shorter = load_preset("tiny.toml").override(["train.steps=4", "measure.checkpoints=2"])
    monkeypatch.setattr("training.load_preset", lambda name: Preset(name, shorter.sections))
    monkeypatch.setattr(analyses.transfer.study, "Study", QuickStudy)
    return tmp_path


def page_parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_demo_study_and_report(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo"]) == 0
    shown = capsys.readouterr()
    assert "page: runs/demo/report.html\n" in shown.err
    assert all(label in shown.out for label in ("with copy", "alone", "with reverse (control)", "shift at 15"))
    folder = studied / "runs" / "demo"
    assert page_parts(folder) == ["alone", "auxiliary", "control", "report.html", "results", "study.json"]
    before = {**numbers(folder)}
    page = (folder / "report.html").read_text()
    assert "interp demo" in page
    for arguments in (["demo"], ["report"]):
        assert run(arguments) == 0
        assert "alone" in capsys.readouterr().out
        assert "report.html" in page_parts(folder)
        after = numbers(folder)
        changed = {name for name in after if after[name] != before.get(name)}
        assert {name for name in changed if not name.startswith("auxiliary/results/primitives-")} <= {"report.html"}
    assert load_run("demo").name == load_run().name == "demo/auxiliary"
    assert run(["demo", "--json", "--out", "new/x.csv"]) == 0
    shown = capsys.readouterr()
    table = pd.DataFrame(json.loads(shown.out))
    assert set(table["condition"]) == {"auxiliary", "alone", "control"}
    assert "with reverse (control)" in shown.err
    assert len(pd.read_csv("new/x.csv")) == len(table)


def test_study_names_its_folder_and_its_command(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--preset", "tiny.toml", "--seed", "2", "--n", "8", "--main-length", "2", "--auxiliary-length", "4"]
    assert run(["study", "copy+shift", *options, "--set", "train.steps=3"]) == 0
    (folder,) = (studied / "runs").glob("copy+shift-tiny-seed2-*")  # a digest of what else was given
    about = json.loads((folder / "study.json").read_text())
    assert (about["seed"], about["n"], about["main_length"], about["auxiliary_length"]) == (2, 8, 2, 4)
    page = (folder / "report.html").read_text()
    assert (
        "interp study copy+shift --preset tiny.toml --seed 2 --n 8 --workers 2 --main-length 2 --auxiliary-length 4"
        in page
    )
    assert "--set train.steps=3" in page
    assert load_run().config.train.steps == 3


def test_a_study_stopped_anywhere_is_continued(studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["study", "copy+shift", "--name", "stopped", "--n", "8", "--main-length", "2", "--auxiliary-length", "4"]
    patched = analyses.transfer.study.train_many
    stops = [3, 6, 10]  # in the first, the second and the third model

    def stopping(
        jobs: Mapping[str, tuple[TrainConfig, Path]],
        *,
        workers: int,
        on_progress: Callable[[str, Progress], object],
    ) -> None:
        steps: list[int] = []

        def count(name: str, progress: Progress) -> None:
            steps.append(progress.step)
            if stops and len(steps) == stops[0]:
                stops.pop(0)
                raise KeyboardInterrupt

        patched(jobs, workers=workers, on_progress=count)

    monkeypatch.setattr(analyses.transfer.study, "train_many", stopping)
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(run(command))
        assert len(codes) < 10
    assert 130 in codes
    monkeypatch.setattr(analyses.transfer.study, "train_many", patched)
    assert run([*command[:3], "whole", *command[4:]]) == 0
    stopped, whole = (numbers(Path("runs") / name) for name in ("stopped", "whole"))
    assert stopped.keys() == whole.keys()
    differing = {name for name in stopped if stopped[name] != whole[name]} - {"auxiliary/environment.json"}
    assert {name.split("/")[-1] for name in differing} <= {"report.html", "environment.json", "timing.parquet"}
