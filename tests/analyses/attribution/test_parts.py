"""Scores of parts of the examples: what they are does not depend on the division; progress, journal, memory."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.attribution import AttributionPatching, DirectLogitAttribution, EdgeAttribution
from analyses.examples import Examples, Running
from analyses.journal import Journal
from benchmarks.memory import peak_bytes
from tests.analyses.attribution.models import TASK, examples_for
from tests.analyses.models import random_model, seeded
from training import HookedTransformer, ModelConfig

ANALYSES: dict[str, Any] = {
    "EAP": EdgeAttribution(),
    "EAP-IG-inputs": EdgeAttribution(method="EAP-IG-inputs", steps=2),
    "EAP-IG-activations": EdgeAttribution(method="EAP-IG-activations", steps=1),
    "activations": AttributionPatching(site="k", by="head_position"),
    "direct": DirectLogitAttribution(),
}

every_analysis = pytest.mark.parametrize("name", ANALYSES)


def small_model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=2, initializer_range=0.2)


@every_analysis
def test_scores_do_not_depend_on_the_token_budget(name: str) -> None:
    model, examples, seen = small_model(), examples_for(n=5), list[tuple[int, int]]()
    wanted = ANALYSES[name].scores(model, examples)
    assert wanted.dtype == torch.float64
    assert wanted.abs().max() > 1e-3
    for budget in (1, 100):
        running = Running(token_budget=budget, on_done=lambda *done: seen.append(done))
        torch.testing.assert_close(
            ANALYSES[name].scores(model, examples, running=running), wanted, rtol=1e-5, atol=1e-6
        )
    assert seen[:5] == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]  # one example at least
    assert seen[-1] == (5, 5)
    assert all(one[0] < other[0] for one, other in pairwise(seen[5:]))


class StopError(Exception):
    """What the user's own code raises."""


@every_analysis
def test_an_interrupted_call_goes_on(name: str, tmp_path: Path) -> None:
    model, examples, analysis, scored = small_model(), examples_for(n=4), ANALYSES[name], list[int]()
    original = type(analysis)._scores

    def counted(self: object, model: HookedTransformer, part: Examples) -> torch.Tensor:
        scored.append(len(part))
        return original(self, model, part)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StopError

    journal = Journal(tmp_path / "journal.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(analysis), "_scores", counted)
        with pytest.raises(StopError):
            analysis.scores(model, examples, running=Running(1, stop, journal))
        found = analysis.scores(model, examples, running=Running(1, journal=journal))
    assert scored == [1, 1, 1, 1]  # three, and then the fourth
    assert torch.equal(found, analysis.scores(model, examples, running=Running(1)))


@every_analysis
def test_takes_at_most_twice_the_memory_of_a_forward_pass_of_the_budget(name: str) -> None:
    config = ModelConfig.read({"n_layers": 4, "n_heads": 4, "d_model": 128, "d_vocab": len(TASK.vocabulary)})
    model = HookedTransformer(config, vocabulary=TASK.vocabulary, generator=seeded())
    examples, running = examples_for(n=12, length=16), Running(token_budget=1024)
    batch = examples_for(n=1024 // examples.width, length=16).clean

    @torch.inference_mode()
    def forward_pass() -> object:
        return model.scored_logits(batch.inputs, batch.predicting)

    def work() -> object:
        return ANALYSES[name].scores(model, examples, running=running)

    assert peak_bytes(work) <= 2 * peak_bytes(forward_pass)
