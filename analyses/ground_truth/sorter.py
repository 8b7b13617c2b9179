"""The theoretical sorter: the smallest number at the end of the input, then the successor of every number written."""

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.ground_truth.canvas import Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.ground_truth.softmax import TEMPERED, Softmax
from analyses.ground_truth.sorting_logits import Code, check_code, min_table, successor_table
from analyses.heads import Head
from tasks.sorting import NumberTask, Sort

IDENTITY = 0.625
"""What the stream itself adds to the logit of the token that stands at a position; the successor must exceed it."""

SOURCE = "Task Hinting (arXiv 2310.00726), theory and section 5; the weights are ours"


def sorter(*, numbers: int = 50, softmax: Softmax = TEMPERED, code: Code = "relative") -> KnownCircuit:
    """Solves `sort` of distinct elements at every length up to `numbers`; no positions, 2 layers of 4 heads.

    Numbers are counted from 0 here, beta is the softmax's factor (times ln n if it is tempered).

    - `min`, 0.1: at `=`, number y has the logit -beta y; elsewhere the head reads the marker, of which it writes
      nothing. It writes the token that it reads to the answer's coordinates.
    - `successor`, 1.2: at number x, a number y > x has the logit -beta (y - x - 1) (code `relative`) or -beta y
      (`absolute`), `=` that of the number above all, everything else -2 beta `numbers`. It writes the token that it
      reads, and [EOS] for `=`. At `=` it reads the marker.
    - The unembedding adds 5/8 of the token itself, in units of `LOGIT`, the logit of a one in the stream: at a number
      the stream holds identity + successor, as the paper finds, and the attention's mass on the successor must be more
      than 5/8 to win.

    So the answer is right if both heads put more than 5/8 of their attention on their source (and hardly any on the
    token itself). The nearest other key has at most exp(-beta) of the source's attention, the next ones exp(-2 beta),
    and so on: the mass is at least 1 - exp(-beta), at any length, less what the keys at -2 beta `numbers` get.

    One softmax cannot weigh identity and successor alike, since the two may lie any distance apart: here identity comes
    by the residual stream. The paper's first layer also copies at earlier positions; this sorter does not need that.

    Args:
        numbers: How many numbers there are.
        softmax: The factor on the logits. With ln n, n counts the marker and `=`.
        code: How the successor's logits are written.

    Raises:
        UnknownNameError: No such code.
    """
    check_code(code)
    task = Sort(numbers=numbers, elements="distinct")
    size, least, successor = len(task.vocabulary), Head(0, 1), Head(1, 2)
    canvas = Canvas.blank(
        task,
        spaces={"answer": size},
        settings={
            "n_layers": 2, "n_heads": 4, "d_head": power_of_four(size), "temperature": softmax.temperature,
        },
    )  # fmt: skip
    draw_min(canvas, task, least, softmax)
    draw_successor(canvas, task, successor, softmax, code)
    canvas.read_out("answer", torch.eye(size))
    canvas.read_out("token", torch.eye(size) * IDENTITY)
    canvas.fill_idle([least, successor])
    name = "sorter" if softmax.temperature == "log_n" else "sorter_plain"
    heads = {"min": (least,), "successor": (successor,)}
    return KnownCircuit(name, canvas.model, task, tuple(range(1, numbers + 1)), heads, SOURCE)


def draw_min(canvas: Canvas, task: NumberTask, head: Head, softmax: Softmax) -> None:
    """Draws the head that reads the smallest number at `=`."""
    canvas.attend_by_token(head, min_table(task) * set_beta(canvas, head, softmax))
    canvas.move(head, _numbers_only(task), source="token", target="answer")


def draw_successor(canvas: Canvas, task: NumberTask, head: Head, softmax: Softmax, code: Code) -> None:
    """Draws the head that reads the next larger number, or `=` as [EOS]."""
    canvas.attend_by_token(head, successor_table(task, code=code) * set_beta(canvas, head, softmax))
    values = _numbers_only(task)
    values[canvas.token("="), canvas.token("[EOS]")] = 1
    canvas.move(head, values, source="token", target="answer")


def set_beta(canvas: Canvas, head: Head, softmax: Softmax) -> float:
    """What is left to multiply the head's logits by: beta, or 1 where its layer's own beta is set to it."""
    if softmax.temperature == "none":
        return softmax.beta
    with torch.no_grad():
        canvas.attention(head).beta.fill_(softmax.beta)
    return 1.0


def _numbers_only(task: NumberTask) -> Float[Tensor, "vocab vocab"]:
    values = torch.eye(len(task.vocabulary))
    values[task.numbers :] = 0
    return values
