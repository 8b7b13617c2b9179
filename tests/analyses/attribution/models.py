"""What the attribution tests share: models in which every parameter matters, and examples for them."""

from typing import Any

import torch
from torch import Tensor

from analyses.examples import Examples
from analyses.graph import edges, receivers, senders
from analyses.patches import Direction
from tasks import Batch, Pair, get_task
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

DIRECTIONS: tuple[Direction, ...] = ("noise", "denoise")
TASK = get_task("copy", alphabet=4, case="lower")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary": {},
    "none, LN, gelu": {"positions": "none", "norm": "LN", "activation": "gelu"},
    "learned, plain MLP, all biases": {
        "positions": "learned", "n_ctx": 40, "mlp": "plain", "biases": "all", "activation": "gelu",
    },
    "LN, plain MLP, all biases, rotary": {"mlp": "plain", "biases": "all", "norm": "LN"},
    "grouped queries, qkv biases": {"n_key_value_heads": 1, "biases": "qkv"},
    "log_n, tied, no positions": {"temperature": "log_n", "unembedding": "tied", "positions": "none"},
    "log_n, rotary, grouped": {"temperature": "log_n", "n_key_value_heads": 1},
    "three task heads": {"task_heads": 3},
    "one layer": {"n_layers": 1},
}  # fmt: skip


def model_of(name: str, task: Any = TASK) -> HookedTransformer:
    """A small model in float64 whose every parameter matters, norms' weights and temperatures included."""
    shape = {"n_layers": 2, "n_heads": 2, "d_model": 8, "d_mlp": 12, "initializer_range": 0.5}
    model = random_model(task.vocabulary, **{**shape, **SETTINGS[name]}).double()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".W_" not in parameter_name:
                parameter.add_(torch.randn(parameter.shape, generator=seeded(2)) * 0.3)
    return model


def pair_for(task: Any = TASK, *, n: int = 3, length: int = 3) -> Pair:
    """Examples of a task and their counterfactuals."""
    return task.counterfactual(task.sample(n, length=length, generator=seeded(3)), generator=seeded(4))


def examples_for(task: Any = TASK, *, n: int = 3, length: int = 3) -> Examples:
    """The same as an analysis takes them."""
    return Examples.of_pair(pair_for(task, n=n, length=length))


def hand_examples(clean: str, other: str) -> Examples:
    """Two prompts of `hand_model` with answers [EOS] and b: the logit difference is the logit of [EOS], less 0."""
    sides = [["ab".index(letter) for letter in prompt] + [answer] for prompt, answer in ((clean, 2), (other, 1))]
    scored = torch.tensor([[False] * len(clean) + [True]])
    left, right = (Batch(torch.tensor([side]), scored) for side in sides)
    return Examples(left, right)


def of_edges(scores: Tensor, model: HookedTransformer) -> Tensor:
    """Scores [batch, sender, receiver] as [edge, batch], in the order of `edges`."""
    rows, columns, found = senders(model.config), receivers(model.config), edges(model.config)
    chosen = [rows.index(edge.sender) for edge in found], [columns.index(edge.receiver) for edge in found]
    return scores.permute(1, 2, 0)[chosen]
