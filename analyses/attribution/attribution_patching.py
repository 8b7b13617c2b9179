"""What patching each activation would do, estimated by one gradient: attribution patching."""

from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice, check_gradient, check_pairs
from analyses.attribution.parts import gradient_tokens, scores_in_parts
from analyses.attribution.traces import Trace, working
from analyses.attribution.two_runs import TwoRuns
from analyses.examples import AT_ONCE, Examples, Running
from analyses.interventions.sites import heads_at
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.patches import Direction, about, check_direction
from analyses.patching import By
from analyses.statistics.errors import standard_errors
from tasks import InvalidValueError, Task
from training import HookedTransformer, ModelConfig

HeadSite = Literal["q", "k", "v", "z"]
StreamSite = Literal["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"]

COLUMNS = [
    "task", "length", "method", "direction", "metric", "site", "layer", "head", "position", "score", "stderr", "n",
]  # fmt: skip


@dataclass(frozen=True)
class AttributionPatching:
    """What exchanging an activation between a clean and a counterfactual run would do, estimated by one gradient.

    score = better * sum over the activation's components of (clean - counterfactual) * d metric / d activation

    with the gradient at the clean run in direction `noise`, where the score estimates better * (m(clean) - m(clean run
    with the counterfactual's activation)), and at the counterfactual run in direction `denoise`, where it estimates
    better * (m(counterfactual run with the clean activation) - m(counterfactual)). So a positive score always means
    that the activation helps. Its unit is the metric's; sums over positions (and heads) are within an example, then
    the mean is over examples. What is summed over is patched at once, as in `ActivationPatching`.
    Source: Nanda, Attribution Patching (2023); Syed et al., arXiv 2310.10348.

    Attributes:
        site: Which activation, by TransformerLens' names without `hook_`. Queries and keys are those before positions
            turn them; `k` and `v` are the key-value heads'.
        by: What has a score of its own: each head or layer, as a whole or at each position.
        direction: Which run is patched: the clean one (`noise`) or the counterfactual (`denoise`).
        metric: A metric's name, a `Metric`, or a function of the user's; it must be smooth, and give for each example a
            number that depends on this example's logits alone.

    Raises:
        UnknownNameError: No such site, unit, direction or metric.
        InvalidValueError: Heads of a site that has none, or a metric whose gradient says nothing.
    """

    site: HeadSite | StreamSite = "z"
    by: By = "head"
    direction: Direction = "denoise"
    metric: str | Metric | UserMetric = "logit_difference"

    def __post_init__(self) -> None:
        check_choice("site", self.site, (*get_args(HeadSite), *get_args(StreamSite)))
        check_choice("unit", self.by, get_args(By))
        check_direction(self.direction)
        if self.by in ("head", "head_position") and self.site in get_args(StreamSite):
            raise InvalidValueError(
                f"site {self.site!r} has no heads of its own, so it cannot be divided by {self.by!r}; use by "
                f"'layer' or 'layer_position', or one of the sites {', '.join(get_args(HeadSite))}"
            )
        check_gradient(get_metric(self.metric), at_clean=self.direction == "noise")

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
        """One row per score: task, length, method, direction, metric, site, layer, head, position, score, stderr, n.

        `head` and `position` are missing where scores are not divided by them; `method` is `AtP`.

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples and of their counterfactuals.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            InvalidValueError: As `scores`; n below 1, no such length, a vocabulary without the task's tokens, or an
                example without a counterfactual.
        """
        draw = Examples.drawn_in_pairs
        examples = draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        scores = self.scores(model, examples, running=running)
        axes = ["layer", *(axis for axis in ("head", "position") if axis in self.by)]
        places = pd.DataFrame(torch.ones_like(scores[0]).nonzero().numpy(), columns=axes)
        table = places.reindex(columns=["layer", "head", "position"]).astype("Int64")
        table = table.assign(
            method="AtP",
            direction=self.direction,
            metric=get_metric(self.metric).name,
            site=self.site,
            score=scores.mean(dim=0).flatten().numpy(),
            stderr=standard_errors(scores.movedim(0, -1)).flatten().numpy(),
            n=n,
        )
        return about(table, task=task.name, length=length)[COLUMNS]

    @torch.inference_mode(mode=False)
    def scores(
        self, model: HookedTransformer, examples: Examples, *, running: Running = AT_ONCE
    ) -> Float[Tensor, "batch layer ..."]:
        """The scores of every example: [batch, layer], and then the axes of `by`: head, position.

        Args:
            model: The model, with nothing hooked to it. It is left as it was.
            examples: Clean examples and their counterfactuals.
            running: As in `EdgeAttribution.scores`.

        Returns:
            The scores, in float64 on the CPU.

        Raises:
            InvalidValueError: As `EdgeAttribution.scores`.
        """
        examples.check_model(model, before="an attribution")
        check_pairs(examples)
        return scores_in_parts(
            examples,
            lambda part: self._scores(model, part),
            shape=self._shape(model.config, examples.width),
            tokens=gradient_tokens(model, running, senders=0),
            device=model.device,
            running=running,
        )

    def _shape(self, config: ModelConfig, width: int) -> tuple[int, ...]:
        """That of one example's scores."""
        heads = [heads_at(self.site, config)] * ("head" in self.by)
        return config.n_layers, *heads, *[width] * ("position" in self.by)

    def _scores(self, model: HookedTransformer, examples: Examples) -> Float[Tensor, "batch layer ..."]:
        """The scores of a part of the examples."""
        products = self._products(model, examples)
        away = [axis for axis, name in ((2, "position"), (3, "head")) if name not in self.by]
        products = products.sum(dim=away, dtype=torch.float64) if away else products
        return products.transpose(2, 3) if self.by == "head_position" else products

    def _products(self, model: HookedTransformer, examples: Examples) -> Float[Tensor, "batch layer pos head_or_one"]:
        """Difference times gradient, summed over each position's (and head's) components."""
        metric, layers = get_metric(self.metric), range(model.config.n_layers)
        with torch.enable_grad():
            runs = TwoRuns.of(model, examples, direction=self.direction)
            wanted = [_gradient_of(self.site, runs.base, layer) for layer in layers]
            grads = runs.tracer.gradients(runs.base, runs.reading, metric, wanted=wanted)
        products = []
        for layer, grad in zip(layers, grads, strict=True):
            if self.site in ("q", "k", "v"):
                grad = _heads_of(self.site, grad, model)
            product = (_difference(self.site, runs, layer) * grad).sum(dim=-1)
            product = product if product.ndim == 3 else product[..., None]
            missing = examples.width - product.shape[1]  # gradients of earlier positions are 0
            products.append(F.pad(product, (0, 0, missing, 0)))
        return metric.better * torch.stack(products, dim=1)


def _gradient_of(site: str, run: Trace, layer: int) -> Tensor:
    """The tensor of a run whose gradient is a site's: what is added to the stream has the stream's."""
    match site:
        case "q" | "k" | "v":
            return run.qkv[layer]
        case "z":
            return run.z[layer]
        case "resid_pre":
            return run.resid[layer]
        case "attn_out" | "resid_mid":
            return run.mid[layer]
        case _:
            return run.resid[layer + 1]


def _difference(site: str, runs: TwoRuns, layer: int) -> Float[Tensor, "batch _pos ..."]:
    """A site in the clean run, less in the counterfactual run."""
    model = runs.tracer.model
    block = model.blocks[layer]
    if site in ("q", "k", "v"):  # biases cancel
        norms = [working(block.ln1(run.resid[layer])) for run in (runs.clean, runs.counterfactual)]
        return _heads_of(site, (norms[0] - norms[1]) @ working(runs.tracer.projections[layer][0]), model)
    clean, other = (_activation(site, run, layer) for run in (runs.clean, runs.counterfactual))
    difference = working(clean) - working(other)
    return difference.flatten(-2) @ working(block.attn.W_O).flatten(0, 1) if site == "attn_out" else difference


def _activation(site: str, run: Trace, layer: int) -> Tensor:
    """What a site holds; for attention's output, what it is made of."""
    match site:
        case "z" | "attn_out":
            return run.z[layer]
        case "resid_pre":
            return run.resid[layer]
        case "resid_mid":
            return run.mid[layer]
        case "mlp_out":
            return run.mlp_out[layer]
        case _:
            return run.resid[layer + 1]


def _heads_of(site: str, qkv: Float[Tensor, "batch pos all"], model: HookedTransformer) -> Tensor:
    """The queries, keys or values among all of them, by head. [batch, pos, head, d_head]"""
    heads, groups = model.config.n_heads, model.config.n_key_value_heads
    first, count = {"q": (0, heads), "k": (heads, groups), "v": (heads + groups, groups)}[site]
    return qkv.unflatten(-1, (heads + 2 * groups, -1))[:, :, first : first + count]
