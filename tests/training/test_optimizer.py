"""Schedule, AdamW and averaged weights against numbers worked out by hand or in plain Python."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.tiny import tiny_config
from training import OptimizerConfig
from training.optimizer import AveragedWeights, learning_rate, make_optimizer
from training.runs import fresh_model


class Pair(nn.Module):
    """A matrix and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.W_x = nn.Parameter(torch.tensor([[1.0, -2.0]]))
        self.b_x = nn.Parameter(torch.tensor([[0.5, 3.0]]))


def test_schedule_by_hand() -> None:
    config = OptimizerConfig(steps=10, learning_rate=2.0, warmup=2, decay=0.4, final=0.1)
    # Warm-up 1/2, 2/2; constant to step 5; then 4 steps along 0.1 + 0.9 (1 + cos(pi k / 4)) / 2, k = 1..4.
    cosine = [0.1 + 0.45 * (1 + math.cos(math.pi * k / 4)) for k in (1, 2, 3, 4)]
    expected = [2.0 * share for share in (0.5, 1, 1, 1, 1, 1, *cosine)]
    assert [learning_rate(step, config) for step in range(10)] == pytest.approx(expected, abs=1e-12)
    assert expected[-1] == pytest.approx(0.2)


def test_cosine_falls_from_the_warmup_to_the_end() -> None:
    config = OptimizerConfig(steps=6, schedule="cosine", learning_rate=2.0, warmup=2, decay=0.4, final=0.1)
    # Warm-up 1/2, 2/2; then 4 steps along 0.1 + 0.9 (1 + cos(pi k / 4)) / 2; `decay` has no say.
    expected = [0.5, 1, *(0.1 + 0.45 * (1 + math.cos(math.pi * k / 4)) for k in (1, 2, 3, 4))]
    assert [learning_rate(step, config) for step in range(6)] == pytest.approx([2.0 * share for share in expected])


def test_constant_stays_at_the_peak() -> None:
    config = OptimizerConfig(steps=5, schedule="constant", learning_rate=0.3, warmup=2, decay=0.9, final=0.0)
    assert [learning_rate(step, config) for step in range(5)] == pytest.approx([0.15, 0.3, 0.3, 0.3, 0.3])


@pytest.mark.parametrize(("steps", "warmup"), [(10, 3), (50, 15), (9, 2)])
def test_one_cycle_is_torchs(steps: int, warmup: int) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    # Its first phase has pct_start * steps - 1 steps after the first; its last rate is a 1e4th of its first.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.7, total_steps=steps, pct_start=warmup / steps)
    config = OptimizerConfig(steps=steps, schedule="one_cycle", learning_rate=0.7, warmup=warmup, final=1 / 25 / 1e4)
    for step in range(steps):
        assert learning_rate(step, config) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        if step < steps - 1:
            schedule.step()


@pytest.mark.parametrize(("warmup", "first"), [(0, (1 + math.cos(math.pi / 4)) / 2), (1, 1.0)])
def test_one_cycle_of_no_or_one_warmup_step_begins_at_its_peak(warmup: int, first: float) -> None:
    # Without a warm-up the first of four steps has gone a quarter of the way down.
    config = OptimizerConfig(steps=4, schedule="one_cycle", learning_rate=2.0, warmup=warmup, final=0.0)
    assert learning_rate(0, config) == pytest.approx(2 * first)


def test_schedule_without_warmup_or_decay_is_constant() -> None:
    config = OptimizerConfig(steps=5, learning_rate=0.3, warmup=0, decay=0.0)
    assert [learning_rate(step, config) for step in range(5)] == [0.3] * 5


def test_a_run_shorter_than_its_warmup_never_leaves_it() -> None:
    config = OptimizerConfig(steps=3, learning_rate=1.0, warmup=10, decay=0.5)
    assert [learning_rate(step, config) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_average_by_hand() -> None:
    model = Pair()
    averaged = AveragedWeights.of(dict(model.named_parameters()), decay=0.15)
    # d = min(0.15, (1 + t) / (10 + t)) = 1/10, then 2/11 -> 0.15: 1 -> 0.1 * 1 + 0.9 * 11 = 10 -> 0.15 * 10 + 0.85 * 0.
    for step, value, expected in ((0, 11.0, 10.0), (1, 0.0, 1.5)):
        with torch.no_grad():
            model.W_x[0, 0] = value
        averaged.update(step)
        assert averaged.weights["W_x"][0, 0].item() == pytest.approx(expected)
    assert averaged.weights["b_x"].tolist() == [[0.5, 3.0]]
    assert not averaged.weights["W_x"].requires_grad


def test_weight_decay_spares_norms_biases_and_temperatures() -> None:
    changes = {"biases": "all", "temperature": "log_n", "norm": "LN", "task_heads": 2}
    model = fresh_model(tiny_config(model=changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    make_optimizer(dict(model.named_parameters()), OptimizerConfig(steps=1, learning_rate=0.5, weight_decay=0.2)).step()
    found = {name: set(parameter.flatten().tolist()) for name, parameter in model.named_parameters()}
    decayed = {name for name, values in found.items() if values != {1.0}}
    assert decayed == {name for name in found if name.rpartition(".")[2].startswith("W_")}
    # A gradient of zero leaves the decay alone: 1 - 0.5 * 0.2.
    assert all(value == pytest.approx(0.9) for name in decayed for value in found[name])
    assert {"blocks.0.attn.b_Q", "blocks.0.attn.beta", "blocks.0.ln1.b", "ln_final.w", "unembed.b_U"} <= set(found)


@pytest.mark.parametrize(
    ("decayed", "spared"),
    [("hidden", {"W_E", "W_pos", "W_U"}), ("matrices", set()), ("all", None)],
)
def test_what_decays_can_be_chosen(decayed: Any, spared: set[str] | None) -> None:
    model = fresh_model(tiny_config(model={"biases": "all", "positions": "learned", "n_ctx": 9}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    make_optimizer(
        dict(model.named_parameters()), OptimizerConfig(steps=1, learning_rate=0.5, weight_decay=0.2, decayed=decayed)
    ).step()
    kept = {name.rpartition(".")[2] for name, value in model.named_parameters() if value.flatten()[0] == 1.0}
    others = {name.rpartition(".")[2] for name, _ in model.named_parameters() if ".W_" not in name}
    assert {"W_E", "W_pos", "W_U", "b_Q", "w"} <= {name.rpartition(".")[2] for name, _ in model.named_parameters()}
    assert kept == (set() if spared is None else spared | others)


def test_adam_adds_the_decay_to_the_gradient() -> None:
    # The first step of Adam moves each weight by lr * g / (|g| + eps), g = gradient + decay * weight:
    # W = 1: g = -0.1 + 0.3 = 0.2, down; W = -2: g = -0.1 - 0.6 = -0.7, up. AdamW would go up in both.
    model = Pair()
    config = OptimizerConfig(steps=1, algorithm="Adam", learning_rate=0.01, weight_decay=0.3, eps=1e-8)
    optimizer = make_optimizer(dict(model.named_parameters()), config)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, -0.1)
    optimizer.step()
    assert model.W_x.tolist()[0] == pytest.approx([0.99, -1.99], abs=1e-5)
    assert model.b_x.tolist()[0] == pytest.approx([0.51, 3.01], abs=1e-5)


def test_eps_is_added_to_the_root() -> None:
    # First step: lr * g / (|g| + eps) = 0.1 * 1 / (1 + 3).
    model = Pair()
    optimizer = make_optimizer(
        dict(model.named_parameters()), OptimizerConfig(steps=1, learning_rate=0.1, weight_decay=0.0, eps=3.0)
    )
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert model.W_x.tolist()[0] == pytest.approx([1 - 0.025, -2 - 0.025], abs=1e-6)


def test_three_steps_equal_adamw_in_plain_python() -> None:
    config = OptimizerConfig(steps=3, learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.9)
    model = Pair().double()
    optimizer = make_optimizer(dict(model.named_parameters()), config)
    weights = {"W_x": [1.0, -2.0], "b_x": [0.5, 3.0]}
    first = {name: [0.0, 0.0] for name in weights}
    second = {name: [0.0, 0.0] for name in weights}
    for step, gradient in enumerate(([0.3, -1.0], [2.0, 0.1], [-0.5, 0.0]), start=1):
        for name, parameter in model.named_parameters():
            parameter.grad = torch.tensor([gradient], dtype=torch.float64)
            decay = 0.3 if name == "W_x" else 0.0
            for i, g in enumerate(gradient):
                first[name][i] = 0.8 * first[name][i] + 0.2 * g
                second[name][i] = 0.9 * second[name][i] + 0.1 * g * g
                mean, square = first[name][i] / (1 - 0.8**step), second[name][i] / (1 - 0.9**step)
                weights[name][i] *= 1 - 0.1 * decay
                weights[name][i] -= 0.1 * mean / (math.sqrt(square) + 1e-12)
        optimizer.step()
    assert model.W_x[0].tolist() == pytest.approx(weights["W_x"], rel=1e-12)
    assert model.b_x[0].tolist() == pytest.approx(weights["b_x"], rel=1e-12)
