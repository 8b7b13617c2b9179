"""The text of `pretraining.md`: a small formal language with repeated strings, nested brackets and Zipfian words.

    Dah fi mo kadef. #qWe7t;qWe7t; (ra<ti{o}b>) c,d,e,f. {}<(n)>

A document is a line of segments. `words`: a sentence over a lexicon whose word of rank r has a probability in
proportion to 1 / (r + 2). `repeat`: a marker, a string, and the string once or twice more. `nested`: brackets of three
kinds that close in order, around letters. `run`: letters or numbers in counting order. No segment is an example of a
task, and nothing is reversed, or changed and repeated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

LOWER, UPPER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
BRACKETS = ("()", "<>", "{}")
CHARACTERS = LOWER + UPPER + DIGITS + "()<>{} .,;#=+-*\n"
"""Every character that a text or a task of `pretraining.md` needs."""

OTHER, COPIED, CLOSING = range(3)
"""What a character is: one of the others; in a repetition of a string; a bracket that closes another."""

_POOLS = (LOWER[:12], LOWER, LOWER + UPPER, LOWER[:12] + UPPER[:12], DIGITS, LOWER + UPPER + DIGITS + "=+-*,")
_WORDS = 600
_SHARES = {"words": 0.4, "repeat": 0.3, "nested": 0.2, "run": 0.1}


@dataclass(frozen=True)
class Text:
    """Characters, and what each of them is.

    Attributes:
        characters: The text.
        kinds: `OTHER`, `COPIED` or `CLOSING` for each character.
    """

    characters: str
    kinds: NDArray[np.uint8]


def text(length: int, *, seed: int) -> Text:
    """So many characters of documents; equal seeds give equal texts, and a longer text begins with a shorter one."""
    generator, words = np.random.default_rng([seed, 1]), lexicon()
    parts: list[tuple[str, int]] = []
    so_far = 0
    while so_far < length:
        document = _document(generator, words)
        parts += document
        so_far += sum(len(characters) for characters, _ in document)
    kinds = np.repeat(np.array([kind for _, kind in parts], np.uint8), [len(characters) for characters, _ in parts])
    return Text("".join(characters for characters, _ in parts)[:length], kinds[:length])


def lexicon() -> tuple[list[str], NDArray[np.float64]]:
    """The words, most probable first, and their probabilities; the same for every text."""
    generator = np.random.default_rng([0, 0])
    syllables = [consonant + vowel for consonant in "bcdfghklmnprstvw" for vowel in "aeiou"]
    found: dict[str, None] = {}
    while len(found) < _WORDS:
        found["".join(generator.choice(syllables, size=generator.integers(1, 4)))] = None
    weights = 1 / (np.arange(_WORDS) + 2)
    return list(found), weights.cumsum() / weights.sum()


def _document(generator: Generator, words: tuple[list[str], NDArray[np.float64]]) -> list[tuple[str, int]]:
    parts: list[tuple[str, int]] = []
    makers = {"words": lambda: _sentence(generator, words), "repeat": lambda: _repeat(generator)}
    makers |= {"nested": lambda: _nested(generator), "run": lambda: _run(generator)}
    for kind in generator.choice(list(_SHARES), size=generator.integers(6, 15), p=list(_SHARES.values())):
        parts += [*makers[str(kind)](), (" ", OTHER)]
    parts[-1] = ("\n", OTHER)
    return parts


def _sentence(generator: Generator, words: tuple[list[str], NDArray[np.float64]]) -> list[tuple[str, int]]:
    lexicon, cumulative = words
    chosen = [lexicon[place] for place in np.searchsorted(cumulative, generator.random(generator.integers(3, 9)))]
    return [(" ".join(chosen).capitalize() + ".", OTHER)]


def _repeat(generator: Generator) -> list[tuple[str, int]]:
    pool = _POOLS[generator.integers(len(_POOLS))]
    string = "".join(pool[place] for place in generator.integers(len(pool), size=generator.integers(2, 25)))
    return [(f"#{string};", OTHER), *[(f"{string};", COPIED)] * int(generator.integers(1, 3))]


def _nested(generator: Generator) -> list[tuple[str, int]]:
    """Brackets opened and closed at random until none is open, at most six deep."""
    parts: list[tuple[str, int]] = []
    closing: list[str] = []
    budget = int(generator.integers(2, 12))
    while budget or closing:
        if budget and len(closing) < 6 and (not closing or generator.random() < 0.55):
            opened = BRACKETS[generator.integers(3)]
            parts.append((opened[0], OTHER))
            closing.append(opened[1])
            budget -= 1
        elif closing and generator.random() < 0.3:
            parts.append((LOWER[generator.integers(26)], OTHER))
        else:
            parts.append((closing.pop(), CLOSING))
    return parts


def _run(generator: Generator) -> list[tuple[str, int]]:
    count = int(generator.integers(3, 9))
    if generator.random() < 0.5:
        first = int(generator.integers(0, 90))
        return [(",".join(map(str, range(first, first + count))) + ".", OTHER)]
    letters = (LOWER, UPPER)[generator.integers(2)]
    first = int(generator.integers(0, 26 - count))
    return [(",".join(letters[first : first + count]) + ".", OTHER)]
