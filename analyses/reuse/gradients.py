"""Whether two tasks' losses pull a model's weights the same way."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Generator

from analyses.examples import AT_ONCE, Examples, Running
from analyses.reuse.gradient_products import gradient_products
from analyses.statistics.errors import jackknife_errors
from analyses.statistics.resampling import seed_of
from analyses.statistics.student import t_interval
from tasks import InvalidValueError, Task
from training import HookedTransformer

COLUMNS = [
    "first", "second", "length", "measure", "layer", "estimate", "stderr", "low", "high", "n", "groups", "seeds",
    "seed",
]  # fmt: skip

MEASURES = ("cosine", "corrected_cosine", "first_halves", "second_halves")


@dataclass(frozen=True)
class GradientSimilarity:
    """The cosine of two tasks' gradients, at a model's weights: above 0, a small step for one task helps the other.

    g_t is the gradient of task t's mean loss (nats per scored token, mean over an example's scored tokens, then over
    examples) with respect to all parameters, or to those of one layer. It is taken for each of `groups` groups of
    examples, the two tasks' drawn apart, so that its noise is known. With P_st the mean product of gradients of
    different groups, g_s,a . g_t,b with a != b:

        cosine             g_1 . g_2 / (|g_1| |g_2|), of all examples; 0 if one is zero. Noise makes it too small.
        corrected_cosine   P_12 / sqrt(P_11 P_22): what it would be of endless examples. Not cut off, so it may lie a
                           little outside -1 to 1, since a mean over models of values cut off would be wrong. Missing
                           where a task's gradient is lost in noise: its own P not above 0 by a 95 % t interval.
        first_halves       P_11 over the mean square of a half sample's gradient: what the cosine is of two halves of
        second_halves      the first (second) task's own examples. Near 0: nothing but noise, 1: no noise.

    `corrected_cosine` is the correction for attenuation, cos(g_1, g_2) / sqrt(cos(g_1, g_1') cos(g_2, g_2')) with
    independent halves, all ways of halving taken together.
    Source of the cosine between tasks: Yu et al. 2020 (arXiv 2001.06782), section 2; of the correction: Spearman 1904.

    Attributes:
        groups: How many groups; an even share of n each.

    Raises:
        InvalidValueError: Fewer than 3 groups.
    """

    groups: int = 8

    def __post_init__(self) -> None:
        if self.groups < 3:
            raise InvalidValueError(f"groups = {self.groups} tell nothing of noise; allowed is 3 or more")

    def __call__(
        self,
        model: HookedTransformer,
        first: Task,
        second: Task,
        *,
        length: int,
        n: int = 256,
        generator: Generator,
        task_heads: tuple[int, int] = (0, 0),
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per measure for all parameters (layer missing), then one per measure and layer.

        Columns: first, second (tasks), length, measure, layer, estimate, stderr (jackknife, one group of both tasks
        left out at a time), low, high (95 % t interval), n (examples of each task), groups, seeds (models: 1),
        seed (of the generator).
        The gradients of all groups are held at once: 2 * groups numbers for every parameter.

        Args:
            model: The model; its parameters, their gradients and whether they ask for one are left as they were.
            first: A task.
            second: Another one; both are bound to the model's vocabulary.
            length: The length of all examples.
            n: Examples of each task, from the test stream; a multiple of the groups.
            generator: The source of the examples, the first task's first.
            task_heads: Which unembedding each task uses, if the model has one for each. Those of other tasks count
                among all parameters, with a gradient of 0.
            running: How the work is divided and followed (in examples of both tasks); its journal is not used. A
                gradient needs more memory than a forward pass, so fewer tokens than the budget run at a time.

        Raises:
            InvalidValueError: n that does not divide, a loss that is not finite, a model with hooks attached, no such
                task head or length, or a vocabulary without a task's tokens.
        """
        if n < self.groups or n % self.groups:
            less = max(1, n // self.groups) * self.groups
            raise InvalidValueError(
                f"n = {n} examples do not divide into {self.groups} groups of one size; use {less} or "
                f"{less + self.groups}"
            )
        seed = seed_of(generator)
        both = []
        for task, head in zip((first, second), task_heads, strict=True):
            both.append(Examples.drawn(model, task, length=length, n=n, generator=generator, task_head=head))
            both[-1].check_model(model, before="a gradient is taken")
        products = gradient_products(model, both, groups=self.groups, running=running)
        tables = [_rows(of_scope, layer) for layer, of_scope in products.items()]
        return pd.concat(tables, ignore_index=True).assign(
            first=first.name, second=second.name, length=length, n=n, groups=self.groups, seeds=1, seed=seed
        )[COLUMNS]


def _rows(products: Float[np.ndarray, "gradient gradient"], layer: int | None) -> pd.DataFrame:
    """The measures of one scope: of all groups, and from the values without each group their errors."""
    groups = len(products) // 2
    everything = np.arange(groups)
    selections = [everything, *(np.delete(everything, group) for group in everything)]
    values = np.array([_measures(products, kept) for kept in selections]).T  # [measure, selection]
    stderr = jackknife_errors(values[:, 1:])
    low, high = t_interval(values[:, 0], stderr, freedom=groups - 1)
    columns = {"estimate": values[:, 0], "stderr": stderr, "low": low, "high": high}
    table = pd.DataFrame(columns, index=[*MEASURES, "first", "second"])
    if not (table.loc[["first", "second"], "low"] > 0).all() or not np.isfinite(values[1]).all():
        table.loc["corrected_cosine"] = np.nan
    where = pd.array([pd.NA if layer is None else layer] * len(MEASURES), dtype="Int64")
    return table.loc[list(MEASURES)].rename_axis("measure").reset_index().assign(layer=where)


def _measures(products: Float[np.ndarray, "gradient gradient"], kept: Int[np.ndarray, " kept"]) -> list[float]:
    """The four measures of some groups, and each task's own P."""
    groups = len(products) // 2
    first, second, across = (
        products[one + kept][:, other + kept] for one, other in ((0, 0), (groups, groups), (0, groups))
    )
    own, shared = [_of_different(first), _of_different(second)], _of_different(across)
    corrected = shared / (own[0] * own[1]) ** 0.5 if min(own) > 0 else np.nan
    # The mean square of a half sample's gradient: groups / 2 gradients' own squares, the others' products.
    squares = [p + 2 / groups * (np.diag(one).mean() - p) for p, one in zip(own, (first, second), strict=True)]
    halves = [_ratio(p, square) for p, square in zip(own, squares, strict=True)]
    return [_ratio(across.mean(), (first.mean() * second.mean()) ** 0.5), corrected, *halves, *own]


def _of_different(products: Float[np.ndarray, "kept kept"]) -> float:
    """The mean product of gradients of different groups."""
    kept = len(products)
    return (products.sum() - np.trace(products)) / (kept * (kept - 1))


def _ratio(above: float, below: float) -> float:
    """above / below, 0 if there is nothing below."""
    return above / below if below > 0 else 0.0
