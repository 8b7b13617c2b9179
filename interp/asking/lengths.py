"""The length at which the tasks of a run are compared, unless one is asked for."""

from training import Run


def default_length(run: Run) -> int:
    """Halfway between the shortest and the longest of the tasks' longest trained lengths."""
    longest = [member.max_length for member in run.mixture]
    return (min(longest) + max(longest)) // 2
