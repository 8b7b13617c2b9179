"""An example and its counterfactual as aligned rows of text."""

from tasks import Batch, Pair, Vocabulary

WIDTH = 76
"""Longer examples are broken into blocks of rows of about this many characters."""


def example_rows(example: Pair | Batch, vocabulary: Vocabulary) -> str:
    """One example as aligned rows: tokens, which are scored, and of a pair the counterfactual and where it differs.

    `x` marks a scored token, `^` a replaced token of the prompt, `x` in the last row a scored token that differs.

    Args:
        example: A pair, or a batch, of one example.
        vocabulary: Its tokens.
    """
    sides = (example.clean, example.counterfactual) if isinstance(example, Pair) else (example,)
    rows = {
        "tokens": vocabulary.split(sides[0].tokens[0]),
        "scored": ["x" if mark else "." for mark in sides[0].scored[0].tolist()],
    }
    if isinstance(example, Pair):
        marks = zip(example.changed[0].tolist(), example.differs[0].tolist(), strict=True)
        rows["counterfactual"] = vocabulary.split(example.counterfactual.tokens[0])
        rows["differs"] = ["^" if changed else "x" if differ else "." for changed, differ in marks]
    longest = max(int(side.scored[0].nonzero().max()) for side in sides)
    columns = list(zip(*rows.values(), strict=True))[: longest + 1]
    return "\n\n".join(_block(block, tuple(rows)) for block in _blocks(columns))


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
