"""Random trees in a grid: uniform spanning trees by Wilson's algorithm, stopped early at a number of nodes."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

DIRECTIONS = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""Up, left, right, down, as steps of (row, column)."""

_CHOICES = 12
"""Divisible by 1, 2, 3 and 4, so that one uniform number below it is a uniform choice among any node's neighbours."""

_ROUNDS = 8
"""Rounds of popping between two looks at which trees are finished: looking costs as much as a round or two."""

_RANKS = 2**40
"""Random numbers below this order the starts of the walks: two of a maze's are the same in 1 maze of 5e8 (8 x 8)."""


@dataclass(frozen=True)
class Grid:
    """The nodes of a grid of rows and columns, numbered row by row from 0, each joined with those beside it."""

    rows: int
    columns: int

    @property
    def size(self) -> int:
        """The number of nodes."""
        return self.rows * self.columns

    @cached_property
    def neighbours(self) -> Int[Tensor, "node direction"]:
        """The node in each of the DIRECTIONS; -1 where the grid ends."""
        return torch.tensor([[self._beside(node, *step) for step in DIRECTIONS] for node in range(self.size)])

    @cached_property
    def choices(self) -> Int[Tensor, "node choice"]:
        """Every node's neighbours, each as often as any other of that node."""
        rows = [[other for other in row if other >= 0] for row in self.neighbours.tolist()]
        return torch.tensor([row * (_CHOICES // len(row)) for row in rows])

    @property
    def centre(self) -> int:
        """A node that lies nearest to the middle."""
        return self.rows // 2 * self.columns + self.columns // 2

    def _beside(self, node: int, down: int, right: int) -> int:
        row, column = node // self.columns + down, node % self.columns + right
        return row * self.columns + column if 0 <= row < self.rows and 0 <= column < self.columns else -1


@dataclass(frozen=True)
class Trees:
    """Trees in a grid.

    Attributes:
        parents: The next node on the way to the root; the node itself for the root and for nodes outside the tree.
        kept: True for the nodes of the tree.
    """

    parents: Int[Tensor, "batch node"]
    kept: Bool[Tensor, "batch node"]


def early_stopped_trees(grid: Grid, sizes: Int[Tensor, " batch"], *, generator: Generator) -> Trees:
    """Trees of given numbers of nodes, as Wilson's algorithm has grown them when that many nodes are in the tree.

    The root is uniform over the grid. Each loop-erased walk starts at a node that is uniform among those not yet in the
    tree; of the walk that would make the tree too large, the part nearest to the tree is kept. In particular the full
    grid gives a uniform spanning tree; smaller trees are not uniform among all trees of their size.

    Args:
        grid: A grid of 2 or more nodes.
        sizes: The number of nodes of each tree, 1 to all.
        generator: The only source of randomness; the trees are made on its device.
    """
    roots = torch.randint(grid.size, sizes.shape, generator=generator, device=generator.device)
    parents = rerooted(spanning_trees(grid, len(sizes), generator=generator), roots)
    joined = _joining_order(parents, roots, generator=generator)
    places = torch.arange(grid.size, device=parents.device)
    kept = torch.zeros_like(parents, dtype=torch.bool).scatter_(1, joined, places < sizes[:, None])
    return Trees(torch.where(kept, parents, places), kept)


def spanning_trees(grid: Grid, count: int, *, generator: Generator) -> Int[Tensor, "batch node"]:
    """Uniform spanning trees of the grid, rooted at its centre, as the parent of every node (the root's is itself).

    Every node but the root has an arrow to a random neighbour. As long as arrows form cycles, all arrows of all cycles
    are drawn anew. The tree that is left has the law of Wilson's sequential algorithm, in whatever order cycles are
    popped (Wilson 1996, Generating random spanning trees more quickly than the cover time; Propp and Wilson 1998, How
    to get a perfectly random sample from a generic Markov chain and generate a random spanning tree of a directed
    graph), so all nodes of all trees go at once.
    """
    choices, device = grid.choices.to(generator.device).flatten(), generator.device
    own, root = torch.arange(grid.size, device=device), grid.centre
    draws = torch.randint(_CHOICES, (count, grid.size), generator=generator, device=device)
    arrows = torch.where(own == root, own, choices[_CHOICES * own + draws])
    parents, rows = arrows.clone(), torch.arange(count, device=device)
    while len(rows):
        for _ in range(_ROUNDS):
            places = _on_cycles(arrows, root).flatten().nonzero()[:, 0]
            draws = torch.randint(_CHOICES, places.shape, generator=generator, device=device)
            arrows.view(-1)[places] = choices[_CHOICES * (places % grid.size) + draws]
        parents[rows] = arrows
        left = _on_cycles(arrows, root).any(dim=1)
        rows, arrows = rows[left], arrows[left]
    return parents


def rerooted(parents: Int[Tensor, "batch node"], roots: Int[Tensor, " batch"]) -> Int[Tensor, "batch node"]:
    """The same trees with other roots: the arrows on the way from the new root to the old one are turned round.

    A spanning tree drawn from any root is as uniform, and drawing one from the centre takes two thirds of the time.
    """
    own, new = torch.arange(parents.shape[1], device=parents.device), roots[:, None]
    way, above = own == new, parents
    for _ in range(_doublings(parents.shape[1])):
        way = way.scatter(1, torch.where(way, above, new), True)
        above = above.gather(1, above)
    turned = way & (parents != own)
    return parents.scatter(1, torch.where(turned, parents, new), torch.where(turned, own, new))


def _on_cycles(arrows: Int[Tensor, "batch node"], root: int) -> Bool[Tensor, "batch node"]:
    """True for the nodes on cycles of arrows: those that are reached by as many steps as there are nodes, or more."""
    ahead = arrows
    for _ in range(_doublings(arrows.shape[1])):
        ahead = ahead.gather(1, ahead)
    reached = torch.zeros_like(arrows, dtype=torch.bool).scatter_(1, ahead, True)
    reached[:, root] = False
    return reached


def _joining_order(
    parents: Int[Tensor, "batch node"], roots: Int[Tensor, " batch"], *, generator: Generator
) -> Int[Tensor, "batch node"]:
    """The nodes in the order in which Wilson's algorithm adds them when its walks start in a uniformly random order.

    Going through a random order of all nodes and skipping those already in the tree starts each walk at a uniform one
    of the others. A node joins with the walk of its first descendant (itself included), and the nodes of one walk are
    counted from the tree outwards, by their depth.
    """
    ranks = torch.randint(_RANKS, parents.shape, generator=generator, device=parents.device)
    first = ranks.scatter_(1, roots[:, None], -1)
    depth = torch.ones_like(parents).scatter_(1, roots[:, None], 0)
    above = parents
    for _ in range(_doublings(parents.shape[1])):
        first = first.scatter_reduce(1, above, first, "amin")
        depth = depth + depth.gather(1, above)
        above = above.gather(1, above)
    return (first * parents.shape[1] + depth).argsort(dim=1)


def _doublings(steps: int) -> int:
    """How often one step must be doubled to make at least this many."""
    return (steps - 1).bit_length()
