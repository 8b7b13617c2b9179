"""A model that computes carries: the nearest earlier pair of digits whose sum is not 9 decides."""

import torch

from analyses.ground_truth.canvas import CONSTANT, Canvas, power_of_four
from analyses.ground_truth.known import KnownCircuit
from analyses.heads import Head
from tasks import get_task

_NEARER, _NEVER = 20.0, 1024.0
"""What each place nearer adds to the carry head's logit, and what a place takes from it that must not be read."""

_SUMS = (8.0, 9.0, 10.0)
"""relu(s - 8), relu(s - 9) and relu(s - 10) tell of a whole sum s whether it is 9, and whether it is 10 or more."""


def carry_circuit(*, longest: int = 5) -> KnownCircuit:
    """Solves `carry_only` for operands of equal length, up to `longest` digits; positions are learned, 3 layers.

    With the marker at position 0, digit j of the first operand stands at 1 + j, `+` at L + 1, digit j of the second at
    L + 2 + j, `=` at 2 L + 2, and the carry into place i is predicted at position p = 2 L + 2 + i. Let t = p - (L + 1).
    At the second operand's digit j, t is where the first operand's digit j stands; at the position that predicts the
    carry into place i, t is where the second operand's digit i - 1 stands, or `+` for i = 0, or `=` for the end.

    - `delimiter`, 0.2: attends to `+` and writes its place, L + 1, to `found` (0 before it).
    - `digit_pair`, 1.1: attends to position t and adds the digit there to the one that stands at p: at the second
      operand's digits, the sum of the pair.
    - MLP 1: `nine` = [sum = 9], `ten` = [sum >= 10], and `steps`, a staircase: step k = [t >= k].
    - `carry`, 2.3: attends to the last position up to t whose sum is not 9, by the logit
      20 k + 1024 [t >= k] - 1024 nine_k. From a pair it reads whether its sum is 10 or more; `+`, which no pair before
      it outranks, holds 0; `=` is written as [EOS].

    A carry chain of any length takes one step, since the head passes over the nines. Operands of different lengths,
    which tests do not have, are not solved.

    Source: our construction; that the nearest sum other than 9 decides is arithmetic.
    """
    task = get_task("carry_only")
    find, pair, carry = Head(0, 2), Head(1, 1), Head(2, 3)
    places = 3 * longest + 4
    canvas = Canvas.blank(
        task,
        spaces={"at": places, "digit": 1, "found": 1, "nine": 1, "ten": 1, "steps": places, "zero": 1, "one": 1,
                "end": 1},
        settings={"n_layers": 3, "n_heads": 4, "d_head": power_of_four(places + 1), "n_ctx": places,
                  "d_mlp": len(_SUMS) + places + 1},
    )  # fmt: skip
    with torch.no_grad():
        canvas.model.pos_embed.W_pos[:, canvas.slice("at")] = torch.eye(places)
        for digit in range(10):
            canvas.model.embed.W_E[canvas.token(str(digit)), canvas.at("digit")] = digit
    canvas.attend_to_symbols(find, {"+": 80.0, task.marker: 40.0})
    canvas.move(find, torch.ones(1, 1), source="place", target="found")
    canvas.attend_to_place(pair, [("place", 1), ("found", -1)], beta=16.0)
    canvas.move(pair, torch.ones(1, 1), source="digit", target="digit")
    _look_at_sums(canvas)
    _draw_carry(canvas, carry)
    for name, symbol, weight in (("zero", "0", 1.0), ("one", "1", 2.0), ("end", "[EOS]", 4.0)):
        canvas.read_out(name, weight * torch.eye(len(task.vocabulary))[[canvas.token(symbol)]])
    canvas.fill_idle([find, pair, carry])
    heads = {"carry": (carry,), "digit_pair": (pair,), "delimiter": (find,)}
    lengths = tuple(range(1, longest + 1))
    return KnownCircuit("carry_circuit", canvas.model, task, lengths, heads, "our construction")


@torch.no_grad()
def _look_at_sums(canvas: Canvas) -> None:
    """MLP 1: whether the sum is 9, or 10 and more; and which positions are not behind t."""
    mlp = canvas.model.blocks[1].mlp
    for neuron, least in enumerate(_SUMS):
        mlp.W_in[canvas.at("digit"), neuron] = 1
        mlp.W_in[0, neuron] = -least / CONSTANT
    mlp.W_out[: len(_SUMS), canvas.at("nine")] = torch.tensor([1.0, -2.0, 1.0])
    mlp.W_out[: len(_SUMS), canvas.at("ten")] = torch.tensor([0.0, 1.0, -1.0])
    places = len(canvas.ranges["steps"])
    for step in range(places + 1):  # neuron: relu(t - step + 1)
        neuron = len(_SUMS) + step
        mlp.W_in[canvas.at("place"), neuron] = 1
        mlp.W_in[canvas.at("found"), neuron] = -1
        mlp.W_in[0, neuron] = (1 - step) / CONSTANT
        if step < places:
            mlp.W_out[neuron, canvas.at("steps", step)] = 1
        if step:
            mlp.W_out[neuron, canvas.at("steps", step - 1)] = -1


@torch.no_grad()
def _draw_carry(canvas: Canvas, head: Head) -> None:
    """The head that reads the last position up to t whose sum is not 9."""
    attention, places = canvas.attention(head), len(canvas.ranges["at"])
    attention.W_Q[head.head, canvas.slice("steps"), :places] = torch.eye(places) * _NEVER * canvas.root
    attention.W_K[head.head, canvas.slice("at"), :places] = torch.eye(places)
    attention.W_Q[head.head, 0, places] = canvas.root / CONSTANT
    attention.W_K[head.head, canvas.at("place"), places] = _NEARER
    attention.W_K[head.head, canvas.at("nine"), places] = -_NEVER
    attention.W_V[head.head, 0, 0] = 1 / CONSTANT
    attention.W_V[head.head, canvas.at("ten"), 1] = 1
    attention.W_V[head.head, canvas.at("token", canvas.token("=")), 2] = 1
    for place, name in enumerate(("zero", "one", "end")):
        attention.W_O[head.head, place, canvas.at(name)] = 1
