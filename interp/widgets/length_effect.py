"""One head's effect at one length, on few examples: enough to see its course, and quick."""

import math
from dataclasses import dataclass

from analyses import HeadAblation
from analyses.ablation import AblationKind
from analyses.effects import HeadEffects
from analyses.heads import Head
from analyses.statistics.errors import standard_errors
from interp.widgets.question import Exploring
from tasks import Task
from training import HookedTransformer, named_generator

FEWEST = 4
"""Fewer examples than that would say nothing."""


@dataclass(frozen=True)
class LengthEffect:
    """What ablating a head costs at one length.

    Attributes:
        length: The length of the examples.
        effect: Mean over examples, positive where the head helped.
        stderr: Standard error of that mean; not a number for one example.
        clean: The metric of the unchanged model.
        n: Examples.
    """

    length: int
    effect: float
    stderr: float
    clean: float
    n: int

    @classmethod
    def of(cls, effects: HeadEffects, head: Head) -> "LengthEffect":
        """One head's effect, of a map's.

        Raises:
            ValueError: The map lacks the head.
        """
        place = list(effects.sets).index((head,))
        values = effects.effects[place]
        return cls(
            effects.length,
            values.mean().item(),
            standard_errors(values).item(),
            effects.clean.mean().item(),
            len(values),
        )


def length_effect(
    model: HookedTransformer,
    task: Task,
    head: Head,
    *,
    length: int,
    metric: str,
    kind: AblationKind,
    exploring: Exploring,
    task_head: int = 0,
) -> LengthEffect:
    """Ablates one head on `affordable` test examples of a length.

    Args:
        model: The model, left as it was.
        task: The task; it is bound to the model's vocabulary.
        head: The head.
        length: The length of all examples.
        metric: What is measured.
        kind: What takes the place of the head's output.
        exploring: How much is measured, and the seed.
        task_head: Which unembedding to use, if the model has one for each task.

    Raises:
        InvalidValueError: As `HeadAblation`.
    """
    n = affordable(model, length=length, exploring=exploring)
    ablation = HeadAblation(kind=kind, metric=metric, heads=(head,))
    generator = named_generator(exploring.seed, "ablation")
    found = ablation.effects(model, task, length=length, n=n, generator=generator, task_head=task_head)
    return LengthEffect.of(found[0], head)


def affordable(model: HookedTransformer, *, length: int, exploring: Exploring) -> int:
    """How many examples `exploring.work` pays for: `head_n` on a small model, fewer on a large one, never under 4.

    An example of a length is taken for twice as many tokens, which are run some three times (clean, for the means,
    ablated).
    """
    weights = sum(weight.numel() for weight in model.parameters())
    return max(FEWEST, min(exploring.head_n, math.floor(exploring.work / (weights * 3 * 2 * (length + 1)))))
