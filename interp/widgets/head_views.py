"""What a head looks at and what it argues for: attention patterns on matched prompts, and the OV circuit's read-out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from analyses.heads import Head
from analyses.primitives.write_evidence import ReadOut, bare_inputs
from analyses.reuse.two_tasks import TwoTasks
from analyses.transfer.study_results import AttentionExample
from interp.widgets.question import Exploring
from tasks import Batch, InvalidValueError, Task
from training import HookedTransformer, named_generator

MOST_TOKENS = 40
"""More tokens than that are not shown in a read-out: their names would not be legible."""


@dataclass(frozen=True)
class PromptPatterns:
    """Where every head looks on one example.

    Attributes:
        task: The task's name.
        tokens: The tokens read.
        patterns: Attention weights; each row sums to 1.
    """

    task: str
    tokens: tuple[str, ...]
    patterns: Float[np.ndarray, "layer head query key"]

    def of(self, head: Head) -> AttentionExample:
        """Where one head looks."""
        return AttentionExample(self.task, self.tokens, head.layer, head.head, self.patterns[head.layer, head.head])


@dataclass(frozen=True)
class Prompts:
    """An example of each task.

    Attributes:
        first: Of the first task.
        second: Of the second.
        aligned: Whether both have the same prompt at the same positions.
    """

    first: PromptPatterns
    second: PromptPatterns
    aligned: bool


@dataclass(frozen=True)
class ReadOutMap:
    """What a head argues for, for each token that it may read.

    Attributes:
        tokens: The tokens.
        logits: What reading a token [row] adds to each token's logit [column], less the mean over all tokens, for
            attention 1 to it; up to the final norm's scale, so only the ratios count.
        left_out: How many of the tasks' tokens are not shown.
    """

    tokens: tuple[str, ...]
    logits: Float[np.ndarray, "read written"]
    left_out: int


@torch.inference_mode()
def prompts_of(
    model: HookedTransformer, first: Task, second: Task, *, length: int, number: int, exploring: Exploring
) -> Prompts:
    """Runs the model on one test prompt of each task and keeps where all heads look.

    Args:
        model: The model, left as it was.
        first: A task.
        second: Another.
        length: The length of both examples.
        number: Which of `exploring.prompts` prompts, from 0.
        exploring: How many there are, and their seed.

    Raises:
        InvalidValueError: No prompt of that number; as `TwoTasks.drawn`.
    """
    if not 0 <= number < exploring.prompts:
        raise InvalidValueError(f"prompt {number} does not exist; allowed are 0 to {exploring.prompts - 1}")
    generator = named_generator(exploring.seed, "patterns")
    examples = TwoTasks.drawn(model, first, second, length=length, n=exploring.prompts, generator=generator)
    row = slice(number, number + 1)
    return Prompts(
        _patterns(model, first, examples.first[row]), _patterns(model, second, examples.second[row]), examples.aligned
    )


def _patterns(model: HookedTransformer, task: Task, batch: Batch) -> PromptPatterns:
    """One example's patterns, up to the last token that predicts a scored one."""
    width = int(batch.predicting[0].nonzero()[-1]) + 1
    tokens = batch.inputs[:, :width].to(model.device)
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.config.n_layers)]
    _, cache = model.run_with_cache(tokens, names_filter=names, return_cache_object=False)
    patterns = np.stack([cache[name][0].float().cpu().numpy() for name in names])
    return PromptPatterns(task.name, model.vocabulary.split(tokens[0]), patterns)


@torch.inference_mode()
def read_out_map(model: HookedTransformer, tasks: Sequence[Task], head: Head, *, task_head: int = 0) -> ReadOutMap:
    """The head's OV circuit between the tasks' own tokens: embedding, the layer's norm, W_V W_O, W_U.

    Args:
        model: The model.
        tasks: Whose tokens are shown, up to 40 of them.
        head: The head.
        task_head: Which unembedding to use, if the model has one for each task.
    """
    symbols = list(dict.fromkeys(symbol for task in tasks for symbol in task.symbols))
    shown = symbols[:MOST_TOKENS]
    attn = model.blocks[head.layer].attn
    group = head.head // (model.config.n_heads // model.config.n_key_value_heads)
    read = bare_inputs(model, head.layer)[model.vocabulary.ids(shown).to(model.device)]
    logits = read @ attn.W_V[group] @ attn.W_O[head.head] @ ReadOut.of(model, task_head=task_head).to_tokens
    logits = logits - logits.mean(dim=1, keepdim=True)
    written = logits[:, model.vocabulary.ids(shown).to(model.device)].float().cpu().numpy()
    return ReadOutMap(tuple(shown), written, len(symbols) - len(shown))
