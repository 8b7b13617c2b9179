"""What the analysis tests share: a model set by hand, random ones, effects made of numbers, a tiny study."""

from collections.abc import Sequence

import torch

from analyses import Head, HeadEffects, get_metric
from analyses.transfer.study import Study
from tasks import Batch, Vocabulary, get_group
from training import HookedTransformer, ModelConfig, Preset

CONSTANT = 2.0**14

# A study that takes seconds; `conftest.tiny_study` is its folder.
PRESET = Preset(
    "tiny",
    {
        "model": {"n_layers": 1, "n_heads": 4, "d_model": 16, "d_mlp": 16},
        "train": {"steps": 20, "batch_size": 8, "warmup": 2},
        "measure": {"checkpoints": 2, "lengths": [3, 6], "n": 8},
    },
)
GROUP = get_group("copy+shift").with_lengths(main=3, auxiliary=6)
STUDY = Study(GROUP, PRESET, n=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def hand_model() -> HookedTransformer:
    """Two layers of two heads whose every output can be worked out on paper.

    The residual stream is (constant, token, middle, logit). Every token carries 2^14 as its constant: beside that the
    other coordinates do not show in the root mean square, which is 2^14 / sqrt(4) to float32's last place; the norms'
    weights are that number, so every norm is the identity. Queries and keys are 0: a head's z is the mean of what it
    reads over the positions up to its own.

        token      a = 4, b = 0
        head 0.0   reads token,  writes middle += 2 z
        head 0.1   reads token,  writes middle -= z
        MLP 0      logit += relu(middle)
        head 1.0   reads middle, writes logit -= z
        head 1.1   reads logit,  writes logit += 2 z
        MLP 1      nothing
        logits     a: 1, b: 0, [EOS]: logit
    """
    config = ModelConfig.read(
        {
            "n_layers": 2, "n_heads": 2, "d_model": 4, "d_head": 1, "d_mlp": 1, "d_vocab": 3, "positions": "none",
            "mlp": "plain", "activation": "relu",
        }
    )  # fmt: skip
    model = HookedTransformer(config, vocabulary=Vocabulary(("a", "b", "[EOS]")), generator=seeded())
    for name, parameter in model.named_parameters():
        parameter.fill_(CONSTANT / 2 if name.endswith(".w") else 0)
    token, middle, logit = 1, 2, 3
    model.embed.W_E.copy_(torch.tensor([[CONSTANT, 4, 0, 0], [CONSTANT, 0, 0, 0], [CONSTANT, 0, 0, 0]]))
    for layer, head, reads, writes, times in (
        (0, 0, token, middle, 2), (0, 1, token, middle, -1), (1, 0, middle, logit, -1), (1, 1, logit, logit, 2),
    ):  # fmt: skip
        model.blocks[layer].attn.W_V[head, reads, 0] = 1
        model.blocks[layer].attn.W_O[head, 0, writes] = times
    model.blocks[0].mlp.W_in[middle, 0] = 1
    model.blocks[0].mlp.W_out[0, logit] = 1
    model.W_U[0, 0] = 1 / CONSTANT
    model.W_U[logit, 2] = 1
    return model


def hand_batch() -> Batch:
    """The examples `aa` and `ab`, each followed by the scored [EOS]."""
    tokens = torch.tensor([[0, 0, 2], [0, 1, 2]])
    return Batch(tokens, torch.tensor([[False, False, True]] * 2))


def random_model(vocabulary: Vocabulary, **settings: object) -> HookedTransformer:
    """A random model whose heads matter: its initial weights are far larger than a trained model's."""
    shape = {"n_layers": 3, "n_heads": 4, "d_model": 16, "d_mlp": 24, "initializer_range": 0.4}
    config = ModelConfig.read({"d_vocab": len(vocabulary), **shape, **settings})
    return HookedTransformer(config, vocabulary=vocabulary, generator=seeded(1))


def effects_of(
    values: torch.Tensor,
    *,
    heads_per_layer: int = 4,
    task: str = "copy",
    length: int = 5,
    kind: str = "mean",
    metric: str = "nll",
    sets: Sequence[Sequence[Head]] | None = None,
) -> HeadEffects:
    """Effects with these values [set, example] (heads layer by layer, unless sets are given), and 1 where clean."""
    values = values.double()
    singles = [(Head(*divmod(place, heads_per_layer)),) for place in range(len(values))]
    clean = torch.ones(values.shape[1], dtype=torch.float64)
    ablated = clean - get_metric(metric).better * values
    chosen = tuple(tuple(heads) for heads in (singles if sets is None else sets))
    return HeadEffects(task, length, kind, get_metric(metric), chosen, clean, ablated)
