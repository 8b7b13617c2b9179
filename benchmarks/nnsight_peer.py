"""nnsight's way to a map of head ablations."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.peers import imported
from benchmarks.plain import PlainModel


class NNsightMap:
    """One trace with the activations of every layer, then one trace per head that puts the mean there.

    It wraps the plain model, which has the same weights and is faster than ours with its hooks: a head's z is its part
    of what the output map reads. Several invokes in one trace, for which a model of one's own needs a `_batch` method,
    were measured slower at 2/4/64 and 4/4/128 and no faster at 6/6/384.

    Raises:
        ImportError: nnsight is not there.
    """

    def __init__(self, plain: PlainModel) -> None:
        self._nnsight = imported("nnsight")
        self._model = self._nnsight.NNsight(plain)
        self._config = plain.config

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Iterator[Tensor]:
        """Logits [batch, pos, vocab] of the clean model, then with each head ablated, layer by layer."""
        model, save, width = self._model, self._nnsight.save, self._config.d_head
        with model.trace(tokens):
            means = save([])
            for block in model.blocks:
                means.append(block.attn.c_proj.input.mean(dim=0))
            logits = save(model.output)
        yield logits
        for layer in range(self._config.n_layers):
            for head in range(self._config.n_heads):
                part = slice(head * width, (head + 1) * width)
                with model.trace(tokens):
                    model.blocks[layer].attn.c_proj.input[:, :, part] = means[layer][:, part]
                    logits = save(model.output)
                yield logits
