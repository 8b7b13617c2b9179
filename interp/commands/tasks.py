"""`interp tasks`."""

from interp.console import check_output, emit, say
from interp.options import Output


def tasks(
    name: str | None = None,
    /,
    *,
    length: int = 5,
    n: int = 3,
    seed: int = 0,
    change: str = "any",
    output: Output = Output(),
) -> None:
    """List the tasks and groups, or show examples of one task, each with its counterfactual.

    Examples: `interp tasks`, `interp tasks reverse_add --length 8 --change carry`

    Args:
        name: The task, or one's own, my_file.py:MyTask, with parameters in brackets if wanted: 'shift(alphabet=12)'.
            All of them if left out.
        length: Length of the examples.
        n: How many examples.
        seed: Seeds the examples.
        change: The kind of counterfactual: any, or another that the task has.
    """
    check_output(output)
    if name is None:
        _list(output)
    else:
        _examples(name, length, n, seed, change, output)


def _list(output: Output) -> None:
    import pandas as pd

    from tasks import get_group, get_task, list_groups, list_tasks

    rows = [{"task": name, "example": get_task(name).summary} for name in list_tasks()]
    if output.json or output.out is not None:
        emit(pd.DataFrame(rows), output, columns=["task", "example"], title="tasks")
        return
    width = max(len(row["task"]) for row in rows)
    for row in rows:
        print(f"{row['task']:{width}}  {row['example']}")
    say("")
    for name in list_groups():
        group = get_group(name)
        parts = [f"{member.task.name} up to {member.max_length}" for member in (group.main, *group.auxiliaries)]
        controls = ", ".join(member.task.name for member in group.controls) or "none"
        say(f"group {name}: {parts[0]} with {', '.join(parts[1:])}; control: {controls}")


def _examples(name: str, length: int, n: int, seed: int, change: str, output: Output) -> None:
    import pandas as pd

    from interp.example_rows import example_rows
    from interp.groups import chosen_task
    from tasks import InvalidValueError
    from training import named_generator

    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be shown; allowed is 1 or more")
    task = chosen_task(name)
    batch = task.sample(n, length=length, generator=named_generator(seed, "examples"))
    pair = task.counterfactual(batch, generator=named_generator(seed, "counterfactuals"), change=change)
    if output.json or output.out is not None:
        texts = [[task.vocabulary.decode(row) for row in side.tokens] for side in (pair.clean, pair.counterfactual)]
        split = [
            (*task.prompt_and_answer(one), *task.prompt_and_answer(other)) for one, other in zip(*texts, strict=True)
        ]
        columns = ["prompt", "answer", "counterfactual_prompt", "counterfactual_answer"]
        emit(pd.DataFrame(split, columns=columns), output, columns=columns, title=name)
        return
    parameters = ", ".join(f"{key}={value}" for key, value in task.parameters.items())
    say(f"{task.name}: {task.summary}")
    say(f"lengths {task.min_length} to {task.max_length}; {parameters}; counterfactuals: {', '.join(task.changes)}\n")
    for place in range(n):
        print(example_rows(pair, place, task.vocabulary) + "\n")
