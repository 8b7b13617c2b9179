"""What is known of a run's heads: measured when it is first asked for, and kept with the run and in memory."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from analyses import HeadAblation, HeadOverlap, Primitives
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Running
from analyses.heads import Head, all_heads
from analyses.reuse.run_effects import Measured, run_effects
from interp.asking.options import Which
from interp.figures.heads import HeadMap, head_map
from interp.measuring.keeping import kept
from interp.widgets.bands import Band, bands_of
from interp.widgets.head_views import Prompts, ReadOutMap, prompts_of, read_out_map
from interp.widgets.length_effect import LengthEffect, length_effect
from interp.widgets.question import Exploring, Question
from tasks import InvalidValueError, Task, same_prompts
from tasks.errors import unknown_name
from training import HookedTransformer, Run, named_generator

METRICS = ("accuracy", "nll", "logit_difference")
"""What the explorer measures."""

MODELS = 3
"""So many checkpoints' models stay in memory."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Explored:
    """A run and some of its tasks, and everything that was found out about their heads so far.

    Maps and primitives are kept in the run's `results` as the commands `interp overlap` and `interp primitives` keep
    them: what a command has measured is read here, and the other way round.

    Attributes:
        run: The run.
        names: The tasks, two or more.
        exploring: How much is measured.
        primitives: The primitives to locate; none named means all that apply to a task.

    Raises:
        InvalidValueError: Fewer than two tasks, one named twice, or tasks without a length in common.
        UnknownNameError: No such task, primitive or weights.
    """

    run: Run
    names: tuple[str, ...]
    exploring: Exploring = Exploring()
    primitives: tuple[str, ...] = ()
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)
    _models: dict[int, HookedTransformer] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise InvalidValueError(
                f"the explorer compares different tasks, two or more, got {' '.join(self.names) or 'none'}; name them, "
                "as in HeadOverlapExplorer(run, ['shift', 'copy'])"
            )
        self.run.digest(weights=self.exploring.weights)
        Primitives(self.primitives, permutations=self.exploring.primitive_permutations)
        self.bands  # noqa: B018  (what cannot be explored is refused at once)

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands of length that all tasks have."""
        return self._once(("bands",), lambda: bands_of(self.run, [self.task(name) for name in self.names]))

    @property
    def steps(self) -> list[int]:
        """The checkpoints that have the chosen weights."""
        return self._once(("steps",), lambda: self.run.steps)

    @property
    def heads(self) -> list[Head]:
        """Every head of the model."""
        return all_heads(self.run.config.model)

    def first_question(self) -> Question:
        """What is asked first: the first two tasks at the last checkpoint, at transfer, by accuracy."""
        band = next((one for one in self.bands if one.zone == "transfer"), self.bands[0])
        k = min(3, len(self.heads))
        return Question(self.names[0], self.names[1], "accuracy", "mean", band.length, self.steps[-1], k)

    def task(self, name: str) -> Task:
        """A task, bound to the run's vocabulary."""
        return self._once(("task", name), lambda: self.run.task(name))

    def model(self, step: int) -> HookedTransformer:
        """The model at a step; the last few stay in memory."""
        model = self._models.pop(step, None) or self.run.model(step, weights=self.exploring.weights)
        self._models[step] = model
        while len(self._models) > MODELS:
            del self._models[next(iter(self._models))]
        return model

    def effects(self, question: Question, task: str, *, running: Running = AT_ONCE) -> HeadEffects:
        """What ablating each head did to each example of a task."""
        check_metric(question.metric)
        key = ("effects", task, question.metric, question.kind, question.length, question.step)
        return self._once(key, lambda: self._effects(question, task, running))

    def _effects(self, question: Question, task: str, running: Running) -> HeadEffects:
        chosen = self.exploring
        measured = Measured(question.length, chosen.n, chosen.seed, question.step, chosen.weights)
        ablation = HeadAblation(kind=question.kind, metric=question.metric)
        return run_effects(self.run, self.task(task), measured, ablation=ablation, running=running)[0]

    def maps(self, question: Question, *, running: Running = AT_ONCE) -> tuple[HeadMap, HeadMap]:
        """Both tasks' ablation maps."""
        first, second = (
            head_map(self.effects(question, task, running=running).table(), task=task, metric=question.metric)
            for task in question.tasks
        )
        return first, second

    def clean(self, question: Question) -> tuple[float, float]:
        """The metric of the unchanged model on each task's examples, mean over them."""
        first, second = (self.effects(question, task).clean.mean().item() for task in question.tasks)
        return first, second

    def overlap(self, question: Question) -> pd.DataFrame:
        """How alike both maps are, with nulls (`HeadOverlap`): the numbers of `interp overlap`."""
        return self._once(("overlap", question), lambda: self._overlap(question))

    def _overlap(self, question: Question) -> pd.DataFrame:
        first, second = (self.effects(question, task) for task in question.tasks)
        tasks = [self.task(name) for name in question.tasks]
        matched = same_prompts(tasks[0], tasks[1], length=question.length)
        chosen = self.exploring
        comparison = HeadOverlap(
            question.k, chosen.permutations, chosen.bootstraps, "together" if matched else "separately"
        )
        return comparison(first, second, generator=named_generator(chosen.seed, "overlap", question.metric))

    def measured_lengths(self) -> tuple[int, ...]:
        """The lengths at which one head's effect is measured."""
        return tuple(sorted({length for band in self.bands for length in band.lengths}))

    def known_effect(self, question: Question, task: str, head: Head, *, length: int) -> LengthEffect | None:
        """One head's effect at a length, if it was measured: with the whole map, or for this head alone."""
        about = (task, question.metric, question.kind, length, question.step)
        effects = self._kept.get(("effects", *about))
        if effects is not None:
            return LengthEffect.of(effects, head)
        return self._kept.get(("length", head, *about))

    def effect(self, question: Question, task: str, head: Head, *, length: int) -> LengthEffect:
        """One head's effect at a length; if it is not known, it is measured on a few examples and kept in memory."""
        known = self.known_effect(question, task, head, length=length)
        if known is not None:
            return known
        key = ("length", head, task, question.metric, question.kind, length, question.step)
        return self._once(key, lambda: self._one_head(question, task, head, length))

    def _one_head(self, question: Question, task: str, head: Head, length: int) -> LengthEffect:
        model, chosen = self.model(question.step), self.exploring
        return length_effect(
            model, self.task(task), head, length=length, metric=question.metric, kind=question.kind,
            exploring=chosen, task_head=self.run.task_head(task),
        )  # fmt: skip

    def prompts(self, question: Question, *, number: int = 0) -> Prompts:
        """Where all heads look on a prompt of each task; the same prompt, if both tasks read the same."""
        key = ("prompts", question.tasks, question.length, question.step, number)
        return self._once(key, lambda: self._prompts(question, number))

    def _prompts(self, question: Question, number: int) -> Prompts:
        first, second = (self.task(name) for name in question.tasks)
        return prompts_of(
            self.model(question.step), first, second, length=question.length, number=number, exploring=self.exploring
        )

    def read_out(self, question: Question, head: Head) -> ReadOutMap:
        """What a head argues for when it attends to a token, with nothing else around.

        Read by the unembedding of the question's first task, if the run has one for each.
        """
        tasks = [self.task(name) for name in question.tasks]
        key = ("read-out", question.tasks, question.step, head)
        task_head = self.run.task_head(question.first)
        return self._once(key, lambda: read_out_map(self.model(question.step), tasks, head, task_head=task_head))

    def verdicts(self, question: Question) -> pd.DataFrame | None:
        """The primitives of both tasks' heads, if they were located at this checkpoint and length."""
        return self._kept.get(("primitives", question.tasks, question.length, question.step))

    def locate(self, question: Question) -> pd.DataFrame:
        """The primitives of both tasks' heads (`Primitives`): the numbers of `interp primitives`."""
        key = ("primitives", question.tasks, question.length, question.step)
        return self._once(key, lambda: self._locate(question))

    def _locate(self, question: Question) -> pd.DataFrame:
        chosen = self.exploring
        analysis = Primitives(self.primitives, permutations=chosen.primitive_permutations)
        which = Which(question.step, chosen.weights, chosen.primitive_n, chosen.seed)

        def table(name: str) -> pd.DataFrame:
            def compute(model: HookedTransformer, running: Running) -> pd.DataFrame:
                return analysis(
                    model, self.task(name), length=question.length, n=which.n,
                    generator=named_generator(which.seed, "primitives"), task_head=self.run.task_head(name),
                    running=running,
                )  # fmt: skip

            about = {"analysis": repr(analysis), "length": question.length}
            return kept(self.run, f"primitives-{name}", [self.task(name)], which, about=about, compute=compute)

        return pd.concat([table(name) for name in question.tasks], ignore_index=True)

    def _once(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """What was made before, or is made now and remembered."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def check_metric(metric: str) -> None:
    """Raises UnknownNameError unless the explorer measures it."""
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS, listing=f"the explorer has {', '.join(METRICS)}")
