"""The runs of a sweep over conditions."""

from tasks import InvalidValueError
from training import Run, SweepResult, load_run


def finished_runs(result: SweepResult) -> list[tuple[str, Run]]:
    """The runs of a sweep over conditions, each with its condition.

    Raises:
        InvalidValueError: A run failed.
    """
    failed = result.status[result.status["status"] != "finished"]
    if len(failed):
        raise InvalidValueError(
            f"{len(failed)} of {len(result.status)} runs failed, the first with: {failed['error'].iloc[0]}; "
            "a comparison needs all of them"
        )
    return [(str(cell.values["condition"]), load_run(result.folder / cell.name)) for cell in result.cells]
