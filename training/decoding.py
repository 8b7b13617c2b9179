"""Greedy decoding with a key-value cache: each token is read once."""

import torch
from jaxtyping import Int
from torch import Tensor

from tasks import InvalidValueError
from training.model import HookedTransformer, KeyValueCache


@torch.inference_mode()
def greedy_decode(
    model: HookedTransformer, prompts: Int[Tensor, "batch pos"], *, steps: int, task: int = 0
) -> Int[Tensor, "batch steps"]:
    """Continues each prompt with the most probable token, `steps` times.

    Evaluation does not need it, since exact match follows from one forward pass (`training.evaluate`); it serves where
    the text itself is wanted, and as the proof of that equivalence.

    Args:
        model: The model.
        prompts: Prompts of one length, on the model's device.
        steps: How many tokens to write.
        task: Which unembedding to use, if the model has one for each task.

    Returns:
        The tokens written, without the prompt. Of equally probable tokens the one with the lowest id is taken.

    Raises:
        InvalidValueError: `steps` is negative, the prompts are empty, or the model has a learned position table and
            the text outgrows it.
    """
    if steps < 0:
        raise InvalidValueError(f"steps = {steps} tokens cannot be written; allowed is 0 or more")
    cache = KeyValueCache.empty(model.config.n_layers)
    written = [prompts[:, :0]]
    for _ in range(steps):
        tokens = written[-1] if cache.length else prompts
        last = model.residual(tokens, past=cache)[:, -1]
        written.append(model.logits(last, task=task).argmax(dim=-1, keepdim=True))
    return torch.cat(written, dim=1)
