"""Docstrings and signatures as the API pages need them. They are written as plain text, not as reStructuredText."""

import re
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):$")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
ANNOTATED = re.compile(r"(?:typing\.)?Annotated\[")
SIGNS = re.compile(r"([*|\\]|_\b)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs before napoleon (priority 500) reads the sections."""
    app.connect("autodoc-process-docstring", _process_docstring, priority=400)
    app.connect("autodoc-process-signature", _process_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _process_docstring(_app: Sphinx, what: str, _name: str, _object: object, _options: Any, lines: list[str]) -> None:
    lines[:] = as_restructured_text(lines)
    if what in ("property", "attribute") and lines:
        lines[0] = f":{lines[0]}"  # an empty type: else napoleon takes what stands before a colon for one


def _process_signature(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    # <factory>, the default of a dataclass's field, is not Python: Sphinx would then cut the signature at every comma.
    return signature and without_bounds(signature).replace("<factory>", "..."), returns and without_bounds(returns)


def as_restructured_text(lines: list[str]) -> list[str]:
    """The lines with *, | and a trailing _ taken literally, and indented formulas and pictures as literal blocks."""
    found: list[str] = []
    literal, in_section, before = False, False, ""
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            literal, in_section = False, bool(SECTION.match(line))
        elif indented and not before and not in_section and not literal:
            literal = True
            found += ["::", ""]
        found.append(line if literal or SECTION.match(line) else _escaped(line))
        before = line
    return found


def without_bounds(signature: str) -> str:
    """The signature with `int` in the place of `Annotated[int, Ge(ge=1)]`: pydantic's bounds are in the docstrings."""
    while found := ANNOTATED.search(signature):
        depth, comma, place = 0, 0, found.end()
        while depth >= 0:
            sign = signature[place]
            depth += (sign in "[(") - (sign in "])")
            if sign == "," and depth == 0 and not comma:
                comma = place
            place += 1
        signature = signature[: found.start()] + signature[found.end() : comma] + signature[place:]
    return signature


def _escaped(line: str) -> str:
    """The line with the signs that reStructuredText would read as markup escaped, but in code."""
    return "".join(part if CODE.fullmatch(part) else SIGNS.sub(r"\\\1", part) for part in CODE.split(line))
