"""Named streams of random numbers: initial weights, training data, test data never share one."""

import hashlib

import torch


def named_generator(seed: int, *names: str | int) -> torch.Generator:
    """A generator (on the CPU) that depends on the seed and on every name, and on nothing else.

    Two streams with different names are independent however close their seeds, and a stream can be entered anywhere:
    the training data of step 4,711 come from `named_generator(seed, "train", 4711)`, whatever was drawn before.
    """
    text = "/".join(str(part) for part in (seed, *names))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
    return torch.Generator().manual_seed(number)
