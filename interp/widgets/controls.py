"""The explorer's controls, and the question that they ask."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import ipywidgets as widgets

from analyses.ablation import AblationKind
from interp.figures.heads import metric_name
from interp.widgets.explored import METRICS, Explored
from interp.widgets.question import Question

_KINDS: dict[AblationKind, str] = {
    "mean": "mean over examples",
    "mean_all": "mean over all positions",
    "zero": "zero",
    "resample": "another example's",
    "counterfactual": "the counterfactual's",
}

_MOST_K = 50


@dataclass(frozen=True)
class Controls:
    """The menus and the slider."""

    pair: widgets.Dropdown
    metric: widgets.Dropdown
    kind: widgets.Dropdown
    band: widgets.Dropdown
    k: widgets.BoundedIntText
    play: widgets.Play
    step: widgets.SelectionSlider

    @classmethod
    def of(cls, explored: Explored, question: Question) -> "Controls":
        """The controls of a run, set to a question."""
        steps = explored.steps
        pairs = [(f"{first} and {second}", (first, second)) for first, second in combinations(explored.names, 2)]
        most = min(_MOST_K, len(explored.heads))
        controls = cls(
            pair=_menu("tasks", pairs, question.tasks, width="250px"),
            metric=_menu("metric", [(metric_name(one), one) for one in METRICS], question.metric),
            kind=_menu("replaced by", [(text, one) for one, text in _KINDS.items()], question.kind, width="250px"),
            band=_menu("lengths", [(one.label, one.length) for one in explored.bands], question.length, width="310px"),
            k=widgets.BoundedIntText(
                value=question.k, min=1, max=most, description="top k", layout={"width": "100px"},
                style={"description_width": "initial"},
            ),
            play=widgets.Play(
                value=steps.index(question.step), min=0, max=len(steps) - 1, interval=1_500, show_repeat=False,
                disabled=len(steps) < 2,
            ),
            step=widgets.SelectionSlider(
                options=steps, value=question.step, description="training step", continuous_update=False,
                disabled=len(steps) < 2, layout={"flex": "1 1 300px", "max_width": "700px"},
                style={"description_width": "initial"},
            ),
        )  # fmt: skip
        widgets.jslink((controls.play, "value"), (controls.step, "index"))
        return controls

    @property
    def question(self) -> Question:
        """What they ask."""
        chosen: list[Any] = [one.value for one in (self.metric, self.kind, self.band, self.step, self.k)]
        pair: Any = self.pair.value
        return Question(*pair, *chosen)

    def on_change(self, changed: Callable[[Any], object]) -> None:
        """Calls back when any of them changes."""
        for control in (self.pair, self.metric, self.kind, self.band, self.k, self.step):
            control.observe(changed, names="value")

    @property
    def view(self) -> widgets.VBox:
        """All of them, in two rows that wrap where the page is narrow."""
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 10px"}
        menus = widgets.HBox([self.pair, self.metric, self.kind, self.band, self.k], layout=row)
        training = widgets.HBox([self.play, self.step], layout=row)
        return widgets.VBox([menus, training])


def _menu(name: str, options: list[tuple[str, Any]], value: object, *, width: str = "190px") -> widgets.Dropdown:
    return widgets.Dropdown(
        options=options, value=value, description=name, layout={"width": width},
        style={"description_width": "initial"},
    )  # fmt: skip
