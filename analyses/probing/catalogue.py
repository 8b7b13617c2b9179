"""The labels by name."""

from analyses.probing.digit_labels import DIGIT_LABELS
from analyses.probing.label import Label, LabelFunction
from analyses.probing.maze_labels import MAZE_LABELS
from analyses.probing.number_labels import NUMBER_LABELS
from analyses.probing.token_labels import TOKEN_LABELS
from tasks import InvalidValueError, Task
from tasks.errors import unknown_name

LABELS = {label.name: label for label in (*TOKEN_LABELS, *NUMBER_LABELS, *DIGIT_LABELS, *MAZE_LABELS)}


def list_labels(task: Task | None = None) -> list[str]:
    """The names of all labels, or of those that a task has."""
    return [name for name, label in LABELS.items() if task is None or label.applies(task)]


def get_label(label: str | Label | LabelFunction) -> Label:
    """The label of that name, a label as it is, or a function of the user's as a label of the function's name.

    Raises:
        UnknownNameError: No label has that name.
    """
    if isinstance(label, Label):
        return label
    if not isinstance(label, str):
        name = getattr(label, "__name__", type(label).__name__)
        return Label(name, "a function of the user's", label)
    if label not in LABELS:
        raise unknown_name("label", label, LABELS, listing=f"the labels are {', '.join(LABELS)}")
    return LABELS[label]


def check_label(label: Label, task: Task) -> None:
    """Raises InvalidValueError unless the task has the label."""
    if not label.applies(task):
        raise InvalidValueError(
            f"label {label.name!r} does not apply to task {task.name!r} but to {', '.join(label.task_names())}; "
            f"the labels of {task.name!r} are {', '.join(list_labels(task))}"
        )
