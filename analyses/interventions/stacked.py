"""Several interventions on the same examples in one run that starts where they first change something.

What no intervention of the stack can change is taken from the clean run: layers before the first edit, positions before
the first edited one (attention is causal), and, in the edited layer, all positions that are not edited. Behind, only
what is read is computed: in the last layer, the positions that predict scored tokens.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.interventions.changed import Changed, HeadChange, everything, put, values_of, with_places
from analyses.interventions.clean_run import CleanRun, LayerRun, LayerWeights
from analyses.interventions.mlp_entry import MLPEntry
from analyses.interventions.places import Places
from analyses.interventions.replacements import Replacements, group_of
from analyses.interventions.sites import HEAD_SITES, Edit, Intervention, Site
from training import HookedTransformer
from training.model.block import Block

Numbered = tuple[int, Edit]
"""An edit, and the number of its intervention in the stack."""


@dataclass(frozen=True)
class Stacked:
    """Interventions on some examples.

    Attributes:
        model: The model.
        weights: What its layers use again and again.
        run: The unedited run of the examples.
        replacements: What edits put in place.
        predicting: Which positions predict scored tokens.
        needed: The positions that predict one in any example.
        task_head: Which unembedding to use.
    """

    model: HookedTransformer
    weights: Sequence[LayerWeights]
    run: CleanRun
    replacements: Replacements
    predicting: Bool[Tensor, "batch pos"]
    needed: Places
    task_head: int
    _products: dict[tuple[int, Places], Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _entries: dict[int, MLPEntry | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def entry(self, layer: int) -> MLPEntry | None:
        """The short way from a head into a layer's MLP, if there is one; kept for one layer at a time."""
        if layer not in self._entries:
            self._entries.clear()
            self._entries[layer] = MLPEntry.of(self.model.blocks[layer])
        return self._entries[layer]

    def first_products(self, layer: int, places: Places) -> Float[Tensor, "batch_place first"]:
        """The clean run's first products of a layer's MLP, kept for the next stack that needs the same."""
        entry = self.entry(layer)
        assert entry is not None
        if (layer, places) not in self._products:
            self._products.clear()
            stream = self.run.layers[layer].resid_mid[:, places.index(self.predicting.device)]
            self._products[layer, places] = entry.products(stream)
        return self._products[layer, places]

    @property
    def everywhere(self) -> Places:
        """All positions."""
        return _all_places(self.predicting.shape[1])

    def logits(self, stack: Sequence[Intervention]) -> Float[Tensor, "stack scored vocab"]:
        """The logits at the predicting positions, for each intervention."""
        edits: dict[int, dict[Site, list[Numbered]]] = defaultdict(lambda: defaultdict(list))
        for number, intervention in enumerate(stack):
            for edit in intervention:
                edits[edit.layer][edit.site].append((number, edit))
        resid: Changed | None = None
        for layer in range(min(edits), self.model.config.n_layers):
            resid = _Layer(self, layer, len(stack), edits[layer]).after(resid)
        return self._read(resid, len(stack))

    def _read(self, resid: Changed | None, stack: int) -> Float[Tensor, "stack scored vocab"]:
        """Logits from the residual stream after the last layer, those of the clean run where nothing changed."""
        clean = self.run.logits.expand(stack, *self.run.logits.shape)
        if resid is None:
            return clean
        places = resid.places.index(self.model.device)
        predicting = self.predicting[:, places]
        logits = self.model.logits(resid.values[:, predicting], task=self.task_head)
        if logits.shape == clean.shape:
            return logits
        number = self.predicting.flatten().cumsum(dim=0).view(self.predicting.shape) - 1
        whole = clean.clone()
        whole[:, number[:, places][predicting]] = logits
        return whole


@dataclass(frozen=True)
class _Layer:
    """One layer of a stacked run.

    Attributes:
        stacked: The stacked run.
        layer: The layer.
        stack: How many interventions there are.
        edits: The edits in this layer, by site.
    """

    stacked: Stacked
    layer: int
    stack: int
    edits: Mapping[Site, Sequence[Numbered]]

    def after(self, resid: Changed | None) -> Changed | None:
        """The residual stream after the layer, where it changed, from that before it."""
        run = self._run
        resid = self._edited(resid, run.resid_pre, "resid_pre")
        middle = self._from_heads() if resid is None else self._from_stream(resid)
        for number, edit in self._at("attn_out"):
            middle = with_places(self.stack, middle, run.resid_mid, edit.places)
            value = values_of(resid, run.resid_pre, number, edit.places) + self.stacked.replacements.at(edit)
            put(middle.values[number], middle.places, edit.places, value)
        middle = self._edited(middle, run.resid_mid, "resid_mid")
        after = None
        if middle is not None:
            after = Changed(middle.places, middle.values + self._mlp(middle))
        for number, edit in self._at("mlp_out"):
            after = with_places(self.stack, after, run.resid_post, edit.places)
            value = values_of(middle, run.resid_mid, number, edit.places) + self.stacked.replacements.at(edit)
            put(after.values[number], after.places, edit.places, value)
        return self._edited(after, run.resid_post, "resid_post")

    # ------------------------------------------------------------------------------------------------------- attention

    def _from_heads(self) -> Changed | None:
        """The middle of the layer where only heads of this layer are edited, so that all else they read is clean.

        Only the edited heads are computed: each changes the stream by (z - clean z) @ W_O.
        """
        entries = self._entries()
        places = Places.of(position for edits in entries.values() for edit in edits for position in self._reads(edit))
        if not places:
            return None
        at, numbers = places.index(self._device), [number for number, _ in entries]
        heads = torch.tensor([head for _, head in entries], device=self._device)
        clean = rearrange(self._run.z[:, at][:, :, heads], "batch place entry d_head -> entry batch place d_head")
        change = self._new_z(entries, places, heads, clean) - clean
        middle = self._run.resid_mid[:, at]
        written = change.flatten(1, 2) @ self._block.attn.W_O[heads]
        written = written.view(*change.shape[:-1], -1)
        if numbers == list(range(self.stack)):
            return Changed(places, written.add_(middle), HeadChange(heads, change))
        values = middle.expand(self.stack, *middle.shape).clone()
        return Changed(places, values.index_add_(0, torch.tensor(numbers, device=self._device), written))

    def _entries(self) -> dict[tuple[int, int], list[Edit]]:
        """The edits of each head of each intervention; of a key-value head, for all query heads that read it."""
        entries: dict[tuple[int, int], list[Edit]] = defaultdict(list)
        shared = self.stacked.model.config.n_heads // self.stacked.model.config.n_key_value_heads
        for site in HEAD_SITES:
            for number, edit in self._at(site):
                grouped = range(edit.head * shared, (edit.head + 1) * shared)
                for head in grouped if site in ("k", "v") else [edit.head]:
                    entries[number, head].append(edit)
        return dict(sorted(entries.items()))

    def _reads(self, edit: Edit) -> Iterable[int]:
        """The positions whose z an edit of a head changes."""
        if edit.site not in ("k", "v"):
            return edit.places.positions
        return [position for position in self._written.positions if position >= edit.places.first]

    def _new_z(
        self, entries: Mapping[tuple[int, int], list[Edit]], places: Places, heads: Tensor, clean: Tensor
    ) -> Float[Tensor, "entry #batch place d_head"]:
        """z of each entry's head, edited."""
        edits = [edit for of_entry in entries.values() for edit in of_entry]
        replacements, at = self.stacked.replacements, places.index(self._device)
        if all(edit.site == "z" and edit.places == places for edit in edits):
            values = replacements.site("z", self.layer)[:, at][:, :, heads]
            return rearrange(values, "batch place entry d_head -> entry batch place d_head")
        if all(edit.site == "z" for edit in edits):
            z = clean.clone()
        else:
            z = self._attended(list(entries.values()), places, heads)
        for entry, of_entry in enumerate(entries.values()):
            for edit in of_entry:
                if edit.site == "z":
                    put(z[entry], places, edit.places, replacements.at(edit))
        return z

    def _attended(
        self, entries: Sequence[Sequence[Edit]], places: Places, heads: Tensor
    ) -> Float[Tensor, "entry batch place d_head"]:
        """What each entry's head reads with its queries, keys, values and pattern edited."""
        run, everywhere, model = self._run, self._everywhere, self.stacked.model
        groups = heads // (model.config.n_heads // model.config.n_key_value_heads)
        chosen = (run.q[:, places.index(self._device)][:, :, heads], run.k[:, :, groups], run.v[:, :, groups])
        q, k, v = (rearrange(part, "batch place entry d_head -> entry batch place d_head").clone() for part in chosen)
        for entry, edits in enumerate(entries):
            for edit in edits:
                if edit.site in ("q", "k", "v"):
                    into, axis = {"q": (q, places), "k": (k, everywhere), "v": (v, everywhere)}[edit.site]
                    put(into[entry], axis, edit.places, self.stacked.replacements.at(edit))
        mask = places.tensor(self._device)[:, None] >= torch.arange(k.shape[2], device=self._device)
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        for entry, edits in enumerate(entries):
            for edit in edits:
                if edit.site == "pattern":
                    put(z[entry], places, edit.places, self.stacked.replacements.at(edit) @ v[entry])
        return z

    def _from_stream(self, resid: Changed) -> Changed | None:
        """The middle of the layer where what it reads has changed."""
        attn, run, stacked = self._block.attn, self._run, self.stacked
        used, at = stacked.weights[self.layer], resid.places.index(self._device)
        turns = None if used.turns is None else used.turns[at]
        x = self._block.ln1(resid.values).flatten(0, 1)
        projected = attn.project(x, used.projection, resid.places.tensor(self._device), turns)
        q, k, v = (Changed(resid.places, part.unflatten(0, (self.stack, -1))) for part in projected)
        edited = [edit.places.first for site in HEAD_SITES for _, edit in self._at(site)]
        first = min([resid.places.first, *edited])
        places = Places(tuple(position for position in self._written.positions if position >= first))
        if not places:
            return None
        q, k, v = (
            everything(part, clean, wanted)
            for part, clean, wanted in ((q, run.q, places), (k, run.k, self._everywhere), (v, run.v, self._everywhere))
        )
        parts: tuple[tuple[Site, Changed], ...] = (("q", q), ("k", k), ("v", v))
        for site, part in parts:
            for number, edit in self._at(site):
                put(part.values[number][:, :, edit.head], part.places, edit.places, stacked.replacements.at(edit))
        z = attn.attend(*(part.values.flatten(0, 1) for part in (q, k, v)), places.tensor(self._device))
        z = z.unflatten(0, (self.stack, -1))
        for number, edit in self._at("pattern"):
            values = stacked.replacements.at(edit) @ v.values[number][:, :, group_of(stacked.model, edit.head)]
            put(z[number][:, :, edit.head], places, edit.places, values)
        for number, edit in self._at("z"):
            put(z[number][:, :, edit.head], places, edit.places, stacked.replacements.at(edit))
        before = everything(resid, run.resid_pre, places)
        return Changed(places, before.values + attn.out(z))

    # ------------------------------------------------------------------------------------------------------------- MLP

    def _mlp(self, middle: Changed) -> Float[Tensor, "stack batch place d_model"]:
        """What the MLP writes.

        Where one head changed the stream by dz @ W_O, the MLP's first products are those of the clean run plus
        dz @ (W_O @ W_in), of rank d_head: far less work. The norm's scale divides both, so it comes after.
        """
        block, by_heads = self._block, middle.by_heads
        entry = self.stacked.entry(self.layer) if self._is_short(middle) else None
        if entry is None or by_heads is None:
            return block.mlp(block.ln2(middle.values))
        clean = self.stacked.first_products(self.layer, middle.places)
        products = torch.baddbmm(
            clean.expand(self.stack, *clean.shape), by_heads.change.flatten(1, 2), entry.by_head[by_heads.heads]
        )
        return entry.out(products.view(*middle.values.shape[:-1], -1), middle.values)

    def _is_short(self, middle: Changed) -> bool:
        """Whether only heads changed the stream, enough of them to make the short way into the MLP worth its making."""
        if middle.by_heads is None or self._at("attn_out") or self._at("resid_mid"):
            return False
        stack, batch, places, d_model = middle.values.shape
        return stack > 1 and stack * batch * places >= 2 * d_model

    # ---------------------------------------------------------------------------------------------- changed activations

    @property
    def _run(self) -> LayerRun:
        return self.stacked.run.layers[self.layer]

    @property
    def _block(self) -> Block:
        return self.stacked.model.blocks[self.layer]

    @property
    def _device(self) -> torch.device:
        return self.stacked.predicting.device

    @property
    def _everywhere(self) -> Places:
        return self.stacked.everywhere

    @property
    def _written(self) -> Places:
        """The positions at which what this layer writes can matter."""
        last = self.layer == self.stacked.model.config.n_layers - 1
        return self.stacked.needed if last else self._everywhere

    def _at(self, site: Site) -> list[Numbered]:
        """The edits of a site, less positions at which they cannot matter."""
        if site in ("resid_pre", "k", "v") or self._written is self._everywhere:
            return list(self.edits.get(site, ()))
        kept = [
            (number, replace(edit, places=edit.places & self._written)) for number, edit in self.edits.get(site, ())
        ]
        return [(number, edit) for number, edit in kept if edit.places]

    def _edited(self, changed: Changed | None, clean: Tensor, site: Site) -> Changed | None:
        """An activation with the edits of its site made."""
        for number, edit in self._at(site):
            changed = with_places(self.stack, changed, clean, edit.places)
            put(changed.values[number], changed.places, edit.places, self.stacked.replacements.at(edit))
        return changed


@lru_cache
def _all_places(width: int) -> Places:
    return Places(tuple(range(width)))
