"""A model that recalls what followed a letter, by a previous-token head and an induction head."""

import torch

from analyses.ground_truth.canvas import CONSTANT, Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.heads import Head
from tasks import get_task

_MATCH, _EARLIER = 1024.0, 12.0
"""The logit of a key behind the letter asked about, and what each place costs: of several, the first one is read."""


def induction_pair(*, alphabet: int = 8, longest: int = 12, queries: int = 4) -> KnownCircuit:
    """Solves `mqar` with queries of one letter at lengths 2 to `longest`; positions are learned, 2 layers of 4 heads.

    - `previous_token`, 0.3: position p attends to p - 1, by the logit beta (2 k t - k^2), and writes the token there to
      the coordinates `previous`.
    - `induction`, 1.1: a position that holds letter q attends to the first position k whose `previous` is q (logit
      1024 [previous_k = q] - 12 k; this is the K-composition) and writes the token at k as the answer. Later
      occurrences of q keep exp(-12) of the attention or less.

    Source: the pair is Elhage et al., A Mathematical Framework for Transformer Circuits (2021), induction heads; that
    the first occurrence is read, not the mean over all, is what `mqar` asks for.
    """
    task = get_task("mqar", alphabet=alphabet, case="lower", query=1, queries=queries)
    size, previous, induction = len(task.vocabulary), Head(0, 3), Head(1, 1)
    places = longest + 2 + 3 * queries
    canvas = Canvas.blank(
        task,
        spaces={"previous": size, "answer": size},
        settings={"n_layers": 2, "n_heads": 4, "d_head": power_of_four(size + 1), "n_ctx": places},
    )
    canvas.attend_to_place(previous, [("place", 1), ("constant", -1)], beta=16.0)
    canvas.move(previous, torch.eye(size), source="token", target="previous")
    attention = canvas.attention(induction)
    with torch.no_grad():
        attention.W_Q[induction.head, canvas.slice("token"), :size] = torch.eye(size) * _MATCH * canvas.root
        attention.W_K[induction.head, canvas.slice("previous"), :size] = torch.eye(size)
        attention.W_Q[induction.head, 0, size] = canvas.root / CONSTANT
        attention.W_K[induction.head, canvas.at("place"), size] = -_EARLIER
    canvas.move(induction, torch.eye(size), source="token", target="answer")
    canvas.read_out("answer", torch.eye(size))
    canvas.fill_idle([previous, induction])
    heads = {"previous_token": (previous,), "induction": (induction,)}
    source = "Elhage et al., A Mathematical Framework for Transformer Circuits (2021), induction heads"
    return KnownCircuit("induction_pair", canvas.model, task, tuple(range(2, longest + 1)), heads, source)
