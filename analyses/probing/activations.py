"""What a model holds at the sites of every layer, at chosen positions of some examples."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.attribution.checks import check_finite
from tasks import Batch, InvalidValueError
from tasks.errors import unknown_name
from training import HookedTransformer, ModelConfig

ProbeSite = Literal["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "z"]
"""The activations that can be probed, by TransformerLens' names without `hook_`; `z` is each head's own."""

RESIDUAL_SITES: tuple[ProbeSite, ...] = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
"""All but `z`, in the order of computation."""


class Place(NamedTuple):
    """One site of a layer; of a head, if it is the heads' own, else -1."""

    layer: int
    site: ProbeSite
    head: int = -1


def check_sites(sites: Sequence[str]) -> None:
    """Raises UnknownNameError or InvalidValueError unless these are sites, at least one, each named once."""
    known = get_args(ProbeSite)
    for site in sites:
        if site not in known:
            raise unknown_name("site", site, known, listing=f"the sites of probes are {', '.join(known)}")
        if sites.count(site) > 1:
            raise InvalidValueError(f"site {site!r} is named twice; name each site once")
    if not sites:
        raise InvalidValueError(f"no site is named; name at least one of {', '.join(known)}")


def places(sites: Sequence[ProbeSite], config: ModelConfig, *, of_heads: bool) -> list[Place]:
    """Every place, layer by layer, that is of a head or, else, of none."""
    heads = range(config.n_heads) if of_heads else (-1,)
    return [
        Place(layer, site, head)
        for layer in range(config.n_layers)
        for site in sites
        if (site == "z") is of_heads
        for head in heads
    ]


@torch.inference_mode()
def activations(
    model: HookedTransformer,
    batch: Batch,
    chosen: Sequence[Place],
    *,
    rows: Int[Tensor, " token"],
    positions: Int[Tensor, " token"],
    token_budget: int,
) -> Float[Tensor, "place token d"]:
    """What the model holds at each place, at some positions, in float32 (or float64, if the model's weights are).

    Args:
        model: The model, with nothing hooked to it.
        batch: The examples.
        chosen: The places, all of heads or all of none.
        rows: The examples that the positions belong to, in ascending order.
        positions: The positions.
        token_budget: The most tokens run at a time (at least one example).

    Raises:
        InvalidValueError: An activation is not finite.
    """
    inputs = batch.inputs.to(model.device)
    hooks = {place: _hook(place) for place in chosen}
    names, parts = list(dict.fromkeys(hooks.values())), []
    step = max(1, token_budget // inputs.shape[1])
    for first in range(0, len(inputs), step):
        there = (rows >= first) & (rows < first + step)
        if not bool(there.any()):
            continue
        _, cache = model.run_with_cache(inputs[first : first + step], names_filter=names, return_cache_object=False)
        row, position = (rows[there] - first).to(model.device), positions[there].to(model.device)
        found = {name: cache[name][row, position] for name in names}
        parts.append(
            torch.stack([found[hooks[one]] if one.head < 0 else found[hooks[one]][:, one.head] for one in chosen])
        )
    held = torch.cat(parts, dim=1)
    check_finite(held)
    return held.to(torch.promote_types(held.dtype, torch.float32))


def standardised(
    features: Float[Tensor, "place token d"], *, training: Int[Tensor, " trained"]
) -> Float[Tensor, "place token d"]:
    """Each coordinate less its mean over the training tokens, divided by its standard deviation there.

    A coordinate that does not vary (its standard deviation is below 1e-6 of its root mean square, which is what
    rounding leaves) becomes 0.
    """
    seen = features[:, training].double()
    mean, size = seen.mean(dim=1, keepdim=True), seen.square().mean(dim=1, keepdim=True).sqrt()
    spread = seen.std(dim=1, correction=0, keepdim=True)
    varies = spread > 1e-6 * size
    scale = torch.where(varies, 1 / torch.where(varies, spread, 1), 0)
    return ((features - mean) * scale).to(features)


def _hook(place: Place) -> str:
    return f"blocks.{place.layer}.{'attn.' if place.site == 'z' else ''}hook_{place.site}"
