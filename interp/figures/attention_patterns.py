"""Figure: attention patterns of heads on matched prompts, drawn by circuitsvis's own script."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from analyses.transfer.study_results import AttentionExample
from interp.figures.style import BLUE
from tasks.errors import InvalidValueError


@dataclass(frozen=True)
class HeadAttention:
    """One head on every task's prompt."""

    layer: int
    head: int
    examples: tuple[AttentionExample, ...]

    @property
    def name(self) -> str:
        """The head as "layer.head"."""
        return f"{self.layer}.{self.head}"


def by_head(examples: tuple[AttentionExample, ...]) -> list[HeadAttention]:
    """Groups examples by head, in the order in which the heads first occur.

    Raises:
        InvalidValueError: A pattern that is not [query, key] over the example's tokens.
    """
    groups: dict[tuple[int, int], list[AttentionExample]] = {}
    for example in examples:
        count = len(example.tokens)
        if example.pattern.shape != (count, count):
            raise InvalidValueError(
                f"the attention pattern of head {example.layer}.{example.head} on {example.task!r} must have shape "
                f"(query, key)=({count}, {count}), as it has {count} tokens; got {example.pattern.shape}"
            )
        groups.setdefault((example.layer, example.head), []).append(example)
    return [HeadAttention(layer, head, tuple(group)) for (layer, head), group in groups.items()]


def pattern_properties(example: AttentionExample) -> dict[str, Any] | None:
    """What circuitsvis's `AttentionPattern` element needs to draw an example; None if a weight is not defined.

    `AttentionPattern` draws tokens on a canvas, as text: they need no HTML escapes there and would show them
    (circuitsvis's `AttentionPatterns` and `ColoredTokens` do insert tokens as HTML, and are not used). What is left is
    the script that holds this as JSON: whoever writes it there escapes "<".

    Args:
        example: Tokens and pattern [query, key].
    """
    if not np.isfinite(example.pattern).all():
        return None
    return {
        "tokens": list(example.tokens),
        "attention": [[round(float(weight), 3) for weight in row] for row in example.pattern],
        "minValue": 0,
        "maxValue": 1,
        "positiveColor": BLUE,
        "upperTriColor": "rgb(238,238,238)",
        "maskUpperTri": True,
        "zoomed": False,
    }


def strongest_keys(example: AttentionExample) -> list[tuple[int, str, int, str, float]]:
    """For each query: its position and token, and position, token and weight of the key that it attends to most."""
    keys = np.nan_to_num(example.pattern).argmax(axis=1)
    return [
        (query, example.tokens[query], int(key), example.tokens[key], float(example.pattern[query, key]))
        for query, key in enumerate(keys)
    ]


def circuitsvis_script() -> str:
    """circuitsvis's bundled script, which defines `CircuitsVis`, fit to stand inside a page.

    In its strings, the slash of "</script" gets a backslash, which JavaScript reads as the same. The link to its source
    map, which a browser's tools would fetch, is left out. circuitsvis itself is not imported: that would load torch.

    Raises:
        InvalidValueError: circuitsvis is not installed, or without its script.
    """
    found = find_spec("circuitsvis")
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        script = folder / "dist" / "cdn" / "iife.js"
        if script.is_file():
            text = re.sub(r"\n//# sourceMappingURL=.*", "", script.read_text(encoding="utf-8"))
            return text.replace("</script", "<\\/script")
    raise InvalidValueError("circuitsvis's script dist/cdn/iife.js is not installed; install circuitsvis 1.43.3")
