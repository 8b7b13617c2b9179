"""What tests of two tasks' attention, streams and gradients share: pairs of tasks, and a model that knows the task."""

import numpy as np
import pandas as pd
import torch

from tasks import Task, Vocabulary, get_task
from tests.analyses.models import CONSTANT, seeded
from training import HookedTransformer, ModelConfig

SHIFT, COPY = (get_task(name, alphabet=4, case="lower") for name in ("shift", "copy"))
CARRY, FIRST = get_task("carry_only"), get_task("copy_first")  # one prompt, answers of length + 2 and length + 1 tokens
MEASURES = ["attention_difference", "jensen_shannon", "offset_cosine"]


def vocabulary(*tasks: Task) -> Vocabulary:
    return Vocabulary(tuple(dict.fromkeys(token for task in tasks for token in task.vocabulary.tokens)))


@torch.no_grad()
def marker_model() -> HookedTransformer:
    """One layer whose head 0 looks at the marker three times as much as at other tokens if it is [shift], and whose
    head 1 looks at all tokens alike.

    The stream is (constant, whether this is [shift]), and the norm is the identity, as in `hand_model`. Every query of
    head 0 is 1, the key of [shift] is ln 3, all others are 0.
    """
    words = vocabulary(SHIFT, COPY)
    shape = {"n_layers": 1, "n_heads": 2, "d_model": 4, "d_head": 1, "d_mlp": 1, "positions": "none", "mlp": "plain"}
    config = ModelConfig.read({**shape, "d_vocab": len(words)})
    model = HookedTransformer(config, vocabulary=words, generator=seeded())
    for name, parameter in model.named_parameters():
        parameter.fill_(CONSTANT / 2 if name.endswith(".w") else 0)
    model.embed.W_E[:, 0] = CONSTANT
    model.embed.W_E[words.tokens.index("[shift]"), 1] = 1
    model.blocks[0].attn.W_Q[0, 0, 0] = 1 / CONSTANT
    model.blocks[0].attn.W_K[0, 1, 0] = np.log(3)
    return model


def of_heads(table: pd.DataFrame, measure: str) -> list[float]:
    return table[(table["measure"] == measure) & table["head"].notna()]["estimate"].tolist()


def total(table: pd.DataFrame, measure: str) -> float:
    return table[(table["measure"] == measure) & table["head"].isna()]["estimate"].item()
