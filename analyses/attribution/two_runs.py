"""The two runs that attribution compares: the clean one and the counterfactual one, and which of them is patched."""

from dataclasses import dataclass

import torch

from analyses.attribution.traces import Trace, Tracer
from analyses.examples import Examples
from analyses.metrics import Reading
from analyses.patches import Direction
from training import HookedTransformer


@dataclass(frozen=True)
class TwoRuns:
    """What both runs of some examples left behind.

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
    def of(cls, model: HookedTransformer, examples: Examples, *, direction: Direction) -> "TwoRuns":
        """Runs the model on examples and on their counterfactuals.

        Raises:
            InvalidValueError: Logits that are not finite.
        """
        assert examples.counterfactual is not None
        tracer, enabled = Tracer.of(model, examples), torch.is_grad_enabled()
        with torch.set_grad_enabled(enabled and direction == "noise"):
            clean = tracer.run(tracer.start(examples.clean))
        with torch.set_grad_enabled(enabled and direction == "denoise"):
            counterfactual = tracer.run(tracer.start(examples.counterfactual))
        with torch.no_grad():
            reading = Reading(examples.clean, examples.counterfactual, tracer.logits(clean, examples.clean))
        return cls(tracer, clean, counterfactual, clean if direction == "noise" else counterfactual, reading)
