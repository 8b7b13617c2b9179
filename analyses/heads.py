"""Heads by name: `2.1` is head 1 of layer 2, `2.kv1` all query heads that read its key-value head 1, from 0."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tasks import InvalidValueError
from training import ModelConfig


class Head(NamedTuple):
    """One attention head: layer and head, both counted from 0."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Reads `layer.head`.

        Raises:
            InvalidValueError: The text is not of that form.
        """
        match = re.fullmatch(r"(\d+)\.(\d+)", text.strip())
        if not match:
            raise InvalidValueError(f"head {text!r} is not of the form 'layer.head', as in '0.3' (layer 0, head 3)")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Group:
    """The query heads that read one key-value head: layer and key-value head, both counted from 0.

    No tuple, as `Head` is, so that group 1 of a layer never counts as its head 1.
    """

    layer: int
    group: int

    def __str__(self) -> str:
        return f"{self.layer}.kv{self.group}"

    def heads(self, config: ModelConfig) -> list[Head]:
        """Its query heads."""
        shared = config.n_heads // config.n_key_value_heads
        return [Head(self.layer, head) for head in range(self.group * shared, (self.group + 1) * shared)]


def all_groups(config: ModelConfig) -> list[Group]:
    """Every group of a model, layer by layer; with as many key-value heads as heads, one for each head."""
    return [Group(layer, group) for layer in range(config.n_layers) for group in range(config.n_key_value_heads)]


def all_heads(config: ModelConfig) -> list[Head]:
    """Every head of a model, layer by layer."""
    return [Head(layer, head) for layer in range(config.n_layers) for head in range(config.n_heads)]


def check_heads(heads: Iterable[Head], config: ModelConfig) -> None:
    """Raises InvalidValueError unless the model has all these heads, each named once."""
    seen: set[Head] = set()
    for head in heads:
        if not (0 <= head.layer < config.n_layers and 0 <= head.head < config.n_heads):
            raise InvalidValueError(
                f"head {head} does not exist: the model has layers 0 to {config.n_layers - 1} "
                f"of heads 0 to {config.n_heads - 1}, so 0.0 to {config.n_layers - 1}.{config.n_heads - 1}"
            )
        if head in seen:
            raise InvalidValueError(f"head {head} is named twice; name each head once")
        seen.add(head)


def check_groups(groups: Iterable[Group], config: ModelConfig) -> None:
    """Raises InvalidValueError unless the model has all these groups, each named once."""
    seen: set[Group] = set()
    last = config.n_key_value_heads - 1
    for group in groups:
        if not (0 <= group.layer < config.n_layers and 0 <= group.group <= last):
            raise InvalidValueError(
                f"group {group} does not exist: the model has layers 0 to {config.n_layers - 1} of key-value heads 0 "
                f"to {last}, so 0.kv0 to {config.n_layers - 1}.kv{last}"
            )
        if group in seen:
            raise InvalidValueError(f"group {group} is named twice; name each group once")
        seen.add(group)
