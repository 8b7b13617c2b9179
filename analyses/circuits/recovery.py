"""The share of the model's effect that a circuit recovers, with its interval."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator

from analyses.circuits.edge_sets import run_edge_sets
from analyses.examples import Examples, Running
from analyses.metrics import Metric
from analyses.statistics.errors import bootstrap_ratios, ratio_of_means, standard_errors
from analyses.statistics.resampling import bootstrap_counts, one_sided_p, seed_of
from tasks import InvalidValueError
from training import HookedTransformer


@dataclass(frozen=True)
class Recovery:
    """What 0 and 1 mean for a share: the counterfactual run (no edge kept) and the clean run (all kept).

        f(C) = (m(C) - m(empty)) / (m(full) - m(empty))        m: the metric's mean over examples

    So f does not depend on whether more of the metric is better. It may lie above 1 and below 0. Intervals are 95 %
    percentile bootstrap intervals over examples, of the ratio of the means; resamples in which both ends have the same
    mean have no ratio and are left out.
    Source: MIB (Mueller et al. 2025, arXiv 2504.13151, circuit localization track).

    Attributes:
        full: The metric of every example in the clean run.
        empty: The same in the counterfactual run.
        counts: How often each bootstrap sample draws each example.
        seed: Of the generator that drew, as a signed number.
    """

    full: Float[np.ndarray, " batch"]
    empty: Float[np.ndarray, " batch"]
    counts: Int[np.ndarray, "draw batch"]
    seed: int

    @classmethod
    def of(
        cls,
        model: HookedTransformer,
        examples: Examples,
        *,
        metric: Metric,
        bootstraps: int,
        generator: Generator,
        token_budget: int,
    ) -> "Recovery":
        """Runs both ends, before any circuit is run.

        Raises:
            InvalidValueError: Fewer than 2 examples, or ends that do not differ by two standard errors: then 0 and 1
                are the same, and no share is defined.
        """
        if len(examples) < 2:
            raise InvalidValueError(f"n = {len(examples)} examples give no interval; allowed is 2 or more")
        scores = run_edge_sets(model, examples, [()], metrics=[metric], running=Running(token_budget=token_budget))
        full, empty = scores.clean[metric.name], scores.counterfactual[metric.name]
        gap, stderr = (full - empty).mean().item(), standard_errors(full - empty).item()
        if not abs(gap) > max(2 * stderr, 1e-9):  # what overflows to nan is no gap either
            raise InvalidValueError(
                f"faithfulness is undefined: {metric.name} is {full.mean():.4g} in the clean and {empty.mean():.4g} in "
                f"the counterfactual run, which differ by {gap:.2g}, less than two standard errors (of {stderr:.2g}); "
                "use more examples, another metric, or a model that tells the two apart"
            )
        seed = seed_of(generator)
        counts = bootstrap_counts(len(full), draws=bootstraps, generator=generator)
        return cls(full.numpy(), empty.numpy(), counts, seed)

    def share(self, values: Float[np.ndarray, "set batch"]) -> Float[np.ndarray, " set"]:
        """f of circuits, from the metric of every example."""
        shares, _ = ratio_of_means(torch.from_numpy(values - self.empty), torch.from_numpy(self.full - self.empty))
        return shares.numpy()

    def draws(self, values: Float[np.ndarray, "set batch"]) -> Float[np.ndarray, "draw set"]:
        """f in every bootstrap sample; nan where it is not defined."""
        return bootstrap_ratios(values - self.empty, self.full - self.empty, self.counts)


def share_p(observed: float, null: Float[np.ndarray, " draw"], *, alike: Literal[1, -1]) -> float:
    """(b + 1) / (m + 1) for shares and their differences, to 6 decimals.

    What lies behind is rounding, which depends on what runs together: an edge that changes nothing must tie with
    another one that changes nothing.
    """
    return one_sided_p(round(observed, 6), np.round(null, 6), alike=alike)
