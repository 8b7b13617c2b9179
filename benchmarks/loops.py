"""The per-example Python loops that code bases of such tasks sample with: one prompt at a time, then its answer."""

import random
from collections.abc import Callable, Iterator

from tasks import Task

Prompter = Callable[[Task, int, random.Random], str]
"""Task, length, source of randomness -> a prompt."""


def word(task: Task, length: int, rng: random.Random) -> str:
    """A word of the task's letters, and `=`."""
    letters = [symbol for symbol in task.symbols if symbol.isalpha()]
    return "".join(rng.choice(letters) for _ in range(length)) + "="


def recall(task: Task, length: int, rng: random.Random) -> str:
    """A word and some of its substrings of two letters."""
    text = word(task, max(2, length), rng)
    letters = text[:-1]
    size = min(2, len(letters) - 1)
    places = rng.sample(range(len(letters) - size), min(8, len(letters) - size))
    asked = dict.fromkeys(letters[place : place + size] for place in places)
    return text + ",".join(asked)


def number(length: int, rng: random.Random) -> str:
    """A number of that many digits, least significant first."""
    first = str(rng.randint(0 if length == 1 else 1, 9))
    return "".join(str(rng.randint(0, 9)) for _ in range(length - 1)) + first


def operands(sign: str, *, second: int | None = None) -> Prompter:
    """Two numbers; the second of up to `second` digits, or of up to as many as the first."""

    def prompt(_task: Task, length: int, rng: random.Random) -> str:
        other = rng.randint(1, second or length)
        return number(length, rng) + sign + number(other, rng) + "="

    return prompt


def elements(task: Task, length: int, rng: random.Random) -> list[int]:
    """Numbers of 1 to 100, at least two of them different."""
    drawn = [rng.randint(1, 100) for _ in range(max(2, length))]
    return drawn if len(set(drawn)) > 1 else elements(task, length, rng)


def sequence(task: Task, length: int, rng: random.Random) -> str:
    """A sequence of numbers, and `=`."""
    return "".join(f"[{one}]" for one in elements(task, length, rng)) + "="


def asked_element(task: Task, length: int, rng: random.Random) -> str:
    """A sequence, then one of its elements but the largest."""
    drawn = elements(task, length, rng)
    asked = rng.choice([one for one in drawn if one != max(drawn)])
    return "".join(f"[{one}]" for one in drawn) + f",[{asked}]="


def gaps(task: Task, length: int, rng: random.Random) -> str:
    """A sequence, then the same sorted, with gaps."""
    drawn = elements(task, length, rng)
    hidden = {rng.randrange(len(drawn)), *(place for place in range(len(drawn)) if rng.random() < 0.5)}
    shown = ["_" if place in hidden else f"[{one}]" for place, one in enumerate(sorted(drawn))]
    return "".join(f"[{one}]" for one in drawn) + "," + "".join(shown) + "="


def plain_number(_task: Task, length: int, rng: random.Random) -> str:
    """A number, most significant digit first, and `=`."""
    return number(length, rng)[::-1] + "="


def maze(_task: Task, length: int, rng: random.Random) -> str:
    """A tree of that many nodes of the 8 x 8 grid by Wilson's algorithm, listed in random order, and a query."""
    tree: dict[int, list[int]] = {rng.randrange(64): []}
    while len(tree) < length:
        path = _loop_erased_walk(tree, rng)
        for node, parent in reversed(path):
            if len(tree) < length:
                tree[node] = [parent]
                tree[parent].append(node)
    lines = [
        f"[{node + 1}]:" + "".join(f"[{near + 1}]" for near in rng.sample(tree[node], len(tree[node])))
        for node in rng.sample(sorted(tree), len(tree))
    ]
    start, goal = rng.sample(sorted(tree), 2)
    return ";".join([*lines, f"[{start + 1}]>[{goal + 1}]="])


def _loop_erased_walk(tree: dict[int, list[int]], rng: random.Random) -> list[tuple[int, int]]:
    """The steps of a random walk from outside the tree to it, without its loops."""
    start = node = rng.choice([node for node in range(64) if node not in tree])
    after: dict[int, int] = {}
    while node not in tree:
        after[node] = rng.choice(list(_neighbours(node)))
        node = after[node]
    steps, node = [], start
    while node not in tree:
        steps.append((node, after[node]))
        node = after[node]
    return steps


def _neighbours(node: int) -> Iterator[int]:
    row, column = divmod(node, 8)
    for other, step in ((row - 1, -8), (row + 1, 8), (column - 1, -1), (column + 1, 1)):
        if 0 <= other < 8:
            yield node + step


PROMPTERS: dict[str, Prompter] = {
    "reverse_add": operands("+"),
    "no_carry": operands("+"),
    "carry_only": operands("+"),
    "copy_first": operands("+"),
    "reverse_subtract": operands("-"),
    "multiply_cot": operands("*", second=3),
    "increment": plain_number,
    "digit_successor": plain_number,
    "copy": word,
    "shift": word,
    "reverse": word,
    "capitalize": word,
    "capitalize_reverse": word,
    "mqar": recall,
    "sort": sequence,
    "min": sequence,
    "successor": asked_element,
    "count": asked_element,
    "fill": gaps,
    "dfs_trace": maze,
    "shortest_path": maze,
}
"""How each task's prompts are drawn."""
