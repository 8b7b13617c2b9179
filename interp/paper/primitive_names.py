"""Primitives in a few letters, and what the letters mean."""

from collections.abc import Mapping, Sequence


def codes(names: Sequence[str]) -> dict[str, str]:
    """A code for each primitive: the initials of its words, or as many letters of its first word as tell it apart.

    `copy` and `carry` are `COP` and `CAR`, `offset_copy` is `OC`.
    """
    found: dict[str, str] = {}
    for name in names:
        words = [word for word in name.replace("-", "_").split("_") if word] or [name]
        tries = ["".join(word[0] for word in words)] if len(words) > 1 else []
        tries += [name[:length] for length in range(3, max(4, len(name) + 1))]
        tries += [f"{name[:2]}{number}" for number in range(len(names) + 1)]
        found[name] = next(one.upper() for one in tries if one.upper() not in found.values())
    return found


def in_words(named: Mapping[str, str], *, letters: int) -> list[str]:
    """What the codes mean, in lines of at most so many letters: `OC offset copy, MIN min`."""
    lines: list[str] = []
    for name, code in named.items():
        part = f"{code} {name.replace('_', ' ')}"
        if lines and len(lines[-1]) + len(part) + 2 <= letters:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines
