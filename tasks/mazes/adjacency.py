"""A maze as a prompt: its adjacency list and the query, written from trees and read back.

    [10] : [2] ; [2] : [1] [10] ; [1] : [2] ; [2] > [10] =
    node : neighbours ;   ...                 start > goal =

Symbols are numbers: the nodes of the grid, then the signs `:`, `;`, `>` and `=`.
"""

from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.mazes.spanning_trees import DIRECTIONS, Grid, Trees
from tasks.ragged import Ragged, last_of

SIGNS = (":", ";", ">", "=")
"""The symbols behind those of the nodes."""

MOST = len(DIRECTIONS)
"""The most neighbours a node can have."""

NONE = -1
"""Stands where a node has no further neighbour."""

_QUERY = 4
"""Symbols of the query."""

_SHUFFLES = torch.tensor(list(permutations(range(MOST))))


@dataclass(frozen=True)
class Mazes:
    """Mazes with their queries.

    Attributes:
        neighbours: Each node's neighbours in listing order, NONE behind the last; the last slot is always NONE.
        starts: Where the query starts.
        goals: Where it ends.
    """

    neighbours: Int[Tensor, "batch node slot"]
    starts: Int[Tensor, " batch"]
    goals: Int[Tensor, " batch"]


def prompt_length(size: int) -> int:
    """How many symbols the prompt of a maze of that many nodes has.

    Three for each node (its name, `:` and `;`), two for each edge, of which there are size - 1, and the query.
    """
    return 3 * size + 2 * (size - 1) + _QUERY


def write_mazes(grid: Grid, trees: Trees, sizes: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
    """Prompts of given trees: nodes and each node's neighbours in uniformly random order, then a random query.

    Start and goal are uniform among the pairs of different nodes of the tree.

    Args:
        grid: The grid.
        trees: One tree for each prompt.
        sizes: The number of nodes of each tree, 2 or more.
        generator: The only source of randomness.
    """
    longest = int(sizes.max())
    keys = torch.rand(trees.kept.shape, generator=generator, device=sizes.device, dtype=torch.float64)
    nodes = torch.where(trees.kept, keys, 2.0).argsort(dim=1)[:, :longest]
    query = _query(nodes, sizes, generator=generator)
    beside = _shuffled_neighbours(grid, trees, nodes, generator=generator)
    signs = torch.arange(grid.size, grid.size + len(SIGNS), device=sizes.device).expand(len(sizes), -1)
    colons, semicolons = (sign[:, None, None].expand(-1, longest, 1) for sign in (signs[:, 0], signs[:, 1]))
    blocks = torch.cat([nodes[:, :, None], colons, beside, semicolons], dim=2)
    listed = torch.arange(longest, device=sizes.device)[:, None] < sizes[:, None, None]
    present = ((blocks != NONE) & listed).flatten(1)
    symbols = torch.cat([blocks.flatten(1), query[:, :1], signs[:, 2:3], query[:, 1:], signs[:, 3:]], dim=1)
    present = torch.cat([present, torch.ones_like(symbols[:, -_QUERY:], dtype=torch.bool)], dim=1)
    values = torch.zeros((len(sizes), prompt_length(longest)), dtype=torch.int64, device=sizes.device)
    prompts = Ragged(values, present.sum(dim=1))
    values.masked_scatter_(prompts.counted, symbols[present])
    return prompts


def read_mazes(prompts: Ragged, *, nodes: int) -> Mazes:
    """The mazes that prompts describe, on a grid of that many nodes."""
    values, ends = prompts.values, prompts.lengths[:, None]
    heads = block_heads(prompts, nodes=nodes)
    last = last_of(heads).clamp(min=0)
    places = torch.arange(values.shape[1], device=values.device)
    beside = (values < nodes) & ~heads & (places < ends - _QUERY)
    # No neighbour takes a node's last slot, so all that is no neighbour may write NONE into the first node's.
    slots = torch.where(beside, values.gather(1, last) * (MOST + 1) + places - last - 2, MOST)
    table = torch.full((len(values), nodes * (MOST + 1)), NONE, device=values.device)
    table.scatter_(1, slots, torch.where(beside, values, NONE))
    starts, goals = (values.gather(1, place)[:, 0] for place in query_places(prompts))
    return Mazes(table.view(-1, nodes, MOST + 1), starts, goals)


def block_heads(prompts: Ragged, *, nodes: int) -> Bool[Tensor, "batch pos"]:
    """True where a node stands whose neighbours follow: once for each node of the maze."""
    following = torch.nn.functional.pad(prompts.values[:, 1:], (0, 1))
    return (following == nodes) & prompts.counted


def query_places(prompts: Ragged) -> tuple[Int[Tensor, "batch 1"], Int[Tensor, "batch 1"]]:
    """Where the start and where the goal stand in each prompt."""
    return prompts.lengths[:, None] - _QUERY, prompts.lengths[:, None] - _QUERY + 2


def _query(
    nodes: Int[Tensor, "batch listed"], sizes: Int[Tensor, " batch"], *, generator: Generator
) -> Int[Tensor, "batch 2"]:
    """Two different nodes of each maze, every ordered pair being equally likely."""
    uniform = torch.rand((len(sizes), 2), generator=generator, device=sizes.device, dtype=torch.float64)
    start = (uniform[:, 0] * sizes).long()
    goal = (start + 1 + (uniform[:, 1] * (sizes - 1)).long()) % sizes
    return nodes.gather(1, torch.stack([start, goal], dim=1))


def _shuffled_neighbours(
    grid: Grid, trees: Trees, nodes: Int[Tensor, "batch listed"], *, generator: Generator
) -> Int[Tensor, "batch listed direction"]:
    """The neighbours in the tree of each listed node, in uniformly random order with gaps of NONE between them."""
    shuffle = torch.randint(len(_SHUFFLES), nodes.shape, generator=generator, device=nodes.device)
    order = _SHUFFLES.to(nodes.device)[shuffle]
    beside = grid.neighbours.to(nodes.device)[nodes].gather(2, order)
    parents = trees.parents.gather(1, nodes)[:, :, None]
    their_parents = trees.parents.gather(1, beside.clamp(min=0).flatten(1)).view_as(beside)
    joined = (beside == parents) | (their_parents == nodes[:, :, None])
    return torch.where(joined & (beside != NONE), beside, NONE)
