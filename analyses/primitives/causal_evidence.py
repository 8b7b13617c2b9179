"""What a primitive loses when a head is ablated, and when only its attention to the sources is cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from analyses.ablation import ablate
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from analyses.interventions.sources import means
from analyses.metrics import Metric, Reading
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.traces import LayerTrace, carried_on, log_probabilities, per_example
from tasks import Batch, Task
from training import HookedTransformer


@dataclass(frozen=True)
class CausalEvidence:
    """Losses of one head, in nats, per example in which the primitive applies; positive: the head helped.

    Attributes:
        clean: The primitive's metric in the unedited run.
        effect: Its drop when the head's output is exchanged for its mean at each position.
        cut: Its drop when the head's attention to the sources is cut.
        answer: What that cut costs the answer: the drop of the mean log probability of all scored tokens.
    """

    clean: Float[Tensor, " example"]
    effect: Float[Tensor, " example"]
    cut: Float[Tensor, " example"]
    answer: Float[Tensor, " example"]


@dataclass(frozen=True)
class Losses:
    """Measures losses on some examples.

    The metric is the mean log probability of the yielded token where the primitive applies: at the output, if the
    token is due there; else behind the head's own attention layer, as the final norm and the unembedding read it. Of a
    primitive that yields no token it is that of all scored tokens.

    Attributes:
        model: The model.
        task: The task, bound to the model's vocabulary.
        examples: The examples.
        ablated: The metric at the output of each primitive that has it there: unedited, and with each head ablated.
        scored: The mean log probability of the scored tokens, unedited.
        references: Each head's mean output, at each position.
        rows: How many examples are run at a time.
    """

    model: HookedTransformer
    task: Task
    examples: Examples
    ablated: Mapping[str, tuple[Float[Tensor, " batch"], Float[Tensor, "set batch"]]]
    scored: Float[Tensor, " batch"]
    references: Float[Tensor, "layer 1 pos head d_head"]
    rows: int

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        model: HookedTransformer,
        task: Task,
        examples: Examples,
        used: Sequence[tuple[Primitive, Uses]],
        *,
        running: Running,
    ) -> "Losses":
        """Ablates every head, one at a time, if any primitive is measured at the output."""
        at_output = [primitive for primitive, uses in used if uses.at_output(examples.clean.to(model.device))]
        ablated: dict[str, tuple[Tensor, Tensor]] = {}
        if at_output:
            metrics = [output_metric(primitive, task) for primitive in at_output]
            sets = [(head,) for head in all_heads(model.config)]
            outcome = ablate(model, examples, sets, kind="mean", metrics=metrics, running=running)
            ablated = {one.name: (outcome.unedited[one.name], outcome.edited[one.name]) for one in metrics}
        batch, budget = examples.clean.to(model.device), running.tokens(model.device)
        references = means(model, batch, kind="mean", sites=frozenset({"z"}), token_budget=budget).values["z"]
        rows = max(1, budget // examples.width)
        resid = torch.cat([model.residual(part) for part in batch.inputs.split(rows)])
        scored = logged_targets(model, resid, batch, batch.predicting, task_head=examples.task_head)
        return cls(model, task, examples, ablated, scored, references, rows)

    @torch.inference_mode()
    def of_head(self, primitive: Primitive, uses: Uses, trace: LayerTrace, head: int) -> CausalEvidence:
        """What one head's ablation and one head's cut cost."""
        W_O, kept = self.model.blocks[trace.layer].attn.W_O[head], uses.examples.cpu()
        z = trace.z[:, :, head]
        cut = trace.resid_mid + (trace.cut(head, uses) - z) @ W_O
        last, batch = carried_on(self.model, trace.layer, cut, rows=self.rows), self.examples.clean.to(cut.device)
        answer = self.scored - self._logged(last, batch, batch.predicting)
        if primitive.name in self.ablated:
            unedited, edited = self.ablated[primitive.name]
            clean, ablated = unedited, edited[trace.layer * self.model.config.n_heads + head]
            without = self._logged(last, batch, _shown(uses, batch))
        else:
            removed = trace.resid_mid + (self.references[trace.layer, 0, :, head] - z) @ W_O
            clean, ablated, without = (self._at_layer(uses, resid) for resid in (trace.resid_mid, removed, cut))
        clean, ablated, without, answer = (one.cpu()[kept] for one in (clean, ablated, without, answer))
        return CausalEvidence(clean, clean - ablated, clean - without, answer)

    def lens(self, uses: Uses, resid: Float[Tensor, "batch pos d_model"]) -> float:
        """The mean log probability of the yielded token, read off a residual stream; missing if there is none."""
        if uses.yields is None:
            return float("nan")
        return self._at_layer(uses, resid)[uses.examples].mean().item()

    def _at_layer(self, uses: Uses, resid: Tensor) -> Float[Tensor, " batch"]:
        assert uses.yields is not None
        found = log_probabilities(
            self.model, resid[uses.applies], uses.yields[uses.applies], task_head=self.examples.task_head
        )
        return per_example(found, uses.applies)

    def _logged(self, resid: Tensor, batch: Batch, shown: Tensor) -> Float[Tensor, " batch"]:
        return logged_targets(self.model, resid, batch, shown, task_head=self.examples.task_head)


def logged_targets(
    model: HookedTransformer,
    resid: Float[Tensor, "batch pos d_model"],
    batch: Batch,
    shown: Bool[Tensor, "batch pos"],
    *,
    task_head: int,
) -> Float[Tensor, " batch"]:
    """The mean log probability of the next tokens at some positions of each example, off the last residual stream."""
    found = log_probabilities(model, resid[shown], batch.tokens[:, 1:][shown], task_head=task_head)
    return per_example(found, shown)


def output_metric(primitive: Primitive, task: Task) -> Metric:
    """The mean log probability of the yielded token over the uses of each example; 0 for an example without any."""

    def measure(logits: Tensor, reading: Reading) -> Tensor:
        shown = _shown(primitive.find(task, reading.batch), reading.batch)
        counted = shown[reading.batch.predicting].double()
        logged = logits.double().log_softmax(dim=-1)
        of_targets = logged.gather(-1, reading.targets.expand(logged.shape[:-1])[..., None])[..., 0]
        return reading.per_example(of_targets * counted) / reading.per_example(counted).clamp(min=1)

    return Metric(primitive.name, "nats", 1, measure)


def _shown(uses: Uses, batch: Batch) -> Tensor:
    """Where the output shows what the primitive is worth."""
    return uses.applies & batch.predicting if uses.yields is not None else batch.predicting


def sign_flip_p(
    effects: Float[Tensor, "set example"], *, draws: int, generator: Generator
) -> Float[np.ndarray, " set"]:
    """(b + 1) / (m + 1): in b of m flips of the examples' signs the mean effect is at least as great.

    An effect that helps as often as it hurts has signs that may be flipped. Effects of 0 throughout give 1.
    """
    shape = (draws, effects.shape[1])
    signs = torch.randint(2, shape, generator=generator, device=generator.device).cpu().double() * 2 - 1
    observed, flipped = effects.double().mean(dim=1), effects.double() @ signs.T / effects.shape[1]
    above = (flipped >= observed[:, None] - 1e-12).sum(dim=1)
    return ((above + 1) / (draws + 1)).numpy()
