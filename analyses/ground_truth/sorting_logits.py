"""The attention logits by which the constructed sorter finds the smallest number and the next larger one."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tasks.errors import unknown_name
from tasks.sorting import NumberTask

Code = Literal["relative", "absolute"]
"""How the successor's logits are written for the query x and a key y > x.

`relative`: -(y - x - 1). The successor's own logit is nearly 0, where floating point is finest.
`absolute`: -y. The logits of large numbers are large, and b bits tell only 2^b of them apart.
"""


def check_code(code: str) -> None:
    """Raises UnknownNameError unless there is such a code."""
    if code not in get_args(Code):
        raise unknown_name("code", code, get_args(Code), listing="the codes are relative and absolute")


def successor_logits(
    query: Int[Tensor, "*#batch"], key: Int[Tensor, "*#batch"], *, numbers: int, code: Code
) -> Float[Tensor, "*batch"]:
    """The logits for number `query` and number `key`, both counted from 0; float64.

    Keys that are not larger have -2 * numbers. The key `numbers`, larger than all, stands for `=`, which is read when
    the query is the largest element.
    """
    apart = query + 1 if code == "relative" else torch.zeros_like(query)
    return torch.where(key > query, apart - key, -2 * numbers).double()


def min_logits(key: Int[Tensor, "*batch"], *, numbers: int) -> Float[Tensor, "*batch"]:
    """The logits for the query `=`: -y for number y from 0, -2 * numbers for what is no number (below 0, or above)."""
    return torch.where((key >= 0) & (key < numbers), -key, -2 * numbers).double()


def min_table(task: NumberTask) -> Float[Tensor, "vocab vocab"]:
    """`min_logits` by token; queries other than `=` read the marker."""
    table = _reads_marker(task)
    table[task.vocabulary.index["="]] = min_logits(_values(task), numbers=task.numbers)
    return table


def successor_table(task: NumberTask, *, code: Code) -> Float[Tensor, "vocab vocab"]:
    """`successor_logits` by token; queries other than numbers read the marker."""
    table, values = _reads_marker(task), _values(task)
    table[: task.numbers] = successor_logits(
        values[: task.numbers, None], values[None], numbers=task.numbers, code=code
    )
    return table


def _values(task: NumberTask) -> Int[Tensor, " vocab"]:
    """Each token's number from 0; `=` above all, other tokens below."""
    values = torch.full((len(task.vocabulary),), -1)
    values[: task.numbers] = torch.arange(task.numbers)
    values[task.vocabulary.index["="]] = task.numbers
    return values


def _reads_marker(task: NumberTask) -> Float[Tensor, "vocab vocab"]:
    table = torch.full((len(task.vocabulary),) * 2, -2.0 * task.numbers, dtype=torch.float64)
    table[:, task.vocabulary.index[task.marker]] = 0
    return table
