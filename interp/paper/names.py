"""Names as a figure can show them: not too long, and only in letters that its font has."""

from functools import cache
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

_UNKNOWN = "\N{WHITE SQUARE}"
"""Stands for a letter that the font has not."""


def fitting(name: str, limit: int = 22) -> str:
    """A name of at most `limit` letters: a longer one loses its middle, as its ends tell names apart best."""
    letters = [letter if ord(letter) in _letters() else _UNKNOWN for letter in " ".join(name.split())]
    if len(letters) > limit:
        kept = limit - 1
        letters = [*letters[: kept - kept // 3], "…", *letters[len(letters) - kept // 3 :]]
    return "".join(letters)


def panel_title(name: str, rest: str, *, across: float) -> str:
    """A name and what follows it, as the title of a panel of so many inches, in two lines if one would be too long."""
    letters = max(8, int(13 * across))
    short = fitting(name, letters)
    return f"{short}, {rest}" if len(short) + len(rest) + 2 <= letters else f"{short}\n{rest}"


@cache
def _letters() -> frozenset[int]:
    """The letters of the figures' font."""
    return frozenset(FT2Font(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")).get_charmap())
