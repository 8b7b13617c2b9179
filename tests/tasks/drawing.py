"""Reads the aligned rows that docstrings and pages draw."""


def drawn_rows(text: str | None, marker: str) -> dict[str, list[str]]:
    """The rows `tokens`, `scored`, ... drawn under each other, by the first word of each line.

    Args:
        text: A docstring or page.
        marker: The first token of the drawing that is meant.
    """
    assert text
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line.split()[:2] == ["tokens", marker])
    rows: dict[str, list[str]] = {}
    for line in lines[first:]:
        if not line.strip() or line.startswith("```"):
            break
        name, *cells = line.split("(")[0].split()
        rows[name] = cells
    return rows
