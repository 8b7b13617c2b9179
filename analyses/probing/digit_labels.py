"""Labels of the addition family.

tokens     [reverse_add]  7  6  5  +  9  8  =  6  5  6  0  [EOS]      567 + 89: 7 + 9 = 16, 6 + 8 + 1 = 15, 5 + 1
carry_in         .        .  .  .  .  .  .  0  1  1  0  .    .
"""

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.probing.label import Label
from analyses.probing.token_labels import prompt_ends
from tasks import Batch, Task
from tasks.arithmetic.addition import AdditionTask


def carry_in(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """The carry into the digit of the sum that belongs to the place of the answer predicted next: 0 or 1.

    It has a value where the next token is a digit of the answer. The k-th digit of the answer belongs to the k-th place
    of the sum of both operands, whatever the task answers there.
    """
    tokens, device = batch.tokens, batch.tokens.device
    values = [int(token) if token in "0123456789" else -1 for token in task.vocabulary.tokens]
    digits = torch.tensor(values, device=device)[tokens]
    sign = (tokens == task.vocabulary.index["+"]).int().argmax(dim=1)
    start = (digits >= 0).int().argmax(dim=1)
    operands = ((start, sign), (sign + 1, prompt_ends(task, batch)))
    carry, carries = torch.zeros_like(sign), []
    for place in range(tokens.shape[1]):
        carries.append(carry)
        total = carry
        for first, end in operands:
            at = first + place
            digit = digits.gather(1, at.clamp(max=tokens.shape[1] - 1)[:, None])[:, 0]
            total = total + torch.where(at < end, digit, 0)
        carry = (total > 9).long()
    into = torch.stack(carries, dim=1)
    answered = batch.scored & (digits >= 0)
    place = (torch.arange(tokens.shape[1], device=device) - batch.scored.int().argmax(dim=1)[:, None]).clamp(min=0)
    found = torch.where(answered, into.gather(1, place), -1)
    return torch.nn.functional.pad(found[:, 1:], (0, 1), value=-1)


DIGIT_LABELS = (
    Label("carry_in", "the carry into the place of the sum that is predicted next, at the answer", carry_in,
          (AdditionTask,)),
)  # fmt: skip
