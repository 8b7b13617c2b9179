"""The edge-set runner's work: divided to fit the memory, followed, and gone on with where it was interrupted."""

from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.circuits import Circuit, run_edge_sets
from analyses.circuits.edge_sets import EdgeSetScores
from analyses.circuits.stack import Stack, fitting
from analyses.examples import Examples, Running
from analyses.journal import Journal
from analyses.patches import Direction
from benchmarks.memory import peak_bytes
from tests.analyses.circuits.models import HAND, TASK, drawn_pair, model_of, random_circuits
from tests.analyses.models import random_model


def test_what_runs_together_fits_the_budget() -> None:
    # The hand-set model passes 3 * 1 + 4 * 4 = 19 numbers a token, so 40 tokens pass 760. Two tokens of a circuit hold
    # 2 * (7 senders * 4 + 19, which is more than 2 * 2 heads * 4) = 94, of an example 2 * (4 * 2 + 2) * 4 = 80.
    assert fitting(HAND, width=2, n=10, token_budget=40) == (4, 1)  # 760 / 174; (760 - 320) / 376
    assert fitting(HAND, width=2, n=2, token_budget=40) == (2, 3)  # (760 - 160) / 188
    assert fitting(HAND, width=2, n=10, token_budget=1) == (1, 1)  # at least one


@pytest.mark.parametrize("settings", [{"n_layers": 4}, {"n_heads": 8}, {"n_key_value_heads": 1, "norm": "LN"}])
def test_memory_stays_near_a_forward_pass_of_the_budget(settings: dict[str, Any]) -> None:
    model = random_model(TASK.vocabulary, **{"d_model": 64, "d_mlp": 256, "d_head": 16, **settings})
    examples, whole = Examples.of_pair(drawn_pair(32, length=7)), Circuit.whole(model.config)
    circuits, running = [whole.minus([edge]) for edge in whole.edges[:2]], Running(token_budget=512)
    tokens = examples.clean.inputs.flatten()[:512].view(32, 16)
    with torch.inference_mode():
        forward = peak_bytes(lambda: model(tokens))
    assert peak_bytes(lambda: run_edge_sets(model, examples, circuits, running=running)) < 1.5 * forward


def test_progress_counts_runs_of_an_example() -> None:
    # 2 layers of 4 heads, d_model 16, d_mlp 24: 136 numbers a token; 8 tokens of a circuit 8 * (11 * 16 + 136) = 2496,
    # of an example 8 * 10 * 16 = 1280. 80 tokens are 10880: 2 examples, and with them 1 circuit (8320 / 4992).
    seen: list[tuple[int, int]] = []
    model, running = model_of("none, LN"), Running(token_budget=80, on_done=lambda *done: seen.append(done))
    run_edge_sets(model, Examples.of_pair(drawn_pair()), [(), ()], running=running)
    assert seen == [(done, 10) for done in (2, 4, 6, 8, 9, 10)]


@pytest.mark.parametrize("direction", ["noise", "denoise"])
@pytest.mark.parametrize(
    ("budget", "at", "left"),
    [(80, 14, 16), (300, 14, 10), (80, 30, 0)],  # of 5 * 6 runs; 80: 2 at a time, 300: 10 at a time
)
def test_interrupted_call_goes_on_where_it_stopped(
    direction: Direction, budget: int, at: int, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples, path = model_of("none, LN"), Examples.of_pair(drawn_pair()), tmp_path / "kept.journal"
    circuits, metrics, logits, ran = random_circuits(model), ("logit_difference", "kl"), Stack.logits, list[int]()

    def run(running: Running) -> EdgeSetScores:
        return run_edge_sets(model, examples, circuits, direction=direction, metrics=metrics, running=running)

    def stop(done: int, total: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    def counted(stack: Stack, tokens: torch.Tensor, *, task_head: int) -> torch.Tensor:
        ran.append(len(stack.kept) * len(tokens))
        return logits(stack, tokens, task_head=task_head)

    at_once = run(Running(token_budget=budget))
    with pytest.raises(KeyboardInterrupt):
        run(Running(token_budget=budget, on_done=stop, journal=Journal(path)))
    monkeypatch.setattr(Stack, "logits", counted)
    resumed = run(Running(token_budget=budget, journal=Journal(path)))
    assert sum(ran) == left
    for part, whole in zip(vars(resumed).values(), vars(at_once).values(), strict=True):
        assert all(torch.equal(part[name], whole[name]) for name in metrics)
