"""What an intervention edits: a site of the model, in a layer, perhaps of one head, at some positions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from analyses.components import Part
from analyses.graph import Edge, Receiver, Sender, check_edges
from analyses.heads import Head
from analyses.interventions.places import Places
from tasks import InvalidValueError
from tasks.errors import unknown_name
from training import ModelConfig

Site = Literal["resid_pre", "q", "k", "v", "pattern", "z", "attn_out", "resid_mid", "mlp_out", "resid_post"]
"""The activations that can be edited, in the order of computation, by TransformerLens' names without `hook_`."""

SITES: tuple[Site, ...] = get_args(Site)

HEAD_SITES: tuple[Site, ...] = ("q", "k", "v", "pattern", "z")
"""Sites that each head has of its own (`k` and `v`: each key-value head)."""


@dataclass(frozen=True)
class Edit:
    """One activation exchanged for what a source holds in its place.

    With `senders` it is a path patch: the site gets what it would be if what these senders write, and only as it
    reaches this site directly, came from the source; then the site must be q, k, v, mlp_out, or the last resid_post.

    Attributes:
        site: Which activation.
        layer: Of which layer.
        places: At which positions (of a pattern: of queries).
        head: Of which head; -1 at sites that are not heads' own.
        senders: The senders of a path patch.
    """

    site: Site
    layer: int
    places: Places
    head: int = -1
    senders: tuple[Sender, ...] = ()


Intervention = tuple[Edit, ...]
"""Edits that are made at once."""


def edits_of(component: Head | Part, places: Places) -> list[Edit]:
    """The edits that ablate a head or a part of a layer."""
    if isinstance(component, Head):
        return [Edit("z", component.layer, places, component.head)]
    sites: dict[str, tuple[Site, ...]] = {"attn": ("attn_out",), "mlp": ("mlp_out",), "layer": ("attn_out", "mlp_out")}
    return [Edit(site, component.layer, places) for site in sites[component.kind]]


def path_edit(edges: Sequence[Edge], places: Places) -> Edit:
    """The edit that patches the paths from some senders straight to one receiver."""
    receiver = edges[0].receiver
    site: Site = {"mlp": "mlp_out", "logits": "resid_post"}.get(receiver.input, receiver.input)  # pyright: ignore[reportAssignmentType]
    return Edit(site, receiver.layer, places, receiver.head, tuple(edge.sender for edge in edges))


def heads_at(site: Site, config: ModelConfig) -> int:
    """How many heads have this site of their own; 0 if none has."""
    if site not in HEAD_SITES:
        return 0
    return config.n_key_value_heads if site in ("k", "v") else config.n_heads


def check_site(site: str) -> None:
    """Raises UnknownNameError unless there is such a site."""
    if site not in get_args(Site):
        raise unknown_name("site", site, get_args(Site), listing=f"the sites are {', '.join(get_args(Site))}")


def check_interventions(interventions: Iterable[Intervention], config: ModelConfig, *, width: int) -> None:
    """Raises InvalidValueError unless every intervention edits something, and only what is there, each thing once."""
    for intervention in interventions:
        if not intervention:
            raise InvalidValueError("an intervention without edits changes nothing; give it at least one")
        seen: set[tuple[Site, int, int, int]] = set()
        for edit in intervention:
            check_edit(edit, config, width=width)
            cells: set[tuple[Site, int, int, int]] = {
                (edit.site, edit.layer, edit.head, position) for position in edit.places.positions
            }
            if cells & seen:
                raise InvalidValueError(f"{_named(edit)} is edited twice in one intervention; edit it once")
            seen |= cells


def check_edit(edit: Edit, config: ModelConfig, *, width: int) -> None:
    """Raises InvalidValueError unless the model has this site, layer and head, and the examples these positions."""
    check_site(edit.site)
    if not 0 <= edit.layer < config.n_layers:
        raise InvalidValueError(f"layer {edit.layer} does not exist: the model has layers 0 to {config.n_layers - 1}")
    heads = heads_at(edit.site, config)
    if heads and not 0 <= edit.head < heads:
        kind = "key-value heads" if edit.site in ("k", "v") else "heads"
        raise InvalidValueError(
            f"head {edit.head} does not exist at site {edit.site!r}: it has {kind} 0 to {heads - 1}"
        )
    if not heads and edit.head != -1:
        raise InvalidValueError(f"site {edit.site!r} has no heads of its own; leave head out, or use site 'z'")
    check_positions(edit.places.positions, width=width)
    if edit.senders:
        check_edges([Edge(sender, _receiver(edit, config)) for sender in edit.senders], config)


def check_positions(positions: Sequence[int], *, width: int) -> None:
    """Raises InvalidValueError unless there are positions, and the examples have all of them."""
    if not positions:
        raise InvalidValueError(f"no positions are given to edit; the examples have positions 0 to {width - 1}")
    for position in (positions[0], positions[-1]):
        if not 0 <= position < width:
            raise InvalidValueError(f"position {position} does not exist: the examples have 0 to {width - 1}")


def _receiver(edit: Edit, config: ModelConfig) -> Receiver:
    last = edit.layer == config.n_layers - 1
    if edit.site in ("q", "k", "v"):
        return Receiver(edit.layer, edit.site, edit.head)
    if edit.site == "mlp_out":
        return Receiver(edit.layer, "mlp")
    if edit.site == "resid_post" and last:
        return Receiver(edit.layer, "logits")
    raise InvalidValueError(
        f"{_named(edit)} receives no path of its own; receivers are q, k, v, mlp_out and the last layer's resid_post"
    )


def _named(edit: Edit) -> str:
    head = f" of head {edit.head}" if edit.head >= 0 else ""
    return f"site {edit.site!r}{head} in layer {edit.layer}"
