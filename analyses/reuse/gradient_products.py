"""Products of gradients of tasks' losses with respect to a model's weights, each of a group of examples."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analyses.attribution.parts import gradient_tokens
from analyses.examples import Examples, Running
from analyses.metrics import Reading, get_metric, measured
from tasks import Batch
from training import HookedTransformer


@torch.inference_mode(mode=False)
def gradient_products(
    model: HookedTransformer, tasks: Sequence[Examples], *, groups: int, running: Running
) -> dict[int | None, Float[np.ndarray, "gradient gradient"]]:
    """The product of every two gradients of groups of examples.

    A gradient is that of a group's mean loss, nats per scored token. All of them are held at once.

    Args:
        model: The model, with nothing hooked to it. It is left as it was.
        tasks: The examples of some tasks, as many of each, whose number the groups divide.
        groups: How many groups each task's examples are taken in, in their order.
        running: How the work is divided and followed (in examples of all tasks).

    Returns:
        Products of gradients with respect to all parameters (under None) and to those of each layer; the first task's
        groups come first. In float64.

    Raises:
        InvalidValueError: A loss that is not finite.
    """
    names, parameters = zip(*model.named_parameters(), strict=True)
    size, gradients = len(tasks[0]) // groups, []
    with _asked(parameters):
        for examples in tasks:
            for start in range(0, len(examples), size):
                gradients.append(_gradient(model, examples, range(start, start + size), parameters, running))
                running.on_done(len(gradients) * size, len(tasks) * len(examples))
    found: dict[int | None, np.ndarray] = {
        layer: np.zeros((len(gradients),) * 2) for layer in (None, *range(model.config.n_layers))
    }
    for name, parts in zip(names, zip(*gradients, strict=True), strict=True):
        vectors = torch.stack([part.flatten() for part in parts]).double()
        products = (vectors @ vectors.T).cpu().numpy()
        found[None] += products
        if name.startswith("blocks."):
            found[int(name.split(".")[1])] += products
    return found


@contextmanager
def _asked(parameters: Sequence[Tensor]) -> Generator[None, None, None]:
    """Parameters that a gradient can be asked of, frozen ones as well, for as long as the context lasts."""
    before = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_()
        with torch.enable_grad():
            yield
    finally:
        for parameter, asked in zip(parameters, before, strict=True):
            parameter.requires_grad_(asked)


def _gradient(
    model: HookedTransformer, examples: Examples, rows: range, parameters: Sequence[Tensor], running: Running
) -> list[Tensor]:
    """The gradient of some examples' mean loss with respect to each parameter; nothing is left on the parameters."""
    step = max(1, gradient_tokens(model, running, senders=0) // examples.width)
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for start in rows[::step]:
        chosen = examples.clean[start : min(start + step, rows.stop)]
        # Copies: what was made in inference mode cannot take part in a gradient.
        batch = Batch(chosen.tokens.clone(), chosen.scored.clone()).to(model.device)
        logits = model.scored_logits(batch.inputs, batch.predicting, task=examples.task_head)
        losses = measured([get_metric("nll")], logits, Reading(batch), first=start)[0]
        parts = torch.autograd.grad(losses.sum() / len(rows), parameters, allow_unused=True, materialize_grads=True)
        for one, part in zip(total, parts, strict=True):
            one += part
    return total
