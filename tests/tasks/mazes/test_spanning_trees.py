"""Trees in a grid: their law against enumeration, hand-worked cases and a sequential Wilson's algorithm."""

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from tasks.mazes.spanning_trees import Grid, Trees, early_stopped_trees, rerooted, spanning_trees

Edges = frozenset[tuple[int, int]]


def grid_edges(grid: Grid) -> list[tuple[int, int]]:
    """The pairs of nodes beside each other, smaller first, found without the grid's own tables."""
    places = list(itertools.product(range(grid.rows), range(grid.columns)))
    return [
        (one, other)
        for one, other in itertools.combinations(range(len(places)), 2)
        if sum(abs(a - b) for a, b in zip(places[one], places[other], strict=True)) == 1
    ]


def edges_of(parents: Iterable[int]) -> Edges:
    return frozenset((min(pair), max(pair)) for pair in enumerate(parents) if pair[0] != pair[1])


def is_tree(nodes: set[int], edges: Edges) -> bool:
    """Whether the edges join all the nodes, and no others, without a loop."""
    reached = {min(nodes)}
    for _ in nodes:
        reached |= {node for edge in edges if reached & set(edge) for node in edge}
    return reached == nodes and len(edges) == len(nodes) - 1


def sampled(grid: Grid, size: int, *, n: int, seed: int) -> Trees:
    return early_stopped_trees(grid, torch.full((n,), size), generator=torch.Generator().manual_seed(seed))


def wilson(grid: Grid, size: int, rng: np.random.Generator) -> Edges:
    """One tree by Wilson's algorithm as it is told: walk after walk, loops erased, until it has `size` nodes."""
    beside: dict[int, list[int]] = {node: [] for node in range(grid.size)}
    for one, other in grid_edges(grid):
        beside[one].append(other)
        beside[other].append(one)
    tree, edges = {int(rng.integers(grid.size))}, set[tuple[int, int]]()
    while len(tree) < size:
        walk = [int(rng.choice([node for node in beside if node not in tree]))]
        while walk[-1] not in tree:
            ahead = int(rng.choice(beside[walk[-1]]))
            walk = walk[: walk.index(ahead) + 1] if ahead in walk else [*walk, ahead]
        for node, parent in list(itertools.pairwise(walk))[::-1][: size - len(tree)]:
            tree.add(node)
            edges.add((min(node, parent), max(node, parent)))
    return frozenset(edges)


def same_law(first: Counter[Hashable], second: Counter[Hashable]) -> bool:
    """Whether two samples may come from one law: chi-square, p > 1e-3; outcomes seen under 10 times count as one."""
    common = [outcome for outcome in first | second if first[outcome] + second[outcome] >= 10]
    rows = [[counts[outcome] for outcome in common] for counts in (first, second)]
    rare = [counts.total() - sum(row) for counts, row in zip((first, second), rows, strict=True)]
    table = np.array([[*row, rest] if sum(rare) else row for row, rest in zip(rows, rare, strict=True)])
    return table.shape[1] == 1 or bool(chi2_contingency(table).pvalue > 1e-3)


# The grid 0 1 2 / 3 4 5: up, left, right, down.
def test_grid_by_hand() -> None:
    grid = Grid(2, 3)
    assert grid.size == 6
    assert grid.centre == 4
    assert grid.neighbours.tolist() == [
        [-1, -1, 1, 3],
        [-1, 0, 2, 4],
        [-1, 1, -1, 5],
        [0, -1, 4, -1],
        [1, 3, 5, -1],
        [2, 4, -1, -1],
    ]
    assert grid.choices.tolist()[0] == [1, 3] * 6
    assert grid.choices.tolist()[4] == [1, 3, 5] * 4


@pytest.mark.parametrize(("rows", "columns", "centre"), [(1, 2, 1), (2, 1, 1), (1, 5, 2), (8, 8, 36), (16, 16, 136)])
def test_centre(rows: int, columns: int, centre: int) -> None:
    assert Grid(rows, columns).centre == centre


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (1, 7), (3, 5), (8, 8)])
def test_choices_are_the_neighbours_equally_often(rows: int, columns: int) -> None:
    grid = Grid(rows, columns)
    pairs = Counter(pair for edge in grid_edges(grid) for pair in (edge, edge[::-1]))
    for node, choices in enumerate(grid.choices.tolist()):
        counts = Counter(choices)
        assert set(counts) == {other for one, other in pairs if one == node}
        assert len(set(counts.values())) == 1


def test_spanning_trees_are_uniform() -> None:
    # 2 x 3: of the 21 choices of 5 of the 7 edges, 15 are trees (7 edges, two squares sharing one: 4 * 4 - 1).
    grid = Grid(2, 3)
    trees = [frozenset(edges) for edges in itertools.combinations(grid_edges(grid), 5)]
    trees = [edges for edges in trees if is_tree(set(range(6)), edges)]
    assert len(trees) == 15
    parents = spanning_trees(grid, 15_000, generator=torch.Generator().manual_seed(1))
    counts = Counter(map(edges_of, parents.tolist()))
    assert set(counts) == set(trees)
    assert chisquare([counts[tree] for tree in trees]).pvalue > 1e-3


def test_unstopped_trees_are_uniform_and_so_is_their_root() -> None:
    trees = sampled(Grid(2, 3), 6, n=18_000, seed=2)
    roots = (trees.parents == torch.arange(6)).int().argmax(dim=1)
    counts = Counter(zip(map(edges_of, trees.parents.tolist()), roots.tolist(), strict=True))
    assert len(counts) == 15 * 6
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize(
    ("rows", "columns", "size"), [(2, 3, 2), (2, 3, 3), (2, 3, 4), (2, 3, 5), (3, 3, 4), (1, 6, 4)]
)
def test_early_stopped_trees_have_the_law_of_the_sequential_algorithm(rows: int, columns: int, size: int) -> None:
    grid, rng = Grid(rows, columns), np.random.default_rng(3)
    drawn: Counter[Hashable] = Counter(map(edges_of, sampled(grid, size, n=4000, seed=4).parents.tolist()))
    reference: Counter[Hashable] = Counter(wilson(grid, size, rng) for _ in range(4000))
    assert same_law(drawn, reference)


def test_laws_that_differ_are_told_apart() -> None:
    # Early-stopped trees of 3 nodes of 2 x 3 are not uniform among the trees of that size; the test above would notice.
    grid, rng = Grid(2, 3), np.random.default_rng(5)
    trees = [frozenset(edges) for edges in itertools.combinations(grid_edges(grid), 2)]
    trees = [edges for edges in trees if is_tree({node for edge in edges for node in edge}, edges)]
    drawn: Counter[Hashable] = Counter(map(edges_of, sampled(grid, 3, n=4000, seed=6).parents.tolist()))
    assert set(drawn) == set(trees)
    uniform: Counter[Hashable] = Counter(trees[place] for place in rng.integers(len(trees), size=4000))
    assert not same_law(drawn, uniform)


def test_early_stop_by_hand() -> None:
    # The line 0 1 2 3 4, 3 nodes: 012, 123 or 234.
    # Root 0 gives 012, root 4 gives 234.
    # Root 1: the first walk starts at 0 (1/4), then from 2, 3 or 4: 012. At 2 (1/4), then from 0 (1/3): 012, else 123.
    #   At 3 or 4 (1/2): its part nearest to 1 is 2, 3: 123. Together 012: 1/4 + 1/12 = 1/3, 123: 2/3. Root 3 likewise.
    # Root 2: at 0: 012; at 1, then from 0 (1/3): 012, else 123; the same on the other side. Together 1/3 each.
    # So 012: (1 + 1/3 + 1/3) / 5 = 1/3, and each of the three has 1/3.
    trees = sampled(Grid(1, 5), 3, n=6000, seed=7)
    roots = ((trees.parents == torch.arange(5)) & trees.kept).int().argmax(dim=1)
    firsts = trees.kept.int().argmax(dim=1)
    counts = torch.stack([firsts[roots == root].bincount(minlength=3) for root in range(5)])
    assert counts[0].tolist()[1:] == [0, 0]
    assert counts[4].tolist()[:2] == [0, 0]
    assert counts[1, 2] == counts[3, 0] == 0
    assert chisquare(counts.sum(dim=1).numpy()).pvalue > 1e-3
    assert chisquare(counts[2].numpy()).pvalue > 1e-3
    for seen in (counts[1, :2], counts[3, 1:].flip(0)):
        total = int(seen.sum())
        assert chisquare(seen.numpy(), [total / 3, total * 2 / 3]).pvalue > 1e-3


@settings(max_examples=60)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 2**32), data=st.data())
def test_trees_are_trees_of_the_size_asked_for(rows: int, columns: int, seed: int, data: st.DataObject) -> None:
    grid = Grid(rows, columns) if rows * columns > 1 else Grid(1, 2)
    sizes = data.draw(st.lists(st.integers(1, grid.size), min_size=1, max_size=12))
    trees = early_stopped_trees(grid, torch.tensor(sizes), generator=torch.Generator().manual_seed(seed))
    allowed = set(grid_edges(grid))
    for parents, kept, size in zip(trees.parents.tolist(), trees.kept.tolist(), sizes, strict=True):
        nodes, edges = {node for node in range(grid.size) if kept[node]}, edges_of(parents)
        assert len(nodes) == size
        assert edges <= allowed
        assert is_tree(nodes, edges)


def test_no_trees() -> None:
    trees = early_stopped_trees(Grid(8, 8), torch.zeros(0).long(), generator=torch.Generator())
    assert trees.parents.shape == trees.kept.shape == (0, 64)


def test_largest_grid() -> None:
    grid = Grid(16, 16)
    trees = sampled(grid, 256, n=4, seed=8)
    assert all(is_tree(set(range(256)), edges_of(parents)) for parents in trees.parents.tolist())


def test_rerooted_by_hand() -> None:
    # 3 -> 1 -> 0 and 2 -> 0, 4 -> 3, rooted at 0; from 3 the way up is turned round, the rest stays.
    parents = torch.tensor([[0, 0, 0, 1, 3]] * 3)
    assert rerooted(parents, torch.tensor([3, 0, 2])).tolist() == [[1, 3, 0, 3, 3], [0, 0, 0, 1, 3], [2, 0, 2, 1, 3]]


def test_same_state_same_trees() -> None:
    first, again, other = (sampled(Grid(4, 4), 9, n=5, seed=seed) for seed in (9, 9, 10))
    assert torch.equal(first.parents, again.parents)
    assert torch.equal(first.kept, again.kept)
    assert not torch.equal(first.parents, other.parents)
