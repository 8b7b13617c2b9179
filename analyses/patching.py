"""Activation patching between a clean and a counterfactual run."""

from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
from torch import Generator

from analyses.examples import AT_ONCE, Examples, Running
from analyses.interventions import Edit, Site
from analyses.interventions.places import Places
from analyses.interventions.sites import check_site, heads_at
from analyses.metrics import Metric, UserMetric
from analyses.patches import Direction, PatchEffects, about, check_direction, patch
from analyses.scopes import Positions, check_scope, places_of
from tasks import InvalidValueError, Pair, Task
from tasks.errors import unknown_name
from training import HookedTransformer, ModelConfig

By = Literal["layer", "layer_position", "head", "head_position"]


@dataclass(frozen=True)
class ActivationPatching:
    """Where a run holds what makes its answer: activations of one run patched into another, one place at a time.

    The runs are those of an example and of its counterfactual (symmetric token replacement). Of each patch: the metric
    against the clean answer, its change, and its change as a share of the whole difference between the runs.
    Source: Zhang and Nanda 2309.16042; Heimersheim and Nanda 2404.15255; the sites are TransformerLens'.

    Attributes:
        site: Which activation: resid_pre, resid_mid, resid_post, attn_out, mlp_out; z, q, k, v or pattern of heads.
        by: What is one patch: a `layer` (all its heads), a `layer_position`, a `head`, or a `head_position`. Heads of k
            and v are key-value heads; positions of a pattern are queries.
        direction: `denoise` or `noise`.
        metric: As in `HeadAblation`.
        positions: Which positions are patched, at once or one by one.
        window: How many neighbouring positions are one patch, where patches go by position; a patch is named by its
            first one, and the last windows are shorter.
    """

    site: Site = "z"
    by: By = "head"
    direction: Direction = "denoise"
    metric: str | Metric | UserMetric = "logit_difference"
    positions: Positions = "all"
    window: int = 1

    def __post_init__(self) -> None:
        check_site(self.site)
        check_direction(self.direction)
        check_scope(self.positions)
        if self.by not in get_args(By):
            raise unknown_name("unit", self.by, get_args(By), listing=f"patches go by {', '.join(get_args(By))}")
        if self.window < 1:
            raise InvalidValueError(f"window = {self.window} positions is not possible; allowed is 1 or more")
        if self.window > 1 and not self.by.endswith("position"):
            raise InvalidValueError(f"a window of {self.window} needs patches by position; use by='{self.by}_position'")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 128,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """The table of patches.

        Columns: task, length, and those of `PatchEffects.table`, with the labels site, layer, head, position, window.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples and their counterfactuals.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: No such position, a site without heads by head, an example without a counterfactual.
        """
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        return about(self._effects(model, examples, running).table(), task=task.name, length=length)

    def effects(
        self, model: HookedTransformer, pair: Pair, *, task_head: int = 0, running: Running = AT_ONCE
    ) -> PatchEffects:
        """What each patch did to each example of a pair of batches, in the order layer, head, position."""
        return self._effects(model, Examples.of_pair(pair, task_head=task_head), running)

    def _effects(self, model: HookedTransformer, examples: Examples, running: Running) -> PatchEffects:
        labels, interventions = [], []
        for layer, heads, place in self._patches(model.config, examples):
            head = heads[0] if self.by.startswith("head") and heads[0] >= 0 else pd.NA
            position = place.first if self.by.endswith("position") else pd.NA
            labels.append({"site": self.site, "layer": layer, "head": head, "position": position, "window": len(place)})
            interventions.append(tuple(Edit(self.site, layer, place, head) for head in heads))
        return patch(model, examples, interventions, self.direction, self.metric, labels, running)

    def _patches(self, config: ModelConfig, examples: Examples) -> list[tuple[int, tuple[int, ...], Places]]:
        """Layer, heads (-1: none of its own) and positions of each patch."""
        heads = heads_at(self.site, config)
        if self.by.startswith("head") and not heads:
            raise InvalidValueError(f"site {self.site!r} has no heads of its own; use by='layer', or site 'z'")
        every = tuple(range(heads)) or (-1,)
        groups = [(head,) for head in every] if self.by.startswith("head") else [every]
        places = places_of(self.positions, examples.clean)
        windows = [places]
        if self.by.endswith("position"):
            within = [(first, first + self.window) for first in places.positions]
            windows = [Places(tuple(p for p in places.positions if low <= p < high)) for low, high in within]
        return [(layer, group, window) for layer in range(config.n_layers) for group in groups for window in windows]
