"""Which texts are prompts of a task, as its reference has it."""

from tasks import InvalidValueError, Task


def accepts(task: Task, prompt: str) -> bool:
    """Whether `solve` takes the text for a prompt."""
    try:
        task.solve(prompt)
    except InvalidValueError:
        return False
    return True
