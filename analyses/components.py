"""What can be ablated: a head, the heads of a key-value head, a layer's MLP, its attention, or the whole layer."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from analyses.heads import Group, Head, check_groups, check_heads
from tasks import InvalidValueError
from tasks.errors import unknown_name
from training import ModelConfig

PartKind = Literal["mlp", "attn", "layer"]

Together = Literal["singly", "jointly"]
"""Whether several things are changed one at a time, or at once."""


class Part(NamedTuple):
    """A part of a layer: `2.mlp`, `2.attn` (all heads and b_O), or `2.layer` (attention and MLP)."""

    layer: int
    kind: PartKind

    def __str__(self) -> str:
        return f"{self.layer}.{self.kind}"


Component = Head | Group | Part


def parse_component(text: str) -> Component:
    """Reads `layer.head`, `layer.kvGROUP`, `layer.mlp`, `layer.attn` or `layer.layer`.

    Raises:
        InvalidValueError: The text is of none of these forms.
    """
    group = re.fullmatch(r"(\d+)\.kv(\d+)", text.strip())
    if group is not None:
        return Group(int(group[1]), int(group[2]))
    match = re.fullmatch(r"(\d+)\.([a-z]+)", text.strip())
    if match is None:
        return Head.parse(text)
    if match[2] not in get_args(PartKind):
        raise InvalidValueError(
            f"component {text!r} is unknown; allowed are heads as '0.3', the heads of a key-value head as '0.kv1', and "
            "parts of layers as '0.mlp', '0.attn' and '0.layer'"
        )
    return Part(int(match[1]), match[2])  # pyright: ignore[reportArgumentType]  (checked above)


def members(component: Component, config: ModelConfig) -> Sequence[Head | Part]:
    """The query heads of a group; any other component itself."""
    return component.heads(config) if isinstance(component, Group) else [component]


def all_parts(config: ModelConfig, kind: PartKind) -> list[Part]:
    """That part of every layer."""
    return [Part(layer, kind) for layer in range(config.n_layers)]


def check_components(components: Iterable[Component], config: ModelConfig) -> None:
    """Raises InvalidValueError unless the model has all these components, none of them named twice or in another."""
    components = list(components)
    check_heads([one for one in components if isinstance(one, Head)], config)
    check_groups([one for one in components if isinstance(one, Group)], config)
    for place, one in enumerate(components):
        if isinstance(one, Part) and one.kind not in get_args(PartKind):
            raise unknown_name("part of a layer", one.kind, get_args(PartKind), listing="they are mlp, attn and layer")
        if isinstance(one, Part) and not 0 <= one.layer < config.n_layers:
            raise InvalidValueError(f"component {one} does not exist: the model has layers 0 to {config.n_layers - 1}")
        other = next((other for other in components[:place] if _overlap(one, other, config)), None)
        if other is not None:
            raise InvalidValueError(f"components {other} and {one} overlap; name each part of the model once")


def _overlap(one: Component, other: Component, config: ModelConfig) -> bool:
    if one.layer != other.layer:
        return False
    kinds = {part.kind if isinstance(part, Part) else "heads" for part in (one, other)}
    if kinds == {"heads"}:
        return bool({*members(one, config)} & {*members(other, config)})
    return one == other or "layer" in kinds or kinds == {"heads", "attn"}


def check_together(together: str) -> None:
    """Raises UnknownNameError unless it is `singly` or `jointly`."""
    if together not in get_args(Together):
        raise unknown_name("way", together, get_args(Together), listing="the ways are singly and jointly")
