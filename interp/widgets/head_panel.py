"""All about one head: its effect by length, where it looks, what it argues for, and which primitives it is."""

import html
from collections.abc import Iterator

import ipywidgets as widgets
import plotly.graph_objects as go

from analyses.heads import Head
from interp.widgets.explored import Explored
from interp.widgets.filling import Filling
from interp.widgets.head_figures import effect_by_length, pattern_figure, read_out_figure
from interp.widgets.length_effect import LengthEffect
from interp.widgets.question import Question, primitive_command
from interp.widgets.shown import Shown
from interp.widgets.words import code, page, verdict_table, wrong
from tasks.errors import InterpError

ROW = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "4px 16px", "overflow": "visible"}
"""How boxes stand side by side, as far as the page is wide."""


class HeadPanel:
    """The lower half of the explorer; `filling` measures lengths that are not known yet, one at a time.

    Args:
        explored: What is known of the run.
        question: What is asked.
        head: The head.
    """

    def __init__(self, explored: Explored, question: Question, head: Head) -> None:
        self.explored, self.question, self.head, self.dark = explored, question, head, False
        self.filling = Filling()
        self.title = widgets.HTML()
        self.prompt = widgets.Dropdown(
            options=[(f"prompt {number + 1}", number) for number in range(explored.exploring.prompts)],
            layout={"width": "120px"},
        )
        self.locate = widgets.Button(description="Locate primitives", tooltip="Tests every head; takes a while once")
        self.verdicts = widgets.HTML()
        self.lengths = Shown(self._lengths())
        self.patterns = Shown(self._patterns())
        self.read_out = Shown(read_out_figure(explored.read_out(question, head)))
        self.prompt.observe(lambda _: self._show_patterns(), names="value")
        self.locate.on_click(lambda _: self._locate())
        self.show(question, head)

    @property
    def view(self) -> widgets.VBox:
        """The panel."""
        prompt = widgets.HBox([_heading("Where it looks, on matched prompts"), self.prompt])
        boxes = [
            _box([_heading("Effect by length"), self.lengths.widget], basis=400),
            _box([prompt, self.patterns.widget], basis=680, grow=2),
            _box([_heading("What it argues for when it reads a token (OV circuit)"), self.read_out.widget], basis=460),
            _box([_heading("Primitives"), self.verdicts, self.locate], basis=460),
        ]
        return widgets.VBox([self.title, widgets.HBox(boxes, layout=ROW)])

    def show(self, question: Question, head: Head) -> None:
        """Shows a head: at once what is known of it; the rest of its effect by length follows."""
        self.question, self.head = question, head
        self.name(head)
        self._show_patterns()
        self.read_out.show(read_out_figure(self.explored.read_out(question, head)), dark=self.dark)
        self._show_verdicts()
        self._show_lengths()
        self.filling.start(self._fill())

    def name(self, head: Head) -> None:
        """Names the head, before anything about it is shown."""
        self.title.value = page(f'<h3 style="margin:10px 0 2px">Head {head}</h3>')

    def redraw(self, *, dark: bool) -> None:
        """Shows the same on a page that became dark, or light."""
        self.dark = dark
        self.show(self.question, self.head)

    def _fill(self) -> Iterator[None]:
        """Measures the lengths that are missing, both tasks at each."""
        question, head = self.question, self.head
        for length in self.explored.measured_lengths():
            for task in question.tasks:
                if self.explored.known_effect(question, task, head, length=length) is None:
                    self.explored.effect(question, task, head, length=length)
                    if (question, head) == (self.question, self.head):
                        self._show_lengths()
                    yield

    def _known(self, task: str) -> list[LengthEffect]:
        found = [
            self.explored.known_effect(self.question, task, self.head, length=length)
            for length in self.explored.measured_lengths()
        ]
        return [one for one in found if one is not None]

    def _lengths(self) -> go.Figure:
        first, second = (self._known(task) for task in self.question.tasks)
        return effect_by_length(
            self.question.tasks, (first, second), self.explored.bands, metric=self.question.metric,
            at=self.question.length,
        )  # fmt: skip

    def _show_lengths(self) -> None:
        self.lengths.show(self._lengths(), dark=self.dark)

    def _patterns(self) -> go.Figure:
        prompts = self.explored.prompts(self.question, number=self.prompt.value or 0)
        return pattern_figure((prompts.first.of(self.head), prompts.second.of(self.head)))

    def _show_patterns(self) -> None:
        self.patterns.show(self._patterns(), dark=self.dark)

    def _show_verdicts(self) -> None:
        found = self.explored.verdicts(self.question)
        self.locate.disabled = found is not None
        if found is not None:
            self.verdicts.value = page(verdict_table(found, self.head, self.question.tasks))
            return
        text = f"Not located yet at step {self.question.step}, length {self.question.length}. The same as:"
        command = primitive_command(
            self.explored.run, self.question, self.explored.exploring, names=self.explored.primitives
        )
        self.verdicts.value = page(html.escape(text) + code([command]))

    def _locate(self) -> None:
        self.locate.disabled = True
        self.locate.description = "Locating …"
        try:
            self.explored.locate(self.question)
            self._show_verdicts()
        except InterpError as error:
            self.verdicts.value = page(wrong(str(error)))
        finally:
            self.locate.description = "Locate primitives"


def _heading(text: str) -> widgets.HTML:
    return widgets.HTML(page(f'<h4 style="margin:4px 0">{html.escape(text)}</h4>'))


def _box(children: list[widgets.Widget], *, basis: int, grow: int = 1) -> widgets.VBox:
    return widgets.VBox(children, layout={"flex": f"{grow} 1 {basis}px", "min_width": "320px", "overflow": "visible"})
