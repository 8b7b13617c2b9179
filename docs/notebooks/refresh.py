"""Executes the notebooks from a clean kernel and keeps light outputs: `python -m docs.notebooks.refresh [NAME ...]`.

What only a running kernel can draw (widgets) is left out of the files, so that they show their pictures anywhere.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
TIMEOUT = 600
"""Seconds that a cell may take."""

_WIDGET = "application/vnd.jupyter.widget-view+json"


def notebooks() -> list[Path]:
    """All notebooks, in their order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, place: Path) -> NotebookNode:
    """Runs a notebook in a folder that has a copy of the run that the notebooks use.

    Args:
        path: The notebook.
        place: The folder; what the notebook writes stays there.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    shutil.copytree(FOLDER / "runs", place / "runs", dirs_exist_ok=True, ignore=shutil.ignore_patterns("results"))
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book, timeout=TIMEOUT, kernel_name="python3", store_widget_state=False,
        resources={"metadata": {"path": str(place)}},
    )  # fmt: skip
    return client.execute()


def lighten(book: NotebookNode) -> NotebookNode:
    """Leaves out widgets, progress and times of execution; a widget's picture stays."""
    for cell in book.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _lightened(output)) is not None]
    book.metadata = NotebookNode(
        kernelspec=NotebookNode(name="python3", display_name="Python 3", language="python"),
        language_info=NotebookNode(name="python"),
    )
    return book


def _lightened(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream" and output.name == "stderr":
        return None
    if "data" in output:
        output.data.pop(_WIDGET, None)
        output.metadata = NotebookNode()
    return output


def main(names: list[str]) -> None:
    """Executes the named notebooks, or all, and writes them where they are."""
    for path in notebooks():
        if not names or path.stem in names:
            with tempfile.TemporaryDirectory() as place:
                book = lighten(execute(path, Path(place)))
            nbformat.write(book, path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
