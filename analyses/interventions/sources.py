"""What takes an edited activation's place: fixed values, such as zero or a mean, or the same site of another run."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.interventions.sites import HEAD_SITES, Site, heads_at
from tasks import Batch, InvalidValueError
from training import HookedTransformer

FIXED_SITES: tuple[Site, ...] = ("z", "attn_out", "mlp_out")
"""Sites that have fixed values: what heads, attention layers and MLPs write."""


@dataclass(frozen=True)
class Fixed:
    """The same values for every example.

    Attributes:
        values: For each site, its value in every layer [layer, 1, pos, *head, width].
    """

    values: dict[Site, Tensor]

    def check(self, model: HookedTransformer, sites: set[Site], *, width: int) -> None:
        """Raises InvalidValueError unless there are finite values of the model's type for each of these sites."""
        missing = sites - set(self.values)
        if missing:
            raise InvalidValueError(
                f"site {min(missing)!r} has no fixed value; sites that have one are {', '.join(self.values)}"
            )
        for site in sites:
            found, wanted = self.values[site], _empty(model, site, width)
            if found.shape != wanted.shape or found.dtype != model.dtype or found.device != model.device:
                raise InvalidValueError(
                    f"the values of site {site!r} must be {model.dtype} on {model.device} of shape "
                    f"{tuple(wanted.shape)}. Got {found.dtype} on {found.device} of shape {tuple(found.shape)}"
                )
            if not bool(found.isfinite().all()):
                raise InvalidValueError(f"the values of site {site!r} are not finite; check where they come from")


@dataclass(frozen=True)
class OtherRun:
    """What another run holds in the same place: run i of these tokens for example i.

    Attributes:
        inputs: The tokens, as many as the edited run reads.
    """

    inputs: Int[Tensor, "batch pos"]


Source = Fixed | OtherRun


def zeros(model: HookedTransformer, *, width: int) -> Fixed:
    """Zero everywhere: what if this had written nothing?"""
    return Fixed({site: _empty(model, site, width).to(model.dtype) for site in FIXED_SITES})


@torch.inference_mode()
def means(
    model: HookedTransformer,
    batch: Batch,
    *,
    kind: Literal["mean", "mean_all"],
    sites: frozenset[Site],
    token_budget: int,
) -> Fixed:
    """Means over the examples of a clean run: at each position (`mean`), or over all positions too (`mean_all`).

    They count positions that are read to predict a scored token: where answers differ in length, a late position's mean
    is over the examples that reach it, and where only one does, it is that one's own value.
    """
    inputs, read = batch.inputs, read_positions(batch)
    totals: dict[Site, Tensor] = {site: _empty(model, site, inputs.shape[1]) for site in sites}
    rows = max(1, token_budget // inputs.shape[1])
    for part, counted in zip(inputs.split(rows), read.split(rows), strict=True):
        _add(model, part, counted, totals)
    found: dict[Site, Tensor] = {}
    for site, total in totals.items():
        if kind == "mean_all":
            mean = (total.sum(dim=2, keepdim=True) / read.sum()).expand(total.shape)
        else:
            mean = total / read.sum(dim=0).clamp(min=1).view(1, 1, -1, *[1] * (total.ndim - 3))
        found[site] = mean.to(model.dtype)
    return Fixed(found)


def read_positions(batch: Batch) -> Bool[Tensor, "batch input"]:
    """True at the positions that are read to predict a scored token: up to the last one that predicts."""
    return batch.predicting.flip(1).cumsum(dim=1).flip(1) > 0


def _add(model: HookedTransformer, part: Tensor, counted: Tensor, totals: dict[Site, Tensor]) -> None:
    """Adds the sums over some examples of what each site holds, in float64."""
    resid = model.start(part)
    last = model.config.n_layers - 1
    for layer, block in enumerate(model.blocks):
        z = block.attn.z(block.ln1(resid))
        _count(totals, "z", layer, z, counted)
        if layer == last and totals.keys() == {"z"}:
            return  # nothing reads what the last layer writes
        attn_out = block.attn.out(z)
        resid = resid + attn_out
        mlp_out = block.mlp(block.ln2(resid))
        resid = resid + mlp_out
        _count(totals, "attn_out", layer, attn_out, counted)
        _count(totals, "mlp_out", layer, mlp_out, counted)


def _count(totals: dict[Site, Tensor], site: Site, layer: int, values: Tensor, counted: Tensor) -> None:
    if site in totals:
        weights = counted.view(*counted.shape, *[1] * (values.ndim - 2))
        totals[site][layer, 0] += (values.double() * weights).sum(dim=0)


def _empty(model: HookedTransformer, site: Site, width: int) -> Float[Tensor, "layer 1 pos ..."]:
    config = model.config
    sizes = (heads_at(site, config), config.d_head) if site in HEAD_SITES else (config.d_model,)
    return torch.zeros(config.n_layers, 1, width, *sizes, dtype=torch.float64, device=model.device)
