"""`interp tasks`."""

from interp.console import check_output, emit, say
from interp.options import Output


def tasks(name: str | None = None, /, *, length: int = 5, n: int = 3, seed: int = 0, output: Output = Output()) -> None:
    """List the tasks and groups, or show examples of one task.

    Examples: `interp tasks`, `interp tasks shift --length 8`

    Args:
        name: The task; all of them if left out.
        length: Length of the examples.
        n: How many examples.
        seed: Seeds the examples.
    """
    check_output(output)
    if name is None:
        _list(output)
    else:
        _examples(name, length, n, seed, output)


def _list(output: Output) -> None:
    import pandas as pd

    from tasks import get_group, get_task, list_groups, list_tasks

    rows = [{"task": name, "example": get_task(name).summary} for name in list_tasks()]
    emit(pd.DataFrame(rows), output, columns=["task", "example"], title="tasks")
    if not output.json and output.out is None:
        for name in list_groups():
            group = get_group(name)
            parts = [f"{member.task.name} 1..{member.max_length}" for member in (group.main, *group.auxiliaries)]
            controls = ", ".join(member.task.name for member in group.controls) or "none (it is one)"
            say(f"group {name}: main {parts[0]} with {', '.join(parts[1:])}; control {controls}")


def _examples(name: str, length: int, n: int, seed: int, output: Output) -> None:
    import pandas as pd

    from tasks import InvalidValueError, get_task
    from training import named_generator

    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be shown; allowed is 1 or more")
    task = get_task(name)
    batch = task.sample(n, length=length, generator=named_generator(seed, "examples"))
    texts = [task.vocabulary.split(row) for row in batch.tokens]
    if output.json or output.out is not None:
        pairs = [task.prompt_and_answer("".join(text)) for text in texts]
        emit(pd.DataFrame(pairs, columns=["prompt", "answer"]), output, columns=["prompt", "answer"], title=name)
        return
    say(f"{name}: {task.summary}; lengths 1 to {task.max_length}; parameters {task.parameters}")
    for text, scored in zip(texts, batch.scored.tolist(), strict=True):
        print("tokens  " + " ".join(text))
        marks = zip(text, scored, strict=True)
        print("scored  " + " ".join(("x" if counted else ".").center(len(token)) for token, counted in marks) + "\n")
