"""How alike a model represents what it answers in two tasks."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice
from analyses.examples import AT_ONCE, Running
from analyses.reuse.likeness import covariance_product, leaving_out, shared_covariance
from analyses.reuse.two_tasks import TwoTasks
from analyses.statistics.errors import jackknife_errors
from analyses.statistics.resampling import seed_of
from analyses.statistics.student import t_interval
from tasks import Batch, InvalidValueError, Task
from training import HookedTransformer

RepresentationMeasure = Literal["cka", "covariance_cosine"]

COLUMNS = [
    "first", "second", "length", "measure", "layer", "estimate", "stderr", "low", "high", "aligned", "tokens", "n",
    "groups", "seeds", "seed",
]  # fmt: skip

NEGLIGIBLE = 1e-10
"""Variance over squared norm below which a representation counts as constant: float32 rounds at about 1e-14."""


@dataclass(frozen=True)
class RepresentationSimilarity:
    """How alike the residual stream varies over examples in two tasks, after every layer, where it predicts the answer.

    x_i is the stream of example i of the first task at the position that predicts its k-th scored token, y_i that of
    the second. k runs up to the shortest answer; sums are over k, so that what differs between positions, which it does
    in every task, does not count as likeness.

        cka                 sum |Cov(x, y)|^2 / sqrt(sum |Cov(x, x)|^2 sum |Cov(y, y)|^2): linear CKA. Examples that
                            are near one another in one task are so in the other. Example i of both has the same
                            prompt, so it is defined only for tasks that read the same prompts.
        covariance_cosine   sum <Cov(x), Cov(y)> / the same: examples of both tasks differ in the same directions of
                            the stream. Needs no pairs, so it is defined for every two tasks.

    Both are 1 if all agrees, and 0 on average if nothing does or a task's stream does not vary. All products are
    debiased (`reuse.likeness`); estimates are not cut off, so they may lie a little outside 0 to 1.
    Sources: Kornblith et al. 2019 (arXiv 1905.00414), section 3 (linear CKA); Nguyen et al. 2021 (arXiv 2010.15327),
    section 3 (debiased, sums before the ratio).

    Attributes:
        measures: Which ones; none named means all that are defined for the two tasks.
        groups: Groups of examples that the jackknife leaves out in turn.

    Raises:
        UnknownNameError: No such measure.
        InvalidValueError: A measure named twice, or fewer than 2 groups.
    """

    measures: tuple[RepresentationMeasure, ...] = ()
    groups: int = 20

    def __post_init__(self) -> None:
        for measure in self.measures:
            check_choice("measure", measure, get_args(RepresentationMeasure))
            if self.measures.count(measure) > 1:
                raise InvalidValueError(f"measure {measure!r} is named twice; name each measure once")
        if self.groups < 2:
            raise InvalidValueError(f"groups = {self.groups} cannot be left out in turn; allowed is 2 or more")

    def __call__(
        self,
        model: HookedTransformer,
        first: Task,
        second: Task,
        *,
        length: int,
        n: int = 256,
        generator: Generator,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per measure and layer, and after them one with missing layer for the mean over layers.

        Columns: first, second (tasks), length, measure, layer, estimate, stderr (jackknife), low, high (95 % t
        interval), aligned (whether both tasks read the same prompts), tokens (of each answer that were compared), n
        (examples of each task), groups (of the jackknife), seeds (models: 1), seed (of the generator).

        Args:
            model: The model, left as it was.
            first: A task.
            second: Another one; both are bound to the model's vocabulary.
            length: The length of all examples.
            n: Examples of each task, from the test stream.
            generator: The source of the examples.
            running: How the work is divided and followed (in examples of one task); its journal is not used.

        Raises:
            InvalidValueError: n below 8 or below the number of groups, `cka` of tasks that read different prompts, a
                model with hooks attached, no such length, or a vocabulary without a task's tokens.
        """
        if n < max(8, self.groups):
            raise InvalidValueError(
                f"n = {n} examples cannot be left out in {self.groups} groups; allowed is {max(8, self.groups)} or more"
            )
        seed = seed_of(generator)
        examples = TwoTasks.drawn(model, first, second, length=length, n=n, generator=generator)
        if "cka" in self.measures and not examples.aligned:
            raise InvalidValueError(
                f"measure 'cka' pairs examples of one prompt, and tasks {first.name!r} and {second.name!r} do not read "
                "the same prompts at the same positions; use covariance_cosine, which needs no pairs"
            )
        measures = self.measures or (get_args(RepresentationMeasure) if examples.aligned else ("covariance_cosine",))
        places = answer_places(examples)
        streams = _streams(model, examples, places, running)
        likeness = [self._likeness(streams[:, layer], measures) for layer in range(model.config.n_layers)]
        values = np.stack([*likeness, np.mean(likeness, axis=0)], axis=1)  # [measure, layers and mean, selection]
        tables = [_rows(measure, of_layers) for measure, of_layers in zip(measures, values, strict=True)]
        return pd.concat(tables, ignore_index=True).assign(
            first=first.name, second=second.name, length=length, aligned=examples.aligned, tokens=places.shape[-1],
            n=n, groups=self.groups, seeds=1, seed=seed,
        )[COLUMNS]  # fmt: skip

    def _likeness(
        self, streams: Float[Tensor, "2 token batch d_model"], measures: tuple[RepresentationMeasure, ...]
    ) -> Float[np.ndarray, "measure selection"]:
        """The measures in a layer, of all examples and without each group."""
        kept = leaving_out(streams.shape[2], groups=self.groups).to(streams.device)
        sums = torch.zeros(2 + len(measures), kept.shape[1], dtype=torch.float64, device=streams.device)
        norms = torch.zeros(2, 1, dtype=torch.float64, device=streams.device)
        for both in streams.double().unbind(dim=1):
            norms[:, 0] += both.square().sum(dim=-1).mean(dim=-1).square()
            x, y = both - both.mean(dim=1, keepdim=True)  # changes nothing but the rounding
            grams = x @ x.T, y @ y.T
            sums[:2] += torch.stack([shared_covariance(gram, gram, kept) for gram in grams])
            for place, measure in enumerate(measures, start=2):
                sums[place] += (
                    shared_covariance(*grams, kept) if measure == "cka" else covariance_product(x @ y.T, kept)
                )
        varies = (sums[:2] > NEGLIGIBLE**2 * norms).all(dim=0)
        ratios = sums[2:] / torch.where(varies, sums[:2].prod(dim=0), 1).sqrt()
        return (ratios * varies).cpu().numpy()


def answer_places(examples: TwoTasks) -> Int[Tensor, "2 batch token"]:
    """The positions that predict each example's first scored tokens, as many as the shortest answer of both has."""
    both = [batch.predicting for batch in (examples.first, examples.second)]
    tokens = min(int(one.sum(dim=1).min()) for one in both)
    return torch.stack([one.int().argsort(dim=1, descending=True, stable=True)[:, :tokens] for one in both])


@torch.inference_mode()
def _streams(
    model: HookedTransformer, examples: TwoTasks, places: Int[Tensor, "2 batch token"], running: Running
) -> Float[Tensor, "2 layer token batch d_model"]:
    """The residual stream after every layer at the places, on the model's device."""
    names = [f"blocks.{layer}.hook_resid_post" for layer in range(model.config.n_layers)]
    parts = []
    for rows in examples.parts(running.tokens(model.device)):
        batch: Batch = examples.part(rows)
        chosen = places[:, rows].flatten(0, 1).to(model.device)[..., None]
        tokens = batch.inputs.to(model.device)
        _, cache = model.run_with_cache(tokens, names_filter=names, return_cache_object=False)
        found = [cache[name].gather(1, chosen.expand(-1, -1, model.config.d_model)) for name in names]
        parts.append(torch.stack(found).unflatten(1, (2, -1)).permute(1, 0, 3, 2, 4))
        running.on_done(rows.stop, len(examples))
    return torch.cat(parts, dim=3)


def _rows(measure: str, values: Float[np.ndarray, "layers_and_mean selection"]) -> pd.DataFrame:
    """A row for each layer, and one for their mean; the first selection is of all examples."""
    estimate, stderr = values[:, 0], jackknife_errors(values[:, 1:])
    low, high = t_interval(estimate, stderr, freedom=values.shape[1] - 2)
    layers = pd.array([*range(len(values) - 1), pd.NA], dtype="Int64")
    columns = {"layer": layers, "estimate": estimate, "stderr": stderr, "low": low, "high": high}
    return pd.DataFrame({"measure": measure, **columns})
