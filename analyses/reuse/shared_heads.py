"""Which heads matter to both of two tasks, and where they look on matched prompts."""

import numpy as np
import torch

from analyses.effects import HeadEffects
from analyses.heads import Head, check_heads
from analyses.transfer.study_results import AttentionExample
from tasks import Batch, InvalidValueError, Task
from training import HookedTransformer


def top_shared_heads(first: HeadEffects, second: HeadEffects, *, k: int) -> list[Head]:
    """The k heads with the greatest min(effect on one task, effect on the other), those above 0 only, greatest first.

    The minimum asks both tasks to need the head; effects must be in one metric, hence one unit.

    Raises:
        InvalidValueError: Effects of different heads, in different metrics, or of a joint set.
    """
    if first.sets != second.sets or first.metric != second.metric:
        raise InvalidValueError("shared heads need the effects of the same heads in the same metric for both tasks")
    if any(len(heads) > 1 for heads in first.sets):
        raise InvalidValueError("shared heads need maps of single heads, not of a joint set; ablate the heads singly")
    least = torch.minimum(first.effects.mean(dim=1), second.effects.mean(dim=1))
    order = least.argsort(descending=True, stable=True).tolist()
    return [first.sets[place][0] for place in order[:k] if least[place] > 0]


@torch.inference_mode()
def attention_example(model: HookedTransformer, task: Task, batch: Batch, head: Head) -> AttentionExample:
    """Where a head looks while an example is read, every position a query.

    Args:
        model: The model.
        task: The task, bound to the model's vocabulary.
        batch: The example: a batch of one.
        head: The head.

    Raises:
        InvalidValueError: The batch is not one example, or the model has no such head.
    """
    check_heads([head], model.config)
    if len(batch) != 1:
        raise InvalidValueError(f"an attention pattern is that of one example. Got {len(batch)}; pass batch[:1]")
    tokens = batch.inputs.to(model.device)
    name = f"blocks.{head.layer}.attn.hook_pattern"
    _, cache = model.run_with_cache(tokens, names_filter=name, return_cache_object=False)
    pattern = cache[name][0, head.head].float().cpu().numpy().astype(np.float32)
    return AttentionExample(task.name, task.vocabulary.split(tokens[0]), head.layer, head.head, pattern)
