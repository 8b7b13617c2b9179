"""A model that names the smallest number, by one head at the end of the input."""

import torch

from analyses.ground_truth.canvas import Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.ground_truth.sorting_logits import min_table
from analyses.heads import Head
from tasks.sorting import Min


def min_head(*, numbers: int = 50, beta: float = 10.0) -> KnownCircuit:
    """Solves `min` at every length below exp(beta) numbers; no positions, 1 layer of 4 heads.

    `min`, 0.2: at `=`, number y has the logit -beta y, so c copies of the smallest have at least c exp(beta) times the
    attention of one number that is larger, and its token is the most probable as long as no larger number stands
    c exp(beta) times. Elsewhere the head attends to the marker, of which it writes nothing. A number is followed by
    [EOS]: the unembedding reads that off the token, and 1/4 of `=` itself, so that no number wins by default.

    Source: our construction of what Task Hinting, section 5, finds in the first attention layer at the end of input.
    """
    task = Min(numbers=numbers)
    size, head = len(task.vocabulary), Head(0, 2)
    canvas = Canvas.blank(
        task,
        spaces={"answer": size},
        settings={"n_layers": 1, "n_heads": 4, "d_head": power_of_four(size)},
    )
    canvas.attend_by_token(head, min_table(task) * beta)
    values = torch.eye(size)
    values[numbers:] = 0
    canvas.move(head, values, source="token", target="answer")
    canvas.read_out("answer", torch.eye(size))
    follows = torch.zeros(size, size)
    follows[:numbers, canvas.token("[EOS]")] = 1
    follows[canvas.token("="), canvas.token("=")] = 0.25
    canvas.read_out("token", follows)
    canvas.fill_idle([head])
    return KnownCircuit("min_head", canvas.model, task, tuple(range(1, 65)), {"min": (head,)}, "our construction")
