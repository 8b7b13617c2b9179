"""Bad input: one line that names the value, what is allowed and what to do next; exit code 2; nothing left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interp.conftest import Refused

SMALL = ["--length", "3", "--n", "8"]
TRAIN = ["train", "tiny.toml", "--name", "new"]
STUDY = ["study", "copy+shift", "--preset", "tiny.toml", "--name", "new"]
HEADS = "the model has layers 0 to 1 of heads 0 to 1, so 0.0 to 1.1"
FORM = "is not of the form 'layer.head', as in '0.3' [(]layer 0, head 3[)]"
METRICS = "the metrics are accuracy, token_accuracy, nll, logit_difference, kl"
TASK = "unknown task 'revrse'; did you mean 'reverse'[?] 'interp tasks' lists all [0-9]+"
GROUP = "unknown group 'copy[+]shft'; did you mean 'copy[+]shift'[?] 'interp tasks' lists all [0-9]+"
PRESET = "unknown preset 'smal'; did you mean 'small'[?] the presets are .*small.*; a path to a .toml file will do too"
RUN = "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"
BEYOND = "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"
ZERO = "length 0 is not possible for task 'shift'; allowed are 1 to 4096"
ENDING = "cannot tell the format of '.*'; its name must end in .parquet, .csv or .tex"
PLACE = "cannot write '.*': .*; choose another place"

CASES = [
    # Names.
    (["tasks", "revrse"], TASK),
    (["evaluate", "tiny", "--task", "revrse"], TASK),
    (["ablate", "tiny", "--task", "copy", "revrse"], TASK),
    (["overlap", "tiny", "--tasks", "copy", "revrse"], TASK),
    (["train", "tiny.toml", "--group", "copy+shft"], GROUP),
    (["study", "copy+shft"], GROUP),
    (["train", "smal"], PRESET),
    (["study", "copy+shift", "--preset", "smal"], PRESET),
    (["train", "absent.toml"], "unknown preset 'absent.toml'; the presets are .*; a path to a .toml file will do too"),
    (["evaluate", "tinny"], RUN),
    (["ablate", "tinny"], RUN),
    (["overlap", "tinny"], RUN),
    (["report", "tinny"], "unknown run 'tinny'; did you mean 'tiny'?.*"),
    (["report", "tiny", "tiny"], "run 'tiny' is named twice; name each run once"),
    (["report", "tiny", "--out", "x.csv"], "cannot write a page to 'x.csv'; name a file that ends in .html"),
    (["report"], "there is no study under 'runs'; 'interp demo' or 'interp study' makes one"),
    (["evaluate", "x" * 300], "run 'xxx.*' cannot be read: File name too long; 'runs' has tiny"),
    (["evaluate", "."], "'.' holds no run: config.json is missing; 'runs' has tiny"),
    (["ablate", "tiny", "--metric", "acuracy"], f"unknown metric 'acuracy'; did you mean 'accuracy'[?] {METRICS}"),
    (["overlap", "tiny", "--metric", "loss"], f"unknown metric 'loss'; {METRICS}"),
    # Heads.
    (["ablate", "tiny", "--heads", "9.0"], f"head 9.0 does not exist: {HEADS}"),
    (["ablate", "tiny", "--heads", "0.0", "1.2"], f"head 1.2 does not exist: {HEADS}"),
    (["ablate", "tiny", "--heads", "0"], f"head '0' {FORM}"),
    (["ablate", "tiny", "--heads", "0.1,1.0"], f"head '0.1,1.0' {FORM}"),
    (["ablate", "tiny", "--heads", "L0H1"], f"head 'L0H1' {FORM}"),
    (["ablate", "tiny", "--heads", "-1.0"], f"head '-1.0' {FORM}"),
    (["ablate", "tiny", "--heads", ""], f"head '' {FORM}"),
    (["ablate", "tiny", "--heads", "0.1", "0.1"], "head 0.1 is named twice; name each head once"),
    (["ablate", "tiny", "--joint"], "--joint needs the heads to ablate together; name them, as in --heads 0.3 2.1 .*"),
    # Parts, sets and positions.
    (["ablate", "tiny", "--mlps", "2"], "component 2.mlp does not exist: the model has layers 0 to 1"),
    (["ablate", "tiny", "--heads", "0.1", "--layers", "0", "--joint"], "components 0.1 and 0.layer overlap; .*"),
    (["ablate", "tiny", "--pairs", "--greedy", "most"], "--joint, --pairs and --greedy are three questions; .*"),
    (["ablate", "tiny", "--controls", "5"], "--controls are random sets beside a joint one; add --joint and name .*"),
    (["ablate", "tiny", "--pairs", "--heads", "0.1"], "pairs need at least 2 heads. Got 1; name more, or none .*"),
    (["ablate", "tiny", "--greedy", "most", "--steps", "0"], "steps = 0 are not possible; allowed is 1 or more"),
    (["ablate", "tiny", "--positions", "begin"], "positions 'begin' are unknown; allowed are all, .*"),
    (["ablate", "tiny", "--positions", "3", "3"], "positions [(]3, 3[)] must be at least one, each named once"),
    (["patch", "tiny", "--positions", "99"], "position 99 does not exist: the examples have 0 to [0-9]+"),
    (["patch", "tiny", "--site", "resid_pre", "--by", "head"], "site 'resid_pre' has no heads of its own; use .*"),
    (["patch", "tiny", "--window", "2"], "a window of 2 needs patches by position; use by='head_position'"),
    (["patch", "tiny", "--senders", "0.1"], "--senders, --receivers and --joint say which paths are .*; add --paths"),
    (["patch", "tiny", "--paths", "--senders", "L0"], "sender 'L0' is unknown; allowed are 'embed', heads as '0.3' .*"),
    (["patch", "tiny", "--paths", "--senders", "4.0"], "sender 4.0 does not exist: the model has 2 layers of 2 heads"),
    (["patch", "tiny", "--paths", "--receivers", "1.0"], "receiver '1.0' is unknown; allowed are heads' inputs as .*"),
    (["patch", "tiny", "--paths", "--receivers", "0.5.q"], "receiver 0.5.q does not exist: the model has 2 layers .*"),
    (["patch", "tiny", "--paths", "--senders", "1.1", "--receivers", "0.mlp"], "1.1 has no edge to or from the .*"),
    (["patch", "tiny", "--paths", "--site", "q"], "--site, --by and --window say which activations are .*; leave .*"),
    (["ablate", "tiny", "--steps", "3"], "--steps are those of a greedy order; add --greedy most or --greedy least"),
    (["circuit", "tiny", "--metric", "accuracy"], "metric 'accuracy' counts right answers, so it has no gradient; .*"),
    (["circuit", "tiny", "--show", "edges", "--size", "0"], "size 0.0 is no share of the edges; allowed is more .*"),
    (["circuit", "tiny", "--show", "edges", "--size", "0.001"], "a circuit of 0.001 of the [0-9]+ edges has none; .*"),
    (["circuit", "tiny", "--steps", "0"], "steps = 0 points cannot be averaged; allowed is 1 or more"),
    (["circuit", "tiny", "--sizes", "0.5", "0.1"], "sizes [(]0.5, 0.1[)] make no curve; give two or more shares .*"),
    # Tasks put together, and their parameters.
    (["tasks", "shift(alphabet=1)"], "alphabet 1 is not possible for 'shift'; allowed are 2 to 26"),
    (["tasks", "shift(size=3)"], "task 'shift' has no parameter 'size'; it has marking, alphabet, case"),
    (["tasks", "shift(3)"], "'shift[(]3[)]' names no task; write NAME or 'NAME[(]parameter=value,...[)]'"),
    (["tasks", "shift", "--change", "carry"], "unknown kind of change 'carry'; did you mean 'any'[?] task .* has any"),
    (["tasks", "my_file.py:MyTask"], "there is no file 'my_file.py' in '.*'; check the path in 'my_file.py:MyTask'"),
    (["tasks", "dfs_trace", "--length", "65"], "length 65 is not possible for task 'dfs_trace'; allowed are 2 to 64"),
    ([*TRAIN, "--main", "revrse"], TASK),
    ([*TRAIN, "--main", "copy", "--auxiliary", "copy"], "group 'copy[+]copy' names a task twice: copy, copy; .*"),
    ([*TRAIN, "--main", "copy", "--group", "copy+shift"], "--group copy[+]shift and --main copy exclude each .*"),
    ([*TRAIN, "--auxiliary", "copy"], "--auxiliary goes with --main; a --group has its own auxiliaries"),
    ([*TRAIN, "--main", "copy", "--condition", "auxiliary"], "group 'copy' has no auxiliary tasks; choose another .*"),
    ([*TRAIN, "--group", "maze", "--condition", "control"], "group 'maze' has no control tasks; choose another .*"),
    # Lengths and numbers of examples.
    (["tasks", "shift", "--length", "0"], ZERO),
    (["tasks", "shift", "--length", "5000"], BEYOND),
    (["tasks", "shift", "--n", "0"], "n = 0 examples cannot be shown; allowed is 1 or more"),
    (["evaluate", "tiny", "--lengths", "3", "0"], ZERO),
    (["evaluate", "tiny", "--lengths", "5000"], BEYOND),
    (["evaluate", "tiny", "--lengths", "-3"], ZERO.replace("0 is", "-3 is")),
    (["evaluate", "tiny", "--n", "0"], "n = 0 examples cannot be scored; allowed is 1 or more"),
    (["evaluate", "tiny", "--n", "-4"], "n = -4 examples cannot be scored; allowed is 1 or more"),
    (["ablate", "tiny", "--length", "0"], ZERO),
    (["ablate", "tiny", "--length", "5000"], BEYOND),
    (["ablate", "tiny", "--n", "0"], "n = 0 examples cannot be measured; allowed is 1 or more"),
    (["ablate", "tiny", "--n", "1"], "kind 'mean' of one example would put the .* itself in place; use n >= 2, or .*"),
    (["patch", "tiny", "--n", "0"], "n = 0 examples cannot be measured; allowed is 1 or more"),
    (["circuit", "tiny", "--n", "0"], "n = 0 examples cannot be measured; allowed is 1 or more"),
    (["overlap", "tiny", "--length", "0"], ZERO),
    (["overlap", "tiny", "--n", "-1"], "n = -1 examples cannot be measured; allowed is 1 or more"),
    ([*TRAIN, "--main-length", "0"], ZERO),
    ([*TRAIN, "--auxiliary-length", "5000"], BEYOND.replace("shift", "copy")),
    ([*STUDY, "--main-length", "5000"], BEYOND),
    ([*STUDY, "--n", "2"], "n = 2 examples are too few for a study; use at least 4"),
    ([*STUDY, "--workers", "0"], "workers = 0; allowed is 1 or more"),
    ([*STUDY, "--engine", "serial"], "--engine, --threads and --address go with several seeds; add --seeds 5, or .*"),
    ([*STUDY, "--threads", "2"], "--engine, --threads and --address go with several seeds; add --seeds 5, or .*"),
    # Tasks and checkpoints of a run.
    (["evaluate", "tiny", "--task", "capitalize"], "the vocabulary lacks 'm', which task 'capitalize' needs; .*"),
    (["evaluate", "tiny", "--weights", "both"], "unknown weights 'both'; run 'tiny' has raw, averaged"),
    (["evaluate", "tiny", "--step", "7"], "run 'tiny' has no checkpoint of step 7; it has 10, 20, 30"),
    (["overlap", "tiny", "--tasks", "copy"], "overlap compares different tasks, two or more, got copy; .*"),
    (["overlap", "tiny", "--tasks", "copy", "copy"], "overlap compares different tasks, .*, got copy copy; .*"),
    (["overlap", "tiny", "tiny"], "run 'tiny' is named twice; name each run once"),
    (["overlap", "tiny", *SMALL, "--k", "0"], "k = 0 is not possible; allowed is 1 or more"),
    (["overlap", "tiny", *SMALL, "--k", "5"], "k = 5 top heads of 4; allowed are 1 to 4"),
    (["overlap", "tiny", "--tasks", "shift", "min"], "the vocabulary lacks .*, which task 'min' needs; .*"),
    (["overlap", "tiny", *SMALL, "--bootstraps", "1"], "bootstraps = 1 is not possible; allowed is 2 or more"),
    (["overlap", "tiny", *SMALL, "--persistence", "1"], "persistence = 1.0; allowed are numbers between 0 and 1"),
    (["overlap", "tiny", *SMALL, "--permutations", "0"], "permutations = 0 is not possible; allowed is 1 or more"),
    # Configuration keys.
    ([*TRAIN, "--set", "train.stepz=5"], "unknown config key 'stepz'; did you mean 'steps'[?] the keys .*"),
    ([*STUDY, "--set", "modle.n_heads=2"], "unknown config section 'modle'; did you mean 'model'[?] allowed are .*"),
    ([*TRAIN, "--set", "steps=5"], "setting 'steps=5' is not of the form 'section.key=value', as in '.*'"),
    ([*TRAIN, "--set", "train.steps=few"], "config key 'steps' = 'few': input should be a valid integer.*"),
    ([*TRAIN, "--set", "train.steps=0"], "config key 'steps' = 0: input should be greater than or equal to 1"),
    ([*TRAIN, "--set", "train.beta1=1"], "config key 'beta1' = 1: input should be less than 1"),
    ([*TRAIN, "--set", "model.n_heads=3"], "d_model 16 is not divisible by n_heads 3; choose a multiple, .*"),
    ([*TRAIN, "--set", "measure.lengths=[3, 5000]"], BEYOND),
    ([*STUDY, "--set", "measure.lengths=[0]"], ".*lengths.* = 0: input should be greater than or equal to 1"),
    ([*STUDY, "--set", "measure.lengths=[5000]"], BEYOND),
    ([*TRAIN, "--seed", "-1"], "config key 'seed' = -1: input should be greater than or equal to 0"),
    # Places.
    (["train", "tiny.toml", "--name", "tiny", "--seed", "1"], ("'runs/tiny' holds a run with another configuration "
     "[(]seed is 0 there, 1 here[)]; choose another name, or remove that folder")),
    ([*STUDY[:-1], "tiny"], "'runs/tiny' holds a run, not a study; choose another name"),
    (["train", "tiny.toml", "--name", "../tiny.toml"], ".*tiny.toml' is a file, where the run's folder should be; .*"),
    (["train", "tiny.toml", "--name", "x.partial"], ".* ends in '.partial', which marks unfinished runs; choose .*"),
    (["train", "tiny.toml", "--name", "../tiny.toml/x"], PLACE),
    ([*STUDY[:-1], "../tiny.toml"], PLACE),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), CASES, ids=[" ".join(arguments)[:60] for arguments, _ in CASES])
def test_bad_input(here: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)


@pytest.mark.parametrize(
    "command", [["tasks"], ["tasks", "copy"], ["evaluate"], ["ablate"], ["patch"], ["circuit"], ["overlap"]]
)
@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("table.txt", ENDING),
        ("table", ENDING),
        (".", ENDING),
        ("runs", ENDING),
        ("folder.csv", "'folder.csv' is a folder; name a file that ends in .parquet, .csv or .tex"),
        ("tiny.toml/table.csv", PLACE),
        ("tiny.toml/deep/table.csv", PLACE),
        ("/proc/table.parquet", PLACE),
        ("/proc/new/table.parquet", PLACE),
        ("x" * 300 + ".csv", PLACE),
    ],
)
def test_output_that_cannot_be_written(here: Path, refused: Refused, command: list[str], out: str, text: str) -> None:
    (here / "folder.csv").mkdir(exist_ok=True)
    refused([*command, "--out", out], text)


def test_no_folder_is_made_for_output_that_never_comes(here: Path, refused: Refused) -> None:
    refused(["evaluate", "tiny", "--n", "0", "--out", "new/deep/x.csv"], "n = 0 .*")
    refused(["evaluate", "tinny", "--out", "new/deep/x.csv"], RUN)


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("evaluate", "ablate", "patch", "circuit", "overlap"):
        refused([command], "there is no run under 'runs'; 'interp demo' or 'interp train' makes one")
        refused([command, "tiny"], "unknown run 'tiny'; 'runs' has no run at all; 'interp demo' makes one")


def test_a_loss_that_is_no_number(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from interp.cli import run

    monkeypatch.chdir(tmp_path)
    settings = ["--set", "train.learning_rate=1e30", "train.warmup=0"]
    assert run(["train", str(made / "tiny.toml"), "--name", "new", *settings]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("interp: the loss is no longer a number at step ")
    assert "lower train.learning_rate (1e+30)" in last
    assert list((tmp_path / "runs").iterdir()) == []


def cut(name: str, count: int) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:count])

    return damage


def edit(**changes: object) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, **changes}))

    return damage


WEIGHTS = "checkpoints/step-0000030.averaged.safetensors"
AGAIN = "remove the folder and train it again"
BROKEN = {
    "half-written": (
        lambda folder: folder.rename(folder.with_name("broken.partial")),
        "run 'broken' is not finished; start the command that trains it once more, and it goes on",
    ),
    "newer": (
        edit(format=99),
        "run 'broken' was written by a newer version [(]format 99, this one reads up to 3[)]; upgrade, or train .*",
    ),
    "older task": (
        edit(tasks={"shift": 0, "copy": 1}),
        "run 'broken' was trained on version 0 of task 'shift', which is now version 1 and generates other .*",
    ),
    "config cut": (cut("config.json", 40), f"'runs/broken/config.json' cannot be read [(].*[)]; {AGAIN}"),
    "config empty": (cut("config.json", 0), f"'runs/broken/config.json' cannot be read [(].*[)]; {AGAIN}"),
    "config other": (edit(config={}), f"run 'broken': config.json is not that of a run [(].*[)]; {AGAIN}"),
    "config missing": (
        lambda folder: (folder / "config.json").unlink(),
        "'runs/broken' holds no run: config.json is missing; 'runs' has tiny",
    ),
    "weights cut": (cut(WEIGHTS, 1000), f"'runs/broken/{WEIGHTS}' is damaged [(].*[)]; {AGAIN}"),
    "weights empty": (cut(WEIGHTS, 0), f"'runs/broken/{WEIGHTS}' is damaged [(].*[)]; {AGAIN}"),
    "weights missing": (
        lambda folder: shutil.rmtree(folder / "checkpoints"),
        f"run 'broken' has no checkpoint; {AGAIN}",
    ),
}


@pytest.mark.parametrize("command", ["evaluate", "ablate", "patch", "circuit", "overlap"])
@pytest.mark.parametrize(("damage", "text"), BROKEN.values(), ids=BROKEN)
def test_broken_runs(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
    command: str,
    damage: Callable[[Path], object],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "broken"):
        shutil.copytree(made / "runs" / "tiny", tmp_path / "runs" / name)
    damage(tmp_path / "runs" / "broken")
    refused([command, "broken", "--n", "4"], text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "'runs/old/study.json' cannot be read .*; .*"),
        (
            "{}",
            (
                r"'runs/old/study.json' is not that of a study \(config key 'format' is missing; it must be given\); "
                "remove the folder, or run the study again"
            ),
        ),
        (
            (
                '{"format": 99, "group": "copy+shift", "main_length": 3, "auxiliary_length": 5, "preset": "small", '
                '"sections": {}, "seed": 0, "n": 8}'
            ),
            "'runs/old' was written by a newer version [(]format 99, this one reads up to 3[)]; upgrade, or run .*",
        ),
        (
            (
                '{"format": 1, "group": "gone", "main_length": 3, "auxiliary_length": 5, "preset": "small", '
                '"sections": {}, "seed": 0, "n": 8}'
            ),
            "unknown group 'gone'; 'interp tasks' lists all [0-9]+",
        ),
    ],
)
def test_broken_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, content: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "study.json").write_text(content)
    refused(["report", "old"], text)


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    from interp.page import write_page
    from tasks import InvalidValueError
    from tests.interp.page_fixtures import MadeUp, study_results

    (tmp_path / "report.html").mkdir()
    with pytest.raises(InvalidValueError, match="^cannot write '.*report.html': .*; choose another place$"):
        write_page(study_results(MadeUp()), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
