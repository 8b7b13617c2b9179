"""Where the work is done: on the processor or on a GPU."""

from collections.abc import Callable, Collection
from typing import Literal

import torch

from tasks import Batch, InvalidValueError, Pair

Device = Literal["cpu", "cuda"]

ON_CUDA = ("ablation", "patching", "attribution")
"""The rows that can be measured on a GPU: the others time loops and peers that are written for the processor."""


def check_device(device: Device, rows: Collection[str]) -> None:
    """Raises InvalidValueError unless torch finds the device, and these rows can be measured there."""
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise InvalidValueError("device 'cuda' was asked for, but torch finds no GPU here; choose --device cpu")
    others = [row for row in rows if row not in ON_CUDA]
    if others:
        raise InvalidValueError(
            f"device 'cuda' was asked for {', '.join(others)}, but only {', '.join(ON_CUDA)} are measured there; "
            f"choose --rows {' '.join(ON_CUDA)}"
        )


def wait_for(device: Device) -> None:
    """Returns when all work that was given to the device is done; a GPU does it after the call that asks for it."""
    if device == "cuda":
        torch.cuda.synchronize()


def pair_on(pair: Pair, device: Device) -> Pair:
    """The same pair on a device."""
    sides: tuple[Batch, Batch] = (pair.clean.to(torch.device(device)), pair.counterfactual.to(torch.device(device)))
    return Pair(*sides)


def cuda_peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that tensors held at one time on the GPU during the work, beyond those held before it."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
