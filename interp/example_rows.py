"""An example and its counterfactual as aligned rows of text."""

from tasks import Pair, Vocabulary

WIDTH = 100
"""Longer examples are broken into blocks of rows of about this many characters."""


def example_rows(pair: Pair, place: int, vocabulary: Vocabulary) -> str:
    """One example of a pair as four rows: tokens, which are scored, the counterfactual, and where it differs.

    `x` marks a scored token, `^` a replaced token of the prompt, `x` in the last row a scored token that differs.
    """
    sides = [vocabulary.split(side.tokens[place]) for side in (pair.clean, pair.counterfactual)]
    scored = ["x" if mark else "." for mark in pair.clean.scored[place].tolist()]
    marks = zip(pair.changed[place].tolist(), pair.differs[place].tolist(), strict=True)
    differs = ["^" if changed else "x" if differ else "." for changed, differ in marks]
    longest = max(side.scored[place].nonzero().max().item() for side in (pair.clean, pair.counterfactual))
    columns = list(zip(sides[0], scored, sides[1], differs, strict=True))[: int(longest) + 1]
    names = ("tokens", "scored", "counterfactual", "differs")
    return "\n\n".join(_block(block, names) for block in _blocks(columns))


def _blocks(columns: list[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """The columns, broken where a row would grow too wide."""
    blocks: list[list[tuple[str, ...]]] = [[]]
    used = 0
    for column in columns:
        wide = max(map(len, column)) + 1
        if used + wide > WIDTH and blocks[-1]:
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += wide
    return blocks


def _block(columns: list[tuple[str, ...]], names: tuple[str, ...]) -> str:
    widths = [max(map(len, column)) for column in columns]
    rows = zip(names, zip(*columns, strict=True), strict=True)
    lines = (
        f"{name:14}  " + " ".join(cell.center(width) for cell, width in zip(cells, widths, strict=True))
        for name, cells in rows
    )
    return "\n".join(line.rstrip() for line in lines)
