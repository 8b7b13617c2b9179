"""Tasks by name."""

import re

import pytest

from tasks import InvalidValueError, UnknownNameError, get_task, list_tasks


def test_list_is_sorted_and_complete() -> None:
    assert list_tasks() == ["capitalize", "capitalize_reverse", "copy", "reverse", "shift"]


@pytest.mark.parametrize("name", list_tasks())
def test_task_has_the_name_it_is_found_by(name: str) -> None:
    assert get_task(name).name == name


@pytest.mark.parametrize("name", list_tasks())
def test_parameters_make_the_task_again(name: str) -> None:
    task = get_task(name, alphabet=7)
    assert get_task(name, **task.parameters) == task
    assert task != get_task(name)


def test_unknown_task_suggests_the_nearest() -> None:
    text = "unknown task 'revrse'; did you mean 'reverse'? 'interp tasks' lists all 5"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_task("revrse")


def test_unknown_task_without_a_near_name() -> None:
    with pytest.raises(UnknownNameError, match="^unknown task 'xyz'; 'interp tasks' lists all 5$"):
        get_task("xyz")


@pytest.mark.parametrize("parameter", ["alphabets", "version", "max_length", "cases", "vocabulary"])
def test_unknown_parameter_is_refused(parameter: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^task 'copy' has no parameter '{parameter}'; it has alphabet, case$"):
        get_task("copy", **{parameter: 3})
