"""The steps of L-BFGS: the inverse Hessian against dense BFGS in numpy, and the line search on known objectives."""

import numpy as np
import pytest
import torch
from torch import Tensor

from analyses.probing.line_search import Line, normalised, search
from analyses.probing.memory import STEPS, Memory


def halved(gradient: Tensor) -> Tensor:
    return gradient / 2


def dense(steps: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """BFGS's inverse Hessian, update by update (Nocedal and Wright 2006, equation 6.17), from a scaled start."""
    step, change = steps[-1], changes[-1]
    inverse = np.eye(steps.shape[1]) / 2 * (step @ change) / (change @ change / 2)
    for step, change in zip(steps, changes, strict=True):
        rho = 1 / (step @ change)
        left = np.eye(len(step)) - rho * np.outer(step, change)
        inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    return inverse


@pytest.mark.parametrize("count", [1, 3, STEPS + 2])
def test_memory_is_bfgs_of_the_last_steps(count: int) -> None:
    random = np.random.default_rng(count)
    root = random.normal(size=(6, 6))
    steps = random.normal(size=(count, 6))
    changes = steps @ (root @ root.T + np.eye(6))
    memory = Memory(halved)
    for step, change in zip(steps, changes, strict=True):
        memory.add(*(torch.from_numpy(one).view(1, 2, 3) for one in (step, change)))
    gradient = random.normal(size=6)
    found = memory.times(torch.from_numpy(gradient).view(1, 2, 3))
    np.testing.assert_allclose(found.flatten().numpy(), dense(steps[-STEPS:], changes[-STEPS:]) @ gradient, rtol=1e-8)


def test_rebased_memory_is_bfgs_from_another_start() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6))
    steps = random.normal(size=(4, 6))
    changes = steps @ (root @ root.T + np.eye(6))
    memory = Memory(lambda gradient: gradient * torch.arange(1.0, 7).view(1, 2, 3))
    for step, change in zip(steps, changes, strict=True):
        memory.add(*(torch.from_numpy(one).view(1, 2, 3) for one in (step, change)))
    gradient = torch.from_numpy(random.normal(size=6)).view(1, 2, 3)
    memory.rebase(halved, like=gradient)
    found = memory.times(gradient).flatten().numpy()
    np.testing.assert_allclose(found, dense(steps, changes) @ gradient.flatten().numpy(), rtol=1e-8)


def test_a_probe_that_has_not_moved_learns_nothing() -> None:
    # The first of two probes rests: it keeps H_0, and the second is as it would be alone.
    both, alone = Memory(halved), Memory(halved)
    step, change = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[2.0, 3.0]]])
    both.add(torch.cat([torch.zeros_like(step), step]), torch.cat([torch.zeros_like(step), change]))
    alone.add(step, change)
    gradient = torch.tensor([[[1.0, -1.0]]])
    found = both.times(torch.cat([gradient, gradient]))
    torch.testing.assert_close(found[:1], gradient / 2)
    torch.testing.assert_close(found[1:], alone.times(gradient))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_step_fits_whatever_the_direction_is_long(scale: float) -> None:
    # Two examples of two classes; 3 of 4 say class 0. Along (1, -1) the mean loss falls up to where its logit is ln 3.
    logits = torch.zeros(1, 2, 4)
    change = scale * torch.tensor([[[0.5], [-0.5]]]).expand(1, 2, 4)
    right = torch.full((1, 1, 1), scale * (3 * 0.5 - 0.5) / 4)
    nothing = torch.zeros(1, 1, 1)
    loss, _ = normalised(logits)
    line = Line(logits, change, right, nothing, nothing)
    slope = line.at(nothing)[1]
    assert float(slope) == pytest.approx(-0.25 * scale)  # p = 1/2 against 3/4
    steps, partition, probabilities = search(line, torch.tensor([True]), loss=loss, slope=slope)
    reached = scale * float(steps)
    assert 0 < reached < 2.5  # the loss is that of logit 0 again at 2.3 or so; it has fallen
    before, after = np.log(2), np.log(1 + np.exp(-reached)) * 0.75 + np.log(1 + np.exp(reached)) * 0.25
    assert after < before
    assert float(probabilities[0, 0, 0]) == pytest.approx(1 / (1 + np.exp(-reached)), rel=1e-5)
    assert float(partition) - float(steps * right) == pytest.approx(after, rel=1e-5)


def test_probes_that_rest_stay() -> None:
    logits = torch.zeros(2, 2, 3)
    nothing = torch.zeros(2, 1, 1)
    change = torch.ones(2, 2, 3) * torch.tensor([1.0, -1.0])[:, None]
    line = Line(logits, change, nothing + 1.0, nothing, nothing)
    steps, _, _ = search(line, torch.tensor([False, True]), loss=normalised(logits)[0], slope=nothing - 1.0)
    assert float(steps[0]) == 0
    assert float(steps[1]) > 0
