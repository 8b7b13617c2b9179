"""The button that writes the selection as a figure, and the commands that give its numbers."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
from matplotlib.figure import Figure

from interp.paper.style import Format, save_figure
from interp.widgets.question import Question
from interp.widgets.words import code, page, wrong
from tasks import InvalidValueError
from tasks.errors import InterpError
from training.files import write_whole

FORMATS: tuple[Format, ...] = ("pdf", "svg", "png")
"""The formats that the button writes."""


class Saving:
    """A line of controls: where to, in which format, write; and below, the commands.

    Args:
        save: Writes the figure and its numbers, and returns where the figure is.
    """

    def __init__(self, save: Callable[[Path], Path]) -> None:
        self._save = save
        self.place = widgets.Text(description="figure", layout={"width": "420px"}, style={"description_width": "50px"})
        self.button = widgets.Button(description="Write figure", button_style="primary")
        self.said, self.lines = widgets.HTML(), widgets.HTML()
        self._proposed = ""
        self.button.on_click(lambda _: self._write())

    @property
    def view(self) -> widgets.VBox:
        """The controls."""
        row = {"flex_flow": "row wrap", "align_items": "center"}
        return widgets.VBox([widgets.HBox([self.place, self.button, self.said], layout=row), self.lines])

    def suggest(self, question: Question, commands: Sequence[str]) -> None:
        """Proposes a name for the figure, unless the user chose one, and shows the commands."""
        if not self.place.value or self.place.value == self._proposed:
            self._proposed = self.place.value = f"figures/{_safe(question)}.pdf"
        self.lines.value = page("The same numbers from the command line:" + code(commands))

    @staticmethod
    def write(figure: Figure, table: pd.DataFrame, path: Path) -> Path:
        """Writes a figure, and its numbers as CSV beside it.

        Raises:
            InvalidValueError: The ending is none of a format's, or the place cannot be written.
        """
        form: Format | None = next((one for one in FORMATS if path.suffix == f".{one}"), None)
        if form is None:
            endings = ", ".join(f".{one}" for one in FORMATS)
            raise InvalidValueError(f"cannot tell the format of {str(path)!r}; its name must end in {endings}")
        written = save_figure(figure, path, form=form)
        write_whole(path.with_suffix(".csv"), lambda part: table.to_csv(part, index=False))
        return written

    def _write(self) -> None:
        try:
            path = self._save(Path(self.place.value))
            self.said.value = page(f"written: <code>{html.escape(str(path))}</code>, numbers beside it as .csv")
        except InterpError as error:
            self.said.value = page(wrong(str(error)))


def _safe(question: Question) -> str:
    """A file name without anything but letters, digits, dots and dashes."""
    words = ["heads", *question.tasks, question.metric, f"length{question.length}", f"step{question.step}"]
    return "-".join("".join(sign if sign.isalnum() else "_" for sign in word)[:30] for word in words)
