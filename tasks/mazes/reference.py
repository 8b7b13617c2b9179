"""The mazes' independent reference: one prompt as text, checked and searched in plain Python, without tensors."""

import re
from collections import deque
from dataclasses import dataclass

from tasks.errors import InvalidValueError

_NODE = r"\[[^\[\]]+\]"
_PROMPT = re.compile(f"((?:{_NODE}:(?:{_NODE})+;)+)({_NODE})>({_NODE})=")
_EXAMPLE = "[1]:[2];[2]:[1];[1]>[2]="


@dataclass(frozen=True)
class Maze:
    """A tree in a grid and a query, as a prompt's text says them.

    Attributes:
        neighbours: The neighbours of each node, in listing order.
        start: Where the query starts.
        goal: Where it ends.
    """

    neighbours: dict[str, list[str]]
    start: str
    goal: str

    def walk(self) -> list[str]:
        """The depth-first walk from start to goal: every node it comes to, the steps back included."""
        walk, path, seen = [self.start], [self.start], {self.start}
        while path[-1] != self.goal:
            untried = [other for other in self.neighbours[path[-1]] if other not in seen]
            if untried:
                path.append(untried[0])
                seen.add(untried[0])
            else:
                path.pop()
            walk.append(path[-1])
        return walk

    def path(self) -> list[str]:
        """The shortest path from start to goal, by breadth-first search."""
        queue, paths = deque([self.start]), {self.start: [self.start]}
        while self.goal not in paths:
            here = queue.popleft()
            for other in self.neighbours[here]:
                if other not in paths:
                    paths[other] = [*paths[here], other]
                    queue.append(other)
        return paths[self.goal]


def parse_maze(prompt: str, *, task: str, rows: int, columns: int) -> Maze:
    """The maze of a prompt's text.

    Args:
        prompt: The text, for example `[1]:[2];[2]:[1];[1]>[2]=`.
        task: The task's name, for the errors.
        rows: The rows of the grid.
        columns: Its columns.

    Raises:
        InvalidValueError: The text is no prompt: it cannot be read, names nodes outside the grid or twice, joins nodes
            that the grid does not, lists an edge at one of its ends only, is no tree, or its query does not go from one
            node of the maze to another.
    """
    found = _PROMPT.fullmatch(prompt)
    if not found:
        raise InvalidValueError(f"{prompt!r} is no prompt of {task!r}; one looks like {_EXAMPLE}")
    places = {f"[{row * columns + column + 1}]": (row, column) for row in range(rows) for column in range(columns)}
    for node in re.findall(_NODE, prompt):
        if node not in places:
            raise InvalidValueError(
                f"{node} is no node of the {rows} x {columns} grid of {task!r}; allowed are [1] to [{rows * columns}]"
            )
    neighbours: dict[str, list[str]] = {}
    for block in found[1].split(";")[:-1]:
        node, _, beside = block.partition(":")
        if node in neighbours:
            raise InvalidValueError(f"node {node} is listed twice; each node of a maze is listed once")
        neighbours[node] = re.findall(_NODE, beside)
    for node, others in neighbours.items():
        _check_edges(node, others, neighbours, places)
    _check_tree(neighbours)
    _check_query(found[2], found[3], neighbours)
    return Maze(neighbours, found[2], found[3])


def _check_edges(
    node: str, others: list[str], neighbours: dict[str, list[str]], places: dict[str, tuple[int, int]]
) -> None:
    """Raises InvalidValueError unless a node's neighbours lie beside it, once each, and have it as theirs."""
    row, column = places[node]
    for other in others:
        if abs(places[other][0] - row) + abs(places[other][1] - column) != 1:
            raise InvalidValueError(
                f"{other} is not beside {node} in the grid; only nodes beside each other are joined"
            )
        if others.count(other) > 1:
            raise InvalidValueError(f"node {node} lists {other} twice; each neighbour is listed once")
        if node not in neighbours.get(other, []):
            raise InvalidValueError(
                f"node {node} lists {other}, but {other} does not list {node}; both must or neither"
            )


def _check_tree(neighbours: dict[str, list[str]]) -> None:
    """Raises InvalidValueError unless one path joins any two nodes: all hang together by one edge fewer than nodes."""
    first = next(iter(neighbours))
    reached, left = {first}, [first]
    while left:
        new = [other for other in neighbours[left.pop()] if other not in reached]
        reached.update(new)
        left.extend(new)
    apart = [node for node in neighbours if node not in reached]
    if apart:
        raise InvalidValueError(f"no path leads from {first} to {apart[0]}; a maze is a tree, all in one piece")
    if sum(map(len, neighbours.values())) != 2 * (len(neighbours) - 1):
        raise InvalidValueError("the maze has a loop; a maze is a tree, with one path between any two nodes")


def _check_query(start: str, goal: str, neighbours: dict[str, list[str]]) -> None:
    """Raises InvalidValueError unless the query goes from one node of the maze to another."""
    for role, node in (("start", start), ("goal", goal)):
        if node not in neighbours:
            raise InvalidValueError(f"the {role} {node} is not in the maze; its nodes are {' '.join(neighbours)}")
    if start == goal:
        raise InvalidValueError(f"the query goes from {start} to itself; start and goal must be different nodes")
