"""The two runs that attribution compares: the clean one and the counterfactual one, and which of them is patched."""

from dataclasses import dataclass
from typing import Literal

import torch

from analyses.attribution.traces import Trace, Tracer
from analyses.metrics import Reading
from tasks import Pair
from training import HookedTransformer

Direction = Literal["noise", "denoise"]
"""Which run is patched with the other's activations: the clean one (`noise`) or the counterfactual one (`denoise`)."""


@dataclass(frozen=True)
class TwoRuns:
    """What both runs of some pairs left behind.

    Attributes:
        tracer: What made them.
        clean: The clean run.
        counterfactual: The counterfactual run.
        base: The one that is patched; gradients can be asked for if they were enabled.
        reading: What a metric reads either run's logits against: always the clean answers, in their places.
    """

    tracer: Tracer
    clean: Trace
    counterfactual: Trace
    base: Trace
    reading: Reading

    @classmethod
    def of(cls, model: HookedTransformer, pair: Pair, *, patched: Direction, task_head: int) -> "TwoRuns":
        """Runs the model on both sides of pairs whose prompts have one length.

        Raises:
            InvalidValueError: Logits that are not finite.
        """
        tracer = Tracer.of(model, pair.clean, task_head=task_head)
        enabled = torch.is_grad_enabled()
        with torch.set_grad_enabled(enabled and patched == "noise"):
            clean = tracer.run(tracer.start(pair.clean))
        with torch.set_grad_enabled(enabled and patched == "denoise"):
            counterfactual = tracer.run(tracer.start(pair.counterfactual))
        with torch.no_grad():
            reading = Reading(pair.clean, pair.counterfactual, tracer.logits(clean, pair.clean))
        return cls(tracer, clean, counterfactual, clean if patched == "noise" else counterfactual, reading)
