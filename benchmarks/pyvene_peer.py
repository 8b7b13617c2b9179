"""pyvene's way to a map of head ablations."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import imported
from benchmarks.plain import PlainModel


class PyveneMap:
    """A model that collects the activations of every layer, and one per layer that exchanges a head's for their mean.

    Components are given by their path in the plain model, heads by their subspace of what the output map reads.

    Args:
        plain: A model of its own: pyvene takes its gradients and all hooks away.

    Raises:
        ImportError: pyvene is not there.
    """

    def __init__(self, plain: PlainModel) -> None:
        pyvene, layers = imported("pyvene"), range(plain.config.n_layers)
        names = [f"blocks[{layer}].attn.c_proj.input" for layer in layers]

        def intervenable(intervention: Any, *components: str) -> Any:
            wanted = [{"component": name, "intervention": intervention()} for name in components]
            return pyvene.IntervenableModel(wanted, model=plain)

        self._collecting = intervenable(pyvene.CollectIntervention, *names)
        self._exchanging = [intervenable(pyvene.VanillaIntervention, name) for name in names]
        self._config = plain.config

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Iterator[Tensor]:
        """Logits [batch, pos, vocab] of the clean model, then with each head ablated, layer by layer."""
        base, width = {"tokens": tokens}, self._config.d_head
        (_, collected), logits = self._collecting(base)
        yield logits
        for z, exchanging in zip(collected, self._exchanging, strict=True):
            mean = z.mean(dim=0).expand_as(z)
            for head in range(self._config.n_heads):
                part = list(range(head * width, (head + 1) * width))
                yield exchanging(base, source_representations=mean, subspaces=part)[1]
