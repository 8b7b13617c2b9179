"""The sorter for elements that may repeat: it also counts how often a number was written already."""

import torch

from analyses.ground_truth.canvas import CONSTANT, Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.ground_truth.softmax import Softmax
from analyses.ground_truth.sorter import SOURCE, draw_min, draw_successor, set_beta
from analyses.heads import Head
from tasks.sorting import NumberTask, Sort

SHARP = Softmax("log_n", 2.0)
"""c copies against n^2 to 1 between neighbouring numbers."""

_FAR = 80.0
"""The logit between a symbol that is looked for and all others: exp(-40) of the attention is left to each."""


def sorter_repeats(*, numbers: int = 50, longest: int = 60, softmax: Softmax = SHARP) -> KnownCircuit:
    """Solves `sort` of any elements at every length up to `longest`; no positions, 2 layers of 4 heads, one MLP.

    Two heads are those of `sorter`: `min`, 0.1, and `successor`, 1.2, which read all copies of a number alike. What
    repeats need besides is whether number x, just written for the k-th time, stands in the input c > k times:

    - `delimiter`, 0.3: attends to `=` where it is visible, else to the marker, and writes 1 to `after` for `=`.
    - MLP 0: relu(token y + after - 1) is 1 in coordinate y of `written` where y stands behind `=`.
    - `answer_copy`, 1.0: at number x attends to all c + k places that hold x, alike, with the value +1 for those in the
      input and -1 for those behind `=` (token y - 2 written y): it writes K (c - k) / (c + k) for x.
    - The unembedding takes K / (4 `longest`) of the token itself away. With K = 8 `longest` the logit of x, in
      units of `LOGIT`, is -2 where k = c, and at least K / (2 c - 1) - 2 > 2 where k < c; the successor's is at most 1.

    So depth 2 and one MLP are enough for repeats. In exact arithmetic k = c - 1 and k = c differ by 1 / (2 c - 1) in
    what the head reads; as all it reads is weighed alike, rounding the weights need not blur that: the model in
    bfloat16 sorts 1,000 elements of 2 numbers (docs/results/theory.md).

    Args:
        numbers: How many numbers there are.
        longest: The longest sequence; the threshold depends on it.
        softmax: The factor on the logits. c copies of the next larger number compete with one of the smallest, so it
            must be more than ln c: beta ln n with beta > 1 is, at any length; a fixed one is up to exp(beta) copies.
    """
    task = Sort(numbers=numbers)
    size, least, find, copy, successor = len(task.vocabulary), Head(0, 1), Head(0, 3), Head(1, 0), Head(1, 2)
    canvas = Canvas.blank(
        task,
        spaces={"answer": size, "after": 1, "written": numbers, "more": numbers},
        settings={
            "n_layers": 2, "n_heads": 4, "d_head": power_of_four(size), "d_mlp": numbers,
            "temperature": softmax.temperature,
        },
    )  # fmt: skip
    draw_min(canvas, task, least, softmax)
    draw_successor(canvas, task, successor, softmax, "relative")
    canvas.attend_to_symbols(find, {"=": _FAR, task.marker: _FAR / 2})
    found = torch.zeros(size, 1)
    found[canvas.token("=")] = 1
    canvas.move(find, found, source="token", target="after")
    _mark_written(canvas, numbers)
    _draw_copy(canvas, task, copy, scale=8.0 * longest)
    set_beta(canvas, copy, softmax)
    _read_out(canvas, numbers)
    canvas.fill_idle([least, find, copy, successor])
    heads = {"min": (least,), "successor": (successor,), "answer_copy": (copy,), "delimiter": (find,)}
    lengths = tuple(range(1, longest + 1))
    return KnownCircuit("sorter_repeats", canvas.model, task, lengths, heads, SOURCE)


@torch.no_grad()
def _mark_written(canvas: Canvas, numbers: int) -> None:
    """MLP 0: which number stands behind `=`."""
    mlp = canvas.model.blocks[0].mlp
    for number in range(numbers):
        mlp.W_in[canvas.at("token", number), number] = 1
        mlp.W_in[canvas.at("after"), number] = 1
        mlp.W_in[0, number] = -1 / CONSTANT
        mlp.W_out[number, canvas.at("written", number)] = 1


@torch.no_grad()
def _draw_copy(canvas: Canvas, task: NumberTask, head: Head, *, scale: float) -> None:
    """The head that weighs how often its number stands in the input against how often behind it."""
    numbers, size = task.numbers, len(task.vocabulary)
    alike = torch.full((size, size), -_FAR)
    alike.fill_diagonal_(0)
    canvas.attend_by_token(head, alike)
    canvas.move(head, torch.eye(size)[:, :numbers] * scale, source="token", target="more")
    attention = canvas.attention(head)
    for number in range(numbers):
        attention.W_V[head.head, canvas.at("written", number), number] = -2 * scale


def _read_out(canvas: Canvas, numbers: int) -> None:
    """Logits: the answer, what is to be written once more, less the threshold."""
    size = len(canvas.model.vocabulary)
    canvas.read_out("answer", torch.eye(size))
    canvas.read_out("more", torch.eye(size)[:numbers])
    threshold = torch.zeros(size, size)
    threshold[:numbers, :numbers] = -2 * torch.eye(numbers)
    canvas.read_out("token", threshold)
