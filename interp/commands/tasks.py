"""`interp tasks`."""

from typing import TYPE_CHECKING

from interp.asking.options import Output
from interp.terminal.console import check_output, emit, say, show

if TYPE_CHECKING:
    from torch import Generator

    from tasks import Batch, Group, Pair, Task


def tasks(
    task: str | None = None,
    /,
    *,
    length: int = 5,
    n: int = 3,
    seed: int = 0,
    change: str = "any",
    output: Output = Output(),
) -> None:
    """List the tasks and groups, or show examples of one task, each with its counterfactual.

    Two examples:

    - `interp tasks`
    - `interp tasks reverse_add --length 8 --change carry`

    Args:
        task: The task, or one's own, my_file.py:MyTask, with parameters in brackets if wanted: 'shift(alphabet=12)'.
            All of them if left out.
        length: Length of the examples.
        n: How many examples.
        seed: Seeds the examples.
        change: The kind of counterfactual: any, or another that the task has.
    """
    check_output(output)
    if task is None:
        _list(output)
    else:
        _examples(task, length, n, seed, change, output)


def _list(output: Output) -> None:
    import pandas as pd

    from tasks import InterpError, get_group, get_task, list_groups, list_tasks

    def summary(name: str) -> str:
        try:
            return get_task(name).summary
        except InterpError as error:  # what another package offers may be broken, and the rest is still there
            return f"({error})"

    table = pd.DataFrame([{"task": name, "example": summary(name)} for name in list_tasks()])
    title = "tasks: what stands before -> is given, what follows is asked"
    emit(table, output, columns=["task", "example"], title=title)
    if not output.json and output.out is None:
        groups = pd.DataFrame([_group(get_group(name)) for name in list_groups()])
        show(groups, columns=["group", "main", "with", "control"], title="groups, with longest trained lengths")


def _group(group: "Group") -> dict[str, str]:
    return {
        "group": group.name,
        "main": f"{group.main.task.name} {group.main.max_length}",
        "with": ", ".join(f"{one.task.name} {one.max_length}" for one in group.auxiliaries),
        "control": ", ".join(one.task.name for one in group.controls),
    }


def _examples(name: str, length: int, n: int, seed: int, change: str, output: Output) -> None:
    import pandas as pd

    from interp.asking.groups import chosen_task
    from interp.terminal.example_rows import example_rows
    from tasks import InvalidValueError, Pair
    from training import named_generator

    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be shown; allowed is 1 or more")
    task = chosen_task(name)
    batch = task.sample(n, length=length, generator=named_generator(seed, "examples"))
    pairs = [_pair(task, batch[place : place + 1], named_generator(seed, "pair", place), change) for place in range(n)]
    if output.json or output.out is not None:
        sides = [(pair.clean, pair.counterfactual) if isinstance(pair, Pair) else (pair,) for pair in pairs]
        texts = [[task.prompt_and_answer(task.vocabulary.decode(side.tokens[0])) for side in both] for both in sides]
        rows = [[part for text in both for part in text] + [None] * (4 - 2 * len(both)) for both in texts]
        columns = ["prompt", "answer", "counterfactual_prompt", "counterfactual_answer"]
        emit(pd.DataFrame(rows, columns=columns), output, columns=columns, title=name)
        return
    parameters = ", ".join(f"{key}={value}" for key, value in task.parameters.items())
    say(f"{task.name}: {task.summary}")
    say(f"lengths {task.min_length} to {task.max_length}; {parameters}; counterfactuals: {', '.join(task.changes)}\n")
    for pair in pairs:
        print(example_rows(pair, task.vocabulary) + "\n")


def _pair(task: "Task", batch: "Batch", generator: "Generator", change: str) -> "Pair | Batch":
    """An example and its counterfactual; the example alone, with a remark, if it has none."""
    from tasks import InvalidValueError

    try:
        return task.counterfactual(batch, generator=generator, change=change)
    except InvalidValueError as error:
        say(str(error))
        return batch
