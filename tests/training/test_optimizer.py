"""Schedule, AdamW and averaged weights against numbers worked out by hand or in plain Python."""

import math

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


def test_schedule_without_warmup_or_decay_is_constant() -> None:
    config = OptimizerConfig(steps=5, learning_rate=0.3, warmup=0, decay=0.0)
    assert [learning_rate(step, config) for step in range(5)] == [0.3] * 5


def test_a_run_shorter_than_its_warmup_never_leaves_it() -> None:
    config = OptimizerConfig(steps=3, learning_rate=1.0, warmup=10, decay=0.5)
    assert [learning_rate(step, config) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_average_by_hand() -> None:
    model = Pair()
    averaged = AveragedWeights.of(model, decay=0.15)
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
    make_optimizer(model, OptimizerConfig(steps=1, learning_rate=0.5, weight_decay=0.2)).step()
    found = {name: set(parameter.flatten().tolist()) for name, parameter in model.named_parameters()}
    decayed = {name for name, values in found.items() if values != {1.0}}
    assert decayed == {name for name in found if name.rpartition(".")[2].startswith("W_")}
    # A gradient of zero leaves the decay alone: 1 - 0.5 * 0.2.
    assert all(value == pytest.approx(0.9) for name in decayed for value in found[name])
    assert {"blocks.0.attn.b_Q", "blocks.0.attn.beta", "blocks.0.ln1.b", "ln_final.w", "unembed.b_U"} <= set(found)


def test_three_steps_equal_adamw_in_plain_python() -> None:
    config = OptimizerConfig(steps=3, learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.9)
    model = Pair().double()
    optimizer = make_optimizer(model, config)
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
