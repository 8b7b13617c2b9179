"""Grids: what a file says, which cells follow, and what is refused before anything is trained."""

import re
from pathlib import Path
from typing import Any

import pytest

from tasks import InvalidValueError, UnknownNameError
from tests.training.sweep.quick import quick_grid
from training import Grid, load_preset, read_grid
from training.sweep.cells import cell_name

GROUP = {"group": "copy+shift"}

FILE = """
impossible = "skip"

[fixed]
preset = "small"
group = "copy+shift"
"train.steps" = 600
measure.n = 16

[axes]
main_length = [5, 10]
"model.positions" = ["rotary", "none"]
train.learning_rate = [1e-3]
seed = [21, 22, 23]
"""


def grid(axes: dict[str, Any], **fixed: Any) -> Grid:
    return Grid.read({"name": "g", "fixed": {**GROUP, **fixed}, "axes": axes})


def test_a_file_is_read_and_its_last_axis_varies_fastest(tmp_path: Path) -> None:
    path = tmp_path / "gap.toml"
    path.write_text(FILE)
    read = read_grid(path)
    assert (read.name, read.impossible) == ("gap", "skip")
    cells = read.cells()
    assert len(cells) == 2 * 2 * 3
    assert list(cells[0].values) == ["main_length", "model.positions", "train.learning_rate", "seed"]
    assert [tuple(cell.values.values()) for cell in cells[:4]] == [
        (5, "rotary", 1e-3, 21),
        (5, "rotary", 1e-3, 22),
        (5, "rotary", 1e-3, 23),
        (5, "none", 1e-3, 21),
    ]
    assert cells[3].title == "main_length = 5, model.positions = none, train.learning_rate = 0.001, seed = 21"
    path.write_text('name = "other"\n' + FILE)
    assert read_grid(path).name == "other"


def test_a_cell_trains_what_its_values_say() -> None:
    axes = {"model.positions": ["none"], "condition": ["control"], "main_length": [5], "auxiliary_length": [12]}
    (cell,) = grid(axes, seed=3, data_seed=4, marking="repeated", **{"train.steps": 7}).cells()
    config = cell.config
    assert config is not None
    assert [(member.task, member.max_length) for member in config.mixture] == [("shift", 5), ("reverse", 12)]
    assert {member.parameters["marking"] for member in config.mixture} == {"repeated"}
    assert (config.model.positions, config.train.steps, config.seed, config.data_seed) == ("none", 7, 3, 4)
    assert config.train.learning_rate == load_preset("small").sections["train"]["learning_rate"]
    assert cell.lengths == (5, 8, 12)  # 8 = (5 + 12) // 2
    assert set(cell.lengths) <= set(config.measure.lengths)


def test_a_grid_without_axes_is_one_cell() -> None:
    (cell,) = grid({}).cells()
    assert (cell.values, cell.title) == ({}, "")
    assert cell.config is not None


def test_a_grid_survives_being_written_down() -> None:
    one = grid({"seed": [1, 2], "measure.checkpoints": [3, [1, 5]]}, **{"train.steps": 9})
    again = Grid.read(one.model_dump(mode="json"))
    assert [cell.name for cell in again.cells()] == [cell.name for cell in one.cells()]


# ------------------------------------------------------------------------------------------------------------ the names
def test_a_name_says_what_is_trained_and_follows_from_the_configuration_alone() -> None:
    varied = grid({"seed": [1, 2], "main_length": [5, 10]}).cells()
    fixed = grid({"seed": [1]}, main_length=5).cells()
    assert re.fullmatch("shift5[+]copy20-4x8x64-rotary-seed1-[0-9a-f]{10}", varied[0].name)
    assert fixed[0].name == varied[0].name  # another grid, the same configuration
    assert len({cell.name for cell in varied}) == 4


def test_a_key_at_its_default_leaves_the_name_as_it_is() -> None:
    (plain,) = grid({}).cells()
    (explicit,) = grid({"train.beta1": [0.9]}, data_seed=None).cells()
    (other,) = grid({"train.beta1": [0.8]}).cells()
    assert plain.config is not None
    assert plain.config == explicit.config
    assert plain.name == explicit.name != other.name
    assert cell_name(plain.config.model_copy(update={"data_seed": 0})) != plain.name


def test_a_long_name_is_cut() -> None:
    (cell,) = Grid.read({"name": "g", "fixed": {"group": "capitalize_reverse", "marking": "none",
                         "model.task_heads": "one per task"}}).cells()  # fmt: skip
    assert len(cell.name) <= 91


# ----------------------------------------------------------------------------------------------------------- impossible
def test_an_impossible_cell_is_refused_with_its_values(tmp_path: Path) -> None:
    axes = {"model.n_heads": [2, 3], "model.d_model": [16, 12]}
    text = (
        "the grid's cell model.n_heads = 3, model.d_model = 16 is impossible: d_model 16 is not divisible by n_heads "
        "3; choose a multiple, or give d_head; mend the grid, or let it leave such cells out with impossible = 'skip'"
    )
    with pytest.raises(InvalidValueError) as caught:
        quick_grid(tmp_path, axes=axes).cells()
    assert str(caught.value) == text


def test_impossible_cells_are_skipped_on_request(tmp_path: Path) -> None:
    cells = quick_grid(tmp_path, axes={"model.n_heads": [2, 3], "model.d_model": [16, 12]}, impossible="skip").cells()
    assert [cell.config is None for cell in cells] == [False, False, True, False]
    assert cells[2].error.startswith("d_model 16 is not divisible by n_heads 3")
    assert (cells[2].name, cells[2].lengths) == ("", ())


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({"seed": [0, -1]}, "no cell with seed = -1 is possible: config key 'seed' = -1: input should be greater than"),
        ({"condition": ["alone", "aux"]}, "no cell with condition = aux is possible: config key 'condition' = 'aux'"),
        ({"model.n_ctx": [5, 100]}, "no cell with model.n_ctx = 5 is possible: shift at length 3 has 8 tokens, but"),
    ],
)
def test_a_value_that_is_never_possible_is_refused_even_then(tmp_path: Path, axes: dict[str, Any], text: str) -> None:
    fixed = {"model.positions": "learned"} if "model.n_ctx" in axes else {}
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}"):
        quick_grid(tmp_path, axes=axes, impossible="skip", fixed=fixed).cells()


# ------------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"axes": {"sead": [1]}}, "unknown grid key 'sead'; did you mean 'seed'? a grid may name group, preset, "),
        ({"axes": {"positions": ["none"]}}, "unknown grid key 'positions'; did you mean 'model.positions'? a grid"),
        ({"fixed": {**GROUP, "train": {"step": 3}}}, "unknown grid key 'train.step'; did you mean 'train.steps'? a "),
        ({"axis": {"seed": [1]}}, "unknown config key 'axis'; did you mean 'axes'? the keys are name, impossible, "),
        ({"impossible": "leave"}, "config key 'impossible' = 'leave': input should be 'refuse' or 'skip'"),
        ({"fixed": 3}, "config key 'fixed' = 3: input should be a valid dictionary"),
        ({"axes": [1]}, "config key 'axes' = [1]: input should be a valid dictionary"),
        ({"axes": {"seed": 1}}, "config key 'axes' = {'seed': 1}: axis 'seed' is no list; write seed = [...], or put "),
        ({"axes": {"seed": []}}, "config key 'axes' = {'seed': []}: axis 'seed' has no values; name at least one"),
        ({"axes": {"seed": [1, 2, 1]}}, "config key 'axes' = {'seed': [1, 2, 1]}: axis 'seed' names 1 twice; each "),
        ({"fixed": {**GROUP, "seed": 1}, "axes": {"seed": [2]}}, "'seed' is both fixed and an axis; name it once"),
        ({"axes": {"train.steps": [1], "train": {"steps": [2]}}}, "config key 'axes' = {'train.steps': [1], 'train'"),
        ({"fixed": {}}, "the grid names no group; put one in [fixed], as in group = 'copy+shift'"),
    ],
)  # fmt: skip
def test_what_no_grid_may_say(values: dict[str, Any], text: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError), match=f"^{re.escape(text)}"):
        Grid.read({"name": "g", "fixed": GROUP, **values})


@pytest.mark.parametrize(
    ("fixed", "text"),
    [
        ({"group": "copy+shft"}, "unknown group 'copy+shft'; did you mean 'copy+shift'?"),
        ({**GROUP, "preset": "smal"}, "unknown preset 'smal'; did you mean 'small'?"),
    ],
)
def test_names_of_groups_and_presets_are_checked(fixed: dict[str, Any], text: str) -> None:
    for impossible in ("refuse", "skip"):
        with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}"):
            Grid.read({"name": "g", "impossible": impossible, "fixed": fixed, "axes": {"seed": [1]}}).cells()


def test_files_that_hold_no_grid(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    with pytest.raises(InvalidValueError, match="^cannot read the grid '.*grid.toml': No such file or directory; che"):
        read_grid(path)
    path.write_text("axes = [")
    with pytest.raises(InvalidValueError, match="^'.*grid.toml' is not TOML: .*; docs/sweeps.md shows a grid$"):
        read_grid(path)
