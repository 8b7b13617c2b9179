"""Maze tasks: a tree in a grid as an adjacency list, two of its nodes, and the way from one to the other.

    tokens   [dfs_trace] [10] : [2] ; [2] : [1] [10] ; [1] : [2] ; [2] > [10] = [2] [1] [2] [10] [EOS]
    scored        .       .   .  .  .  .  .  .   .   .  .  .  .  .  .  .  .   .  x   x   x   x     x

The walk tries [1] first, because [2] lists it before [10], and goes back; `shortest_path` answers the same prompt with
`[2][10]`. Nodes are numbered row by row: in a grid of 8 columns, [10] lies below [2].

Source: Extrapolation by Association (Cai et al., arXiv 2506.09251), maze tasks.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.mazes.adjacency import SIGNS, block_heads, query_places, read_mazes, write_mazes
from tasks.mazes.reference import Maze, parse_maze
from tasks.mazes.spanning_trees import Grid, early_stopped_trees
from tasks.mazes.walks import Walks, depth_first
from tasks.ragged import Ragged
from tasks.task import Task

LARGEST_SIDE = 16
"""The most rows and the most columns of a grid."""


@dataclass(frozen=True)
class MazeTask(Task):
    """A task on mazes: the prompt lists each node with its neighbours, then start and goal; the answer is a walk.

    Length is the number of nodes N of the maze, a tree: a spanning tree of the grid by Wilson's algorithm, stopped
    early once N nodes are in it. The order of the nodes, the order of each node's neighbours, and start and goal, two
    different nodes of the maze, are uniform. So prompts of one length are not all equally likely: their trees are not
    (`tasks.mazes.spanning_trees.early_stopped_trees`).

    Attributes:
        rows: The rows of the grid: 1 to 16.
        columns: Its columns: 1 to 16.

    Raises:
        InvalidValueError: Rows or columns outside 1..16, or a grid of one node.
    """

    rows: int = 8
    columns: int = 8

    min_length: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for side, count in (("rows", self.rows), ("columns", self.columns)):
            if not isinstance(count, int) or not 1 <= count <= LARGEST_SIDE:
                raise InvalidValueError(
                    f"{side} {count!r} is not possible for {self.name!r}; allowed are 1 to {LARGEST_SIDE}"
                )
        if self.grid.size < self.min_length:
            raise InvalidValueError(
                f"a 1 x 1 grid is not possible for {self.name!r}; a maze needs 2 nodes: give more rows or columns"
            )

    @cached_property
    def grid(self) -> Grid:
        """The grid that the mazes lie in."""
        return Grid(self.rows, self.columns)

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*(f"[{node + 1}]" for node in range(self.grid.size)), *SIGNS)

    @property
    def max_length(self) -> int:
        return self.grid.size

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        trees = early_stopped_trees(self.grid, lengths, generator=generator)
        return write_mazes(self.grid, trees, lengths, generator=generator)

    def answers(self, prompts: Ragged) -> Ragged:
        return self.select(depth_first(read_mazes(prompts, nodes=self.grid.size)))

    def select(self, walks: Walks) -> Ragged:
        """The answers, of what is known of the walks from start to goal."""
        raise NotImplementedError

    def prompt_space(self, length: int) -> int:
        """A lower bound: the orders of nodes, times the queries, times the fewest trees that reach every edge.

        Every edge of the grid is in some tree of N nodes, and one tree has only N - 1 of them. The orders of neighbours
        are left out.
        """
        edges = self.rows * (self.columns - 1) + self.columns * (self.rows - 1)
        return math.factorial(length) * length * (length - 1) * math.ceil(edges / (length - 1))

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with another query in the same maze, in one of three ways that are equally likely.

        The start, or the goal, becomes another node of the maze, uniformly; or the goal becomes the node that the start
        lists first. The third makes the shortest answer there is, so that prompts with short answers have
        counterfactuals that are found, however large the maze.
        """
        values, device = prompts.values, prompts.values.device
        start, goal = query_places(prompts)
        way = torch.randint(3, start.shape, generator=generator, device=device)
        place = torch.where(way == 0, start, goal)
        heads = block_heads(prompts, nodes=self.grid.size)
        weights = torch.rand(values.shape, generator=generator, device=device)
        other = torch.where(heads & (values != values.gather(1, place)), weights, -1.0).argmax(dim=1, keepdim=True)
        first = (heads & (values == values.gather(1, start))).int().argmax(dim=1, keepdim=True) + 2
        new = values.gather(1, torch.where(way == 2, first, other))
        return Ragged(values.scatter(1, place, new), prompts.lengths)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        """Whether start and goal are different nodes."""
        start, goal = (changed.values.gather(1, place)[:, 0] for place in query_places(changed))
        return start != goal

    def read(self, prompt: str) -> Maze:
        """The maze of a prompt, checked, for `solve`."""
        return parse_maze(prompt, task=self.name, rows=self.rows, columns=self.columns)


@dataclass(frozen=True)
class DfsTrace(MazeTask):
    """The depth-first walk, every step back included: `[1]:[2];[2]:[1][3];[3]:[2];[2]>[3]=` -> `[2][1][2][3]`.

    Neighbours are tried in listing order, and the walk ends when it first comes to the goal. The paper leaves the order
    open; this one makes the answer unique.
    """

    name = "dfs_trace"
    summary = "[1]:[2];[2]:[1][3];[3]:[2];[2]>[3]= -> [2][1][2][3]: the depth-first walk, every step back included"

    def select(self, walks: Walks) -> Ragged:
        return walks.steps

    def solve(self, prompt: str) -> str:
        return "".join(self.read(prompt).walk())


@dataclass(frozen=True)
class ShortestPath(MazeTask):
    """The only path from start to goal without detours: `[1]:[2];[2]:[1][3];[3]:[2];[1]>[3]=` -> `[1][2][3]`."""

    name = "shortest_path"
    summary = "[1]:[2];[2]:[1][3];[3]:[2];[1]>[3]= -> [1][2][3]: the path without detours"

    def select(self, walks: Walks) -> Ragged:
        return walks.paths

    def solve(self, prompt: str) -> str:
        return "".join(self.read(prompt).path())
