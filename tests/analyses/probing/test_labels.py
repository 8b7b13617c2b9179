"""Labels against plain Python on the examples' text, which tasks have which, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.probing import Label, get_label, list_labels
from analyses.probing.catalogue import LABELS, check_label
from tasks import Batch, InvalidValueError, Task, UnknownNameError, get_task, list_tasks
from tests.analyses.models import seeded

SORTING = ["sort", "min", "successor", "count", "fill"]
ADDITION = ["reverse_add", "no_carry", "carry_only", "copy_first"]
MAZES = ["dfs_trace", "shortest_path"]
SMALL: dict[str, dict[str, Any]] = {name: {"numbers": 9} for name in SORTING} | {
    name: {"rows": 3, "columns": 3} for name in MAZES
}


def examples(task: Task) -> Batch:
    """Of different lengths, filled up behind, and as in training, where operands have different lengths."""
    lengths = torch.tensor([max(2, task.min_length), 4, 5, 4, 3] * 8)
    return task.sample(40, length=lengths, generator=seeded(), stream="train")


def current_token(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    last = max(place for place, one in enumerate(scored) if one)
    return [task.vocabulary.index[token] if place < last else -1 for place, token in enumerate(tokens)]


def next_target(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    following = zip(tokens[1:], scored[1:], strict=True)
    return [task.vocabulary.index[token] if counts else -1 for token, counts in following] + [-1]


def position_from_end(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    end = tokens.index("=")
    special = {"[BOS]", task.marker}
    return [end - place if place <= end and token not in special else -1 for place, token in enumerate(tokens)]


def number(token: str) -> int:
    inner = token.strip("[]")
    return int(inner) if inner.isdigit() else 0


def parts(tokens: list[str]) -> tuple[list[int], int, int]:
    """The elements of a sequence, where it ends, and where the prompt does."""
    end = tokens.index("=")
    stop = tokens.index(",") if "," in tokens[:end] else end
    return [number(token) for token in tokens[:stop] if number(token)], stop, end


def minimum(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    _, stop, end = parts(tokens)
    found = []
    for place in range(len(tokens)):
        seen = [number(token) for token in tokens[: min(place + 1, stop)] if number(token)]
        found.append(min(seen) if seen and place <= end else -1)
    return found


def successor(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    elements, stop, _ = parts(tokens)
    found = []
    for place, token in enumerate(tokens):
        larger = [element for element in elements if place > stop and number(token) and element > number(token)]
        found.append(min(larger, default=-1))
    return found


def carry_in(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    text = "".join(token for token in tokens[: tokens.index("=")] if len(token) == 1)
    first, second = text.split("+")
    found, start = [], scored.index(True)
    for place in range(len(tokens)):
        answers = place + 1 < len(tokens) and scored[place + 1] and tokens[place + 1].isdigit()
        k = place + 1 - start
        # The carry into place k: do the lower k digits of both, as numbers, reach 10^k?
        lower = [int(one[:k][::-1] or "0") for one in (first, second)]
        found.append(int(sum(lower) >= 10**k) if answers and k else 0 if answers else -1)
    return found


def maze_depth(task: Task, tokens: list[str], scored: list[bool]) -> list[int]:
    start = next(place for place, token in enumerate(tokens) if number(token))
    text = "".join(tokens[start : tokens.index("=")]) + "="
    maze: Any = task.read(text)  # pyright: ignore[reportAttributeAccessIssue]  (a maze task)
    distance, layer = {maze.start: 0}, [maze.start]
    for node in layer:  # breadth first: the list grows while it is read
        for other in maze.neighbours[node]:
            if other not in distance:
                distance[other] = distance[node] + 1
                layer.append(other)
    return [distance.get(token, -1) if counts else -1 for token, counts in zip(tokens, scored, strict=True)]


PLAIN: dict[str, Callable[[Task, list[str], list[bool]], list[int]]] = {
    "current_token": current_token, "next_target": next_target, "position_from_end": position_from_end,
    "minimum": minimum, "successor": successor, "carry_in": carry_in, "maze_depth": maze_depth,
}  # fmt: skip
HAVE = {
    "minimum": SORTING,
    "successor": ["sort", "min", "successor", "fill"],
    "carry_in": ADDITION,
    "maze_depth": MAZES,
}
CASES = [(label, task) for label in PLAIN for task in HAVE.get(label, [*SORTING, "reverse_add", "dfs_trace", "mqar"])]


@pytest.mark.parametrize(("label", "name"), CASES)
@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
def test_labels_are_what_plain_python_finds(label: str, name: str, marking: str) -> None:
    task = get_task(name, marking=marking, **SMALL.get(name, {}))
    batch = examples(task)
    found = get_label(label).values(task, batch)
    for row in range(len(batch)):
        tokens = list(task.vocabulary.split(batch.tokens[row]))
        assert found[row].tolist() == PLAIN[label](task, tokens, batch.scored[row].tolist()), " ".join(tokens)
    assert (found >= 0).any()


def test_a_larger_vocabulary_changes_token_ids_only() -> None:
    task = get_task("sort", numbers=5)
    bound = task.bind(get_task("copy").vocabulary.union(task.vocabulary))
    own, other = (one.sample(6, length=4, generator=seeded()) for one in (task, bound))
    for label in ("minimum", "successor", "position_from_end"):
        assert torch.equal(get_label(label).values(task, own), get_label(label).values(bound, other))


def test_every_label_is_checked_here_and_says_which_tasks_have_it() -> None:
    assert list(PLAIN) == list_labels() == list(LABELS)
    for label in PLAIN:
        assert sorted(get_label(label).task_names()) == sorted(HAVE.get(label, list_tasks()))
        assert get_label(label).meaning
    assert list_labels(get_task("reverse_add")) == ["current_token", "next_target", "position_from_end", "carry_in"]


def test_unknown_and_foreign_labels_are_refused() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown label 'carry'; did you mean 'carry_in'. the labels are current_t"
    ):
        get_label("carry")
    with pytest.raises(InvalidValueError) as caught:
        check_label(get_label("carry_in"), get_task("sort"))
    assert str(caught.value) == (
        "label 'carry_in' does not apply to task 'sort' but to carry_only, copy_first, no_carry, reverse_add; the "
        "labels of 'sort' are current_token, next_target, position_from_end, minimum, successor"
    )


def test_functions_of_the_users_are_labels() -> None:
    def parity(task: Task, batch: Batch) -> Tensor:
        return batch.tokens % 2

    label = get_label(parity)
    assert label.name == "parity"
    assert label.applies(get_task("copy"))
    assert get_label(label) is label


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("values", "text"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), r"tokens\. Got \(2, 3\)"),
        ([0], r"tokens\. Got list"),
        (torch.zeros(2, 6), r"tokens\. Got torch\.float32; use int64"),
        (torch.full((2, 6), -2), r"tokens\. Got -2"),
    ],
    ids=["shape", "list", "type", "value"],
)
def test_labels_that_are_none_are_refused(values: Any, text: str) -> None:
    task = get_task("copy", alphabet=4)
    batch = task.sample(2, length=2, generator=seeded())  # [copy] a b = a b [EOS]
    assert batch.tokens.shape == (2, 7)
    label = Label("own", "of the test", lambda *_: values)
    narrow = Batch(batch.tokens[:, :6], batch.scored[:, :6])
    with pytest.raises(
        InvalidValueError, match=r"^label 'own' must give one whole number, -1 or more.*\(2, 6\) " + text
    ):
        label.values(task, narrow)
