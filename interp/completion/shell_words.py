"""Words of a command line as bash writes them: what an unfinished line says, and how a word is written in its place."""

import re
from collections.abc import Sequence

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^")


def words_of(line: str) -> tuple[list[str], str]:
    """The words of an unfinished line, quotes taken away; and the last one, which is unfinished, as it is written."""
    words, raw, quote, begun = [""], "", "", False
    place = 0
    while place < len(line):
        sign = line[place]
        place += 1
        if not quote and sign.isspace():
            if begun:
                words.append("")
            raw, begun = "", False
            continue
        begun = True
        raw += sign
        if sign == "\\" and quote != "'" and place < len(line):
            words[-1] += line[place]
            raw += line[place]
            place += 1
        elif sign in ("'", '"') and quote in ("", sign):
            quote = "" if quote else sign
        else:
            words[-1] += sign
    return words, raw


def replacements(found: Sequence[str], raw: str, breaks: str) -> list[str]:
    """How bash is to write candidates in the place of an unfinished word.

    Readline replaces only what follows the last of its word breaks, and knows of an opening quote by itself.

    Args:
        found: The candidates.
        raw: The unfinished word, as it is written.
        breaks: The signs that end a word, COMP_WORDBREAKS.
    """
    if raw[:1] == "'":
        return [one for one in found if "'" not in one]
    if raw[:1] == '"':  # in which "$" and "`" run what follows, and "!" brings back what was typed before
        return [re.sub(r"[\\$`]", r"\\\g<0>", one) for one in found if not {'"', "!"} & set(one)]
    cut = 0
    for place, sign in enumerate(raw):
        if sign in breaks and sign not in "\"'" and (place == 0 or raw[place - 1] != "\\"):
            cut = place + 1
    return [escaped(one)[cut:] for one in found if escaped(one).startswith(raw[:cut])]


def escaped(text: str) -> str:
    """A text that bash reads as one word."""
    found = "".join(sign if sign in _PLAIN or ord(sign) > 127 else f"\\{sign}" for sign in text)
    return found or "''"
