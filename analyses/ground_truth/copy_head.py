"""A model that copies a word, by one head that reads a fixed distance back."""

import torch

from analyses.ground_truth.canvas import Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.heads import Head
from tasks import get_task

_BETA = 16.0
"""The neighbours of the source keep 2e-7 of the attention."""


def copy_head(*, alphabet: int = 6, longest: int = 12) -> KnownCircuit:
    """Solves `copy` at every length up to `longest`; positions are learned, 2 layers of 4 heads.

    The letter that answer position p must predict stands L places back, L the length: with the marker at position 0,
    the letters stand at 1 to L, `=` at L + 1, and `=` itself predicts the first letter. So

    - `delimiter`, 0.1: attends to `=` where that is visible (else to the marker, whose place is 0) and writes its
      place, L + 1, to the coordinate `found`;
    - `offset_copy`, 1.2: attends to the position p - found + 1 = p - L, by the logit beta (2 k t - k^2), and writes the
      token there to the answer's coordinates. L places before the last answer position stands `=`, which is written
      as [EOS].

    Source: our construction; the nearest key by a quadratic logit is folklore.
    """
    task = get_task("copy", alphabet=alphabet, case="lower")
    size, find, copy = len(task.vocabulary), Head(0, 1), Head(1, 2)
    canvas = Canvas.blank(
        task,
        spaces={"found": 1, "answer": size},
        settings={"n_layers": 2, "n_heads": 4, "d_head": power_of_four(size), "n_ctx": 2 * longest + 2},
    )
    canvas.attend_to_symbols(find, {"=": 80.0, task.marker: 40.0})
    canvas.move(find, torch.ones(1, 1), source="place", target="found")
    canvas.attend_to_place(copy, [("place", 1), ("found", -1), ("constant", 1)], beta=_BETA)
    values = torch.eye(size)
    values[canvas.token("=")] = 0
    values[canvas.token("="), canvas.token("[EOS]")] = 1
    canvas.move(copy, values, source="token", target="answer")
    canvas.read_out("answer", torch.eye(size))
    canvas.fill_idle([find, copy])
    heads = {"offset_copy": (copy,), "delimiter": (find,)}
    lengths = tuple(range(1, longest + 1))
    return KnownCircuit("copy_head", canvas.model, task, lengths, heads, "our construction")
