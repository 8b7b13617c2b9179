"""Head overlap to look at: both tasks' maps, every head as a point, and all about the head that is clicked."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure

from analyses.examples import Running
from analyses.heads import Head, check_heads
from interp.figures.ablation_maps import ablation_maps
from interp.figures.head_scatter import head_scatter
from interp.figures.heads import HeadMap
from interp.widgets.chosen_head import frames, mark_in_scatter, strongest
from interp.widgets.controls import Controls
from interp.widgets.explored import Explored
from interp.widgets.head_panel import ROW, HeadPanel
from interp.widgets.question import AS_USUAL, Exploring, Question, commands, head_command
from interp.widgets.saving import Saving
from interp.widgets.selection_figure import selection_figure
from interp.widgets.shown import Shown
from interp.widgets.theme import Theme
from interp.widgets.words import clean_sentence, overlap_table, page, wrong
from tasks.errors import InterpError
from training import Run


class HeadOverlapExplorer:
    """Two tasks' ablation maps side by side and as a scatter; a click on a head shows all about it.

    Shown in a notebook (as the last value of a cell) it is alive; where widgets do not run, it is the picture of what
    it showed when the cell ran. Maps and primitives are kept in the run's `results`, as the commands keep them.

    Args:
        run: The run.
        tasks: Two tasks or more, by name.
        exploring: How much is measured.
        primitives: The primitives to locate; none named means all that apply to a task.

    Raises:
        InvalidValueError: Fewer than two tasks, one named twice, or tasks without a length in common.
        UnknownNameError: No such task, primitive or weights.
    """

    def __init__(
        self,
        run: Run,
        tasks: Sequence[str],
        *,
        exploring: Exploring = AS_USUAL,
        primitives: tuple[str, ...] = (),
    ) -> None:
        self.explored = Explored(run, tuple(tasks), exploring, primitives)
        question = self.explored.first_question()
        main, auxiliary = self.explored.maps(question)
        self.head = strongest(main, auxiliary)
        self.question = question
        self.theme = Theme()
        self.controls = Controls.of(self.explored, question)
        self.status, self.overlap = widgets.HTML(), widgets.HTML()
        self.maps = Shown(ablation_maps([main, auxiliary], metric=question.metric))
        self.scatter = Shown(self._scatter(main, auxiliary))
        self.panel = HeadPanel(self.explored, question, self.head)
        self.saving = Saving(self.save)
        self._show()
        self._listen()

    def ask(self, question: Question) -> None:
        """Shows the answer to a question, which is measured if it was not before.

        Raises:
            UnknownNameError: No such metric, kind or task.
            InvalidValueError: No such length, checkpoint or k.
        """
        self._say_measuring(question)
        self.explored.maps(question, running=Running(on_done=self._progress()))
        self.explored.overlap(question)
        self.question = question
        self._show()
        self.panel.show(question, self.head)

    def choose(self, head: Head) -> None:
        """Shows all about a head.

        Raises:
            InvalidValueError: The model has no such head.
        """
        check_heads([head], self.explored.run.config.model)
        self.head = head
        self.panel.name(head)
        main, auxiliary = self.explored.maps(self.question)
        self.maps.mark(shapes=frames(head))
        self.scatter.mark(point=(float(main.effect[head]), float(auxiliary.effect[head])))
        self.saving.suggest(self.question, self.commands)
        self.panel.show(self.question, head)

    def prepare(self) -> None:
        """Measures the maps of the present question at every checkpoint, so that the slider moves without waiting."""
        for place, step in enumerate(self.explored.steps):
            self.explored.maps(replace(self.question, step=step))
            self._say(f"Checkpoint {place + 1} of {len(self.explored.steps)} measured.")
        self._say_clean()

    def locate(self) -> None:
        """Locates the primitives of the present question, as its button does."""
        self.explored.locate(self.question)
        self.panel.show(self.question, self.head)

    def save(self, path: Path) -> Path:
        """Writes maps and scatter as a figure (svg, pdf or png, by the ending), and their numbers as CSV beside it.

        Raises:
            InvalidValueError: Another ending, or a place that cannot be written.
        """
        return Saving.write(self.figure(), self.table(), path)

    def figure(self) -> Figure:
        """Maps and scatter, as a matplotlib figure."""
        main, auxiliary = self.explored.maps(self.question)
        return selection_figure(main, auxiliary, metric=self.question.metric, chosen=self.head)

    def table(self) -> pd.DataFrame:
        """The numbers in the maps: `HeadAblation`'s table of both tasks."""
        parts = [self.explored.effects(self.question, task).table() for task in self.question.tasks]
        return pd.concat(parts, ignore_index=True)

    @property
    def commands(self) -> list[str]:
        """The `interp` commands that give the numbers that are shown."""
        run, exploring = self.explored.run, self.explored.exploring
        return [*commands(run, self.question, exploring), head_command(run, self.question, exploring, head=self.head)]

    @property
    def view(self) -> widgets.VBox:
        """All of it."""
        maps = widgets.VBox([self.maps.widget], layout={"flex": "3 1 620px", "min_width": "320px"})
        scatter = widgets.VBox([self.scatter.widget], layout={"flex": "2 1 420px", "min_width": "320px"})
        return widgets.VBox(
            [
                self.theme, self.controls.view, self.status, widgets.HBox([maps, scatter], layout=ROW), self.panel.view,
                self.overlap, self.saving.view,
            ]
        )  # fmt: skip

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets, and for places where they do not run, a picture."""
        bundle = dict(self.view._repr_mimebundle_(include=include, exclude=exclude) or {})
        buffer = io.BytesIO()
        self.figure().savefig(buffer, format="png", dpi=150, bbox_inches="tight", facecolor="white")
        return bundle | {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"HeadOverlapExplorer({self.explored.run.name!r}, {list(self.explored.names)})"

    def _listen(self) -> None:
        self.controls.on_change(lambda _: self._trying(lambda: self.ask(self.controls.question)))
        self.theme.observe(lambda change: self._redraw(dark=bool(change["new"])), names="dark")
        for trace in self.maps.traces:
            trace.on_click(self._cell_clicked)
        for trace in self.scatter.traces:
            trace.on_click(self._point_clicked)

    def _cell_clicked(self, trace: object, points: Any, state: object) -> None:
        if points.xs:
            head = Head(int(points.ys[0]), int(points.xs[0]))
            self._trying(lambda: self.choose(head))

    def _point_clicked(self, trace: go.Scatter, points: Any, state: object) -> None:
        if points.point_inds and trace.text:
            head = Head.parse(str(trace.text[points.point_inds[0]]))
            self._trying(lambda: self.choose(head))

    def _trying(self, answer: Callable[[], object]) -> None:
        """Answers, or says what is wrong: an error in a callback would be seen nowhere."""
        try:
            answer()
        except InterpError as error:
            self.status.value = page(wrong(str(error)))

    def _redraw(self, *, dark: bool) -> None:
        self.panel.dark = dark
        self._show()
        self.panel.redraw(dark=dark)

    def _show(self) -> None:
        """The maps, the scatter and the overlap of the present question."""
        self._show_maps()
        text = "How alike are the two maps?"
        table = overlap_table(self.explored.overlap(self.question))
        self.overlap.value = page(f'<h3 style="margin:10px 0 2px">{text}</h3>{table}')
        self._say_clean()

    def _show_maps(self) -> None:
        main, auxiliary = self.explored.maps(self.question)
        drawn = ablation_maps([main, auxiliary], metric=self.question.metric)
        drawn.update_layout(shapes=frames(self.head))
        self.maps.show(drawn, dark=self.panel.dark)
        self.scatter.show(self._scatter(main, auxiliary), dark=self.panel.dark)
        self.saving.suggest(self.question, self.commands)

    def _scatter(self, main: HeadMap, auxiliary: HeadMap) -> go.Figure:
        drawn = head_scatter(main, auxiliary, metric=self.question.metric)
        mark_in_scatter(drawn, self.head, main, auxiliary)
        return drawn

    def _say(self, text: str) -> None:
        self.status.value = page(html.escape(text))

    def _say_measuring(self, question: Question) -> None:
        self._say(f"Measuring at step {question.step}, length {question.length} …")

    def _say_clean(self) -> None:
        question = self.question
        clean = self.explored.clean(question)
        said = clean_sentence(question.tasks, clean, metric=question.metric, length=question.length)
        self.status.value = page(f"Step {question.step}. {said} Click a head, in a map or in the scatter.")

    def _progress(self) -> Callable[[int, int], object]:
        """Says how far a measurement is, whenever another tenth is done."""
        said = {"tenth": 0}

        def tell(done: int, total: int) -> None:
            tenth = 10 * done // max(total, 1)
            if tenth > said["tenth"]:
                self._say(f"Measuring: {10 * tenth} % of a map …")
            said["tenth"] = tenth

        return tell
