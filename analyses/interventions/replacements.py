"""The values that edits put in place, for a part of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.graph import EMBED, Sender
from analyses.heads import Head
from analyses.interventions.clean_run import CleanRun, LayerWeights
from analyses.interventions.sites import Edit, Site
from analyses.interventions.sources import Fixed
from training import HookedTransformer


@dataclass(frozen=True)
class Replacements:
    """What the source holds for some examples.

    Attributes:
        model: The model.
        weights: What its layers use again and again.
        base: The run that is edited.
        source: Fixed values, or the other run of these examples.
    """

    model: HookedTransformer
    weights: Sequence[LayerWeights]
    base: CleanRun
    source: Fixed | CleanRun

    def site(self, site: Site, layer: int) -> Float[Tensor, "#batch pos ..."]:
        """All that the source holds at a site; not of patterns."""
        if isinstance(self.source, Fixed):
            return self.source.values[site][layer]
        return getattr(self.source.layers[layer], site)

    def at(self, edit: Edit) -> Float[Tensor, "#batch place width"]:
        """What an edit puts in place: of its head, at its places."""
        places = edit.places.index(self.model.device)
        if edit.senders:
            return self._by_path(edit, places)
        if edit.site == "pattern":
            assert isinstance(self.source, CleanRun)
            return self.source.pattern(edit.layer, edit.head, group_of(self.model, edit.head), places)
        values = self.site(edit.site, edit.layer)[:, places]
        return values if edit.head < 0 else values[:, :, edit.head]

    def _by_path(self, edit: Edit, places: slice | Tensor) -> Float[Tensor, "batch place width"]:
        """What the receiver would compute if only what the senders write to it directly came from the source."""
        block, run = self.model.blocks[edit.layer], self.base.layers[edit.layer]
        reads = {"mlp_out": run.resid_mid, "resid_post": run.resid_post}.get(edit.site, run.resid_pre)[:, places]
        reads = reads + torch.stack([self._written(sender, places) for sender in edit.senders]).sum(dim=0)
        if edit.site == "resid_post":
            return reads
        if edit.site == "mlp_out":
            return block.mlp(block.ln2(reads))
        used = self.weights[edit.layer]
        turns = None if used.turns is None else used.turns[places]
        positions = torch.tensor(edit.places.positions, device=reads.device)
        queries, keys, values = block.attn.project(block.ln1(reads), used.projection, positions, turns)
        return {"q": queries, "k": keys, "v": values}[edit.site][:, :, edit.head]

    def _written(self, sender: Sender, places: slice | Tensor) -> Float[Tensor, "batch place d_model"]:
        """What a sender writes in the other run, less what it writes in the base run."""
        assert isinstance(self.source, CleanRun)
        if sender == EMBED:
            return self.source.layers[0].resid_pre[:, places] - self.base.layers[0].resid_pre[:, places]
        assert not isinstance(sender, str)
        other, base = self.source.layers[sender.layer], self.base.layers[sender.layer]
        if not isinstance(sender, Head):
            return other.mlp_out[:, places] - base.mlp_out[:, places]
        change = other.z[:, places, sender.head] - base.z[:, places, sender.head]
        return change @ self.model.blocks[sender.layer].attn.W_O[sender.head]


def group_of(model: HookedTransformer, head: int) -> int:
    """The key-value head that a query head reads."""
    return head // (model.config.n_heads // model.config.n_key_value_heads)
