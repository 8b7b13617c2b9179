"""Maze tasks: the sampler against `solve`, cases worked out by hand, the law of prompts, counterfactuals, errors."""

import itertools
import re
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks import Batch, InvalidValueError
from tasks.mazes import DfsTrace, ShortestPath, mazes
from tasks.mazes.adjacency import prompt_length, write_mazes
from tasks.mazes.mazes import MazeTask
from tasks.mazes.spanning_trees import Grid, Trees
from tasks.ragged import Ragged
from tests.tasks.drawing import drawn_rows

KINDS = [DfsTrace, ShortestPath]
GRIDS = [(1, 2), (2, 1), (2, 2), (1, 7), (3, 5), (8, 8)]
LINE = "[1]:[2];[2]:[1][3];[3]:[2];"

# Mazes, with the walk and the path from start to goal.
BY_HAND = [
    # Two nodes; the walk is the path.
    ("[1]:[2];[2]:[1];[1]>[2]=", "[1][2]", "[1][2]"),
    # From the middle of a line: the first listed neighbour is a dead end, or the goal.
    (LINE + "[2]>[3]=", "[2][1][2][3]", "[2][3]"),
    (LINE + "[2]>[1]=", "[2][1]", "[2][1]"),
    ("[2]:[3][1];[1]:[2];[3]:[2];[2]>[1]=", "[2][3][2][1]", "[2][1]"),
    # The neighbour that the walk came from is not tried again, wherever it is listed.
    (LINE + "[1]>[3]=", "[1][2][3]", "[1][2][3]"),
    (LINE + "[3]>[1]=", "[3][2][1]", "[3][2][1]"),
    # A cross around [10]: [2] above, [9] left, [11] right, [18] below; three dead ends before the goal.
    (
        "[10]:[18][2][11][9];[9]:[10];[18]:[10];[2]:[10];[11]:[10];[10]>[9]=",
        "[10][18][10][2][10][11][10][9]",
        "[10][9]",
    ),
    # The same from an arm: [2] is where the walk came from, and left out.
    (
        "[10]:[18][2][11][9];[9]:[10];[18]:[10];[2]:[10];[11]:[10];[2]>[9]=",
        "[2][10][18][10][11][10][9]",
        "[2][10][9]",
    ),
    # A dead end of two nodes: 1-2-3 and 2-10-18. From [1] the walk goes down to [18] and back by the same nodes.
    (
        "[18]:[10];[1]:[2];[10]:[2][18];[2]:[10][3][1];[3]:[2];[1]>[3]=",
        "[1][2][10][18][10][2][3]",
        "[1][2][3]",
    ),
]


def task_of(kind: type[MazeTask], grid: tuple[int, int] = (8, 8)) -> MazeTask:
    return kind(rows=grid[0], columns=grid[1])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(task: MazeTask, batch: Batch) -> list[str]:
    return [task.vocabulary.decode(row) for row in batch.tokens]


def prompts_of(task: MazeTask, batch: Batch) -> list[str]:
    return [task.prompt_and_answer(text)[0] for text in texts(task, batch)]


def check_rows(task: MazeTask, batch: Batch, lengths: list[int]) -> None:
    """Every row is `[marker] prompt answer [EOS]`, a maze of its length with `solve`'s answer, rightly scored."""
    for row, marks, length in zip(batch.tokens, batch.scored.tolist(), lengths, strict=True):
        pieces = list(task.vocabulary.split(row))
        prompt = pieces[1 : pieces.index("=") + 1]
        assert len(prompt) == prompt_length(length)
        assert prompt.count(":") == length
        answer = task.vocabulary.pieces(task.solve("".join(prompt)))
        expected = [task.marker, *prompt, *answer, "[EOS]"]
        assert pieces == expected + ["[EOS]"] * (len(pieces) - len(expected))
        scored = [False] * (1 + len(prompt)) + [True] * (len(answer) + 1)
        assert marks == scored + [False] * (len(pieces) - len(expected))


# At least 1,000 examples of every length of the 8 x 8 grid taken together, and 1,000 of mixed lengths and grids.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_sampler_agrees_with_solve_at_every_length(kind: type[MazeTask], stream: Any) -> None:
    task = kind()
    lengths = [*range(2, 65)] * 6
    batch = task.sample(len(lengths), length=torch.tensor(lengths), generator=seeded(1), stream=stream)
    check_rows(task, batch, lengths)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=130)
@given(data=st.data())
def test_sampler_agrees_with_solve_on_other_grids(kind: type[MazeTask], data: st.DataObject) -> None:
    task = task_of(kind, data.draw(st.sampled_from(GRIDS)))
    sizes = st.integers(2, task.max_length)
    lengths = data.draw(st.lists(sizes, min_size=8, max_size=12) | sizes.map(lambda size: [size] * 8))
    stream: Any = data.draw(st.sampled_from(["all", "train", "test"]))
    generator = seeded(data.draw(st.integers(0, 2**32)))
    check_rows(
        task, task.sample(len(lengths), length=torch.tensor(lengths), generator=generator, stream=stream), lengths
    )


@pytest.mark.parametrize("kind", KINDS)
def test_largest_maze(kind: type[MazeTask]) -> None:
    task = kind(rows=16, columns=16)
    check_rows(task, task.sample(2, length=256, generator=seeded(2), stream="train"), [256, 256])


@pytest.mark.parametrize(("prompt", "walk", "path"), BY_HAND)
def test_case_by_hand(prompt: str, walk: str, path: str) -> None:
    for task, answer in ((DfsTrace(), walk), (ShortestPath(), path)):
        assert task.solve(prompt) == answer
        assert texts(task, task.examples([prompt])) == [f"{task.marker}{prompt}{answer}[EOS]"]


def test_cases_by_hand_in_one_batch() -> None:
    prompts, walks, paths = zip(*BY_HAND, strict=True)
    for task, answers in ((DfsTrace(), walks), (ShortestPath(), paths)):
        assert [task.prompt_and_answer(text) for text in texts(task, task.examples(prompts))] == [
            *zip(prompts, answers, strict=True)
        ]


@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_both_tasks_draw_the_same_prompts(stream: Any) -> None:
    lengths = torch.arange(2, 40)
    walks, paths = (
        prompts_of(task, task.sample(len(lengths), length=lengths, generator=seeded(3), stream=stream))
        for task in (DfsTrace(), ShortestPath())
    )
    assert walks == paths


@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_prompts_of_the_only_tree_are_uniform(stream: Any) -> None:
    # 1 x 3, all nodes: 6 orders of the nodes, 2 of the middle node's neighbours, 6 queries.
    task = DfsTrace(rows=1, columns=3)
    batch = task.sample(72 * 60, length=3, generator=seeded(4), stream=stream)
    counts = Counter(prompts_of(task, batch))
    assert len(counts) == 72
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_orders_and_query_of_a_cross_are_uniform() -> None:
    # 3 x 3, the middle with its four neighbours: 120 orders of nodes, 24 of neighbours, 20 queries, independent.
    parents = torch.tensor([[0, 4, 2, 4, 4, 4, 6, 4, 8]])
    kept = torch.tensor([[False, True, False, True, True, True, False, True, False]])
    n = 6000
    trees = Trees(parents.repeat(n, 1), kept.repeat(n, 1))
    prompts = write_mazes(Grid(3, 3), trees, torch.full((n,), 5), generator=seeded(5))
    symbols = DfsTrace(rows=3, columns=3).symbols
    written = ["".join(symbols[place] for place in row) for row in prompts.values.tolist()]
    nodes, around, queries = Counter[tuple[str, ...]](), Counter[str](), Counter[str]()
    for text in written:
        *blocks, query = text.split(";")
        heads = tuple(block.split(":")[0] for block in blocks)
        nodes[heads] += 1
        around[blocks[heads.index("[5]")].split(":")[1]] += 1
        queries[query] += 1
    for counts, outcomes in ((nodes, 120), (around, 24), (queries, 20)):
        assert len(counts) == outcomes
        assert chisquare(list(counts.values())).pvalue > 1e-3


def test_start_and_goal_are_uniform_in_the_listing() -> None:
    task = ShortestPath()
    pairs: Counter[tuple[int, int]] = Counter()
    for prompt in prompts_of(task, task.sample(4000, length=6, generator=seeded(6), stream="train")):
        *blocks, query = prompt.split(";")
        heads = [block.split(":")[0] for block in blocks]
        start, goal = query.removesuffix("=").split(">")
        pairs[heads.index(start), heads.index(goal)] += 1
    assert set(pairs) == {*itertools.permutations(range(6), 2)}
    assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_block_is_as_wide_as_its_longest_prompt() -> None:
    for lengths in ([2, 5, 3], [64]):
        prompts = DfsTrace().prompts(torch.tensor(lengths), generator=seeded(7))
        assert prompts.values.shape == (len(lengths), 5 * max(lengths) + 2)
        assert prompts.lengths.tolist() == [5 * length + 2 for length in lengths]


@pytest.mark.parametrize("kind", KINDS)
def test_no_examples(kind: type[MazeTask]) -> None:
    assert len(kind().sample(0, length=5, generator=seeded(), stream="test")) == 0
    assert len(kind().examples([])) == 0


# What is behind a prompt, or in the rows beside it, does not change its answer.
@pytest.mark.parametrize("kind", KINDS)
def test_answers_read_nothing_behind_the_prompts(kind: type[MazeTask]) -> None:
    task = kind()
    prompts = task.prompts(torch.arange(2, 40), generator=seeded(8))
    noise = torch.randint(len(task.symbols), (38, 300), generator=seeded(9))
    noise[:, : prompts.values.shape[1]] = torch.where(
        prompts.counted, prompts.values, noise[:, : prompts.values.shape[1]]
    )
    whole = task.answers(Ragged(noise, prompts.lengths))
    for place in range(38):
        alone = task.answers(prompts[place : place + 1])
        assert whole.lengths[place] == alone.lengths[0]
        length = int(alone.lengths[0])
        assert torch.equal(whole.values[place, :length], alone.values[0, :length])


# ---------------------------------------------------------------------------------------------------- counterfactuals


def check_counterfactuals(task: MazeTask, batch: Batch, *, seed: int) -> None:
    """Every example has one: another query in the same maze, with the right answer, which is not longer."""
    pair = task.counterfactual(batch, generator=seeded(seed))
    clean = [task.prompt_and_answer(text) for text in texts(task, batch)]
    other = [task.prompt_and_answer(text) for text in texts(task, pair.counterfactual)]
    for (prompt, answer), (changed, changed_answer) in zip(clean, other, strict=True):
        assert changed.rpartition(";")[0] == prompt.rpartition(";")[0]
        assert changed != prompt
        assert changed_answer == task.solve(changed)
        assert changed_answer.count("[") <= answer.count("[")
        assert changed_answer != answer


@pytest.mark.parametrize("kind", KINDS)
def test_every_maze_has_a_counterfactual(kind: type[MazeTask]) -> None:
    lengths = torch.arange(2, 65).repeat(4)
    task = kind()
    check_counterfactuals(task, task.sample(len(lengths), length=lengths, generator=seeded(10)), seed=11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(1, 2), (2, 2), (1, 7), (3, 5)])
def test_every_small_maze_has_a_counterfactual(kind: type[MazeTask], grid: tuple[int, int]) -> None:
    task = task_of(kind, grid)
    lengths = torch.arange(2, task.max_length + 1).repeat(20)
    check_counterfactuals(task, task.sample(len(lengths), length=lengths, generator=seeded(12)), seed=13)


@pytest.mark.parametrize("kind", KINDS)
def test_short_answers_in_large_mazes_have_counterfactuals(kind: type[MazeTask]) -> None:
    # The rarest case: of 4,032 queries of a maze of 64 nodes, few have an answer of two nodes, and none a shorter one.
    task = kind()
    batch = task.sample(2000, length=64, generator=seeded(14))
    short = batch.scored.sum(dim=1) == 3
    assert short.sum() > 10
    check_counterfactuals(task, Batch(batch.tokens[short], batch.scored[short]), seed=15)


def test_counterfactual_by_hand() -> None:
    # One change: the start becomes [3], as far from [2] as [1] is. (With the goal [3], the answer is longer.)
    assert queries_tried(ShortestPath(), "[1]>[2]=") == {"[3]>[2]="}
    # From [2] the walk tries [1] first, so [2]>[1] has the answer [2][1]. The start [3] makes it longer, and so does
    # the goal [3], so that both change, to one of the two other answers of two nodes.
    assert queries_tried(DfsTrace(), "[2]>[1]=") == {"[1]>[2]=", "[3]>[2]="}


def queries_tried(task: MazeTask, query: str) -> set[str]:
    batch = task.examples([LINE + query] * 60)
    pair = task.counterfactual(batch, generator=seeded(16))
    return {prompt.removeprefix(LINE) for prompt in prompts_of(task, pair.counterfactual)}


def test_two_nodes_are_exchanged() -> None:
    task = DfsTrace(rows=1, columns=2)
    pair = task.counterfactual(task.examples(["[2]:[1];[1]:[2];[1]>[2]="]), generator=seeded(17))
    assert prompts_of(task, pair.counterfactual) == ["[2]:[1];[1]:[2];[2]>[1]="]
    assert pair.changed.sum() == 2


def test_variation_is_uniform() -> None:
    # [1]>[2]: the start becomes [2] or [3] (1/6 each), the goal [1] or [3] (1/6 each), or the goal becomes what [1]
    # lists first, which it is (1/3).
    task, n = ShortestPath(), 6000
    values = torch.tensor([[task.symbols.index(piece) for piece in task.vocabulary.pieces(LINE + "[1]>[2]=")]])
    prompts = Ragged(values, torch.tensor([17])).repeat(n)
    varied = task.vary(prompts, generator=seeded(18))
    assert torch.equal(varied.values[:, :13], prompts.values[:, :13])
    counts = Counter("".join(task.symbols[place] for place in row[13:]) for row in varied.values.tolist())
    shares = {"[2]>[2]=": 1, "[3]>[2]=": 1, "[1]>[1]=": 1, "[1]>[3]=": 1, "[1]>[2]=": 2}
    assert set(counts) == set(shares)
    assert chisquare([counts[query] for query in shares], [n * share / 6 for share in shares.values()]).pvalue > 1e-3
    kept = task.keeps(prompts, varied, change="any")
    assert kept.sum() == n - counts["[2]>[2]="] - counts["[1]>[1]="]


# ------------------------------------------------------------------------------------- what the tasks say of themselves


def test_symbols() -> None:
    assert DfsTrace(rows=2, columns=2).symbols == ("[1]", "[2]", "[3]", "[4]", ":", ";", ">", "=")
    assert len(ShortestPath().symbols) == 68
    assert ShortestPath().symbols[63] == "[64]"


def test_prompt_space_by_hand() -> None:
    # 8 x 8 has 2 * 8 * 7 = 112 edges. N = 2: 2 orders, 2 queries, 112 trees. N = 4: 24 orders, 12 queries, and 112 / 3,
    # so at least 38 trees.
    assert ShortestPath().prompt_space(2) == 2 * 2 * 112
    assert ShortestPath().prompt_space(4) == 24 * 12 * 38
    assert [kind().divided_from for kind in KINDS] == [4, 4]
    assert DfsTrace(rows=1, columns=2).divided_from == 3  # above the greatest length: never


@pytest.mark.parametrize(
    ("rows", "columns", "length"), [(1, 2, 2), (1, 3, 2), (1, 3, 3), (2, 2, 2), (2, 2, 3), (2, 3, 2)]
)
def test_prompt_space_is_a_lower_bound(rows: int, columns: int, length: int) -> None:
    task = DfsTrace(rows=rows, columns=columns)
    seen = set(prompts_of(task, task.sample(3000, length=length, generator=seeded(19))))
    assert len(seen) >= task.prompt_space(length)


def test_docstring_draws_what_the_sampler_makes() -> None:
    drawn = drawn_rows(mazes.__doc__, "[dfs_trace]")
    task = DfsTrace()
    prompt, answer = task.prompt_and_answer("".join(drawn["tokens"]))
    batch = task.examples([prompt])
    assert list(task.vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert batch.scored[0].tolist() == [mark == "x" for mark in drawn["scored"]]
    assert answer == "[2][1][2][10]"
    assert ShortestPath().solve(prompt) == "[2][10]"


@pytest.mark.parametrize("kind", KINDS)
def test_examples_in_docstring_and_summary_are_solved(kind: type[MazeTask]) -> None:
    assert kind.__doc__
    (shown,) = re.findall(r"`(\S+)` -> `(\S+)`", kind.__doc__)
    prompt, answer, _ = re.split(" -> |: ", kind.summary)
    assert kind().solve(shown[0]) == shown[1]
    assert kind().solve(prompt) == answer


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, -1, 17, 8.0, "8"])
def test_impossible_sides_are_refused(kind: type[MazeTask], count: Any, unchecked: None) -> None:
    for side in ("rows", "columns"):
        text = f"{side} {count!r} is not possible for '{kind.name}'; allowed are 1 to 16"
        with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
            kind(**{side: count})


@pytest.mark.parametrize("kind", KINDS)
def test_grid_of_one_node_is_refused(kind: type[MazeTask]) -> None:
    text = f"a 1 x 1 grid is not possible for '{kind.name}'; a maze needs 2 nodes: give more rows or columns"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        kind(rows=1, columns=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 65])
def test_impossible_length_is_refused(kind: type[MazeTask], length: int) -> None:
    text = f"length {length} is not possible for task '{kind.name}'; allowed are 2 to 64"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        kind().sample(2, length=length, generator=seeded())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "prompt",
    [
        *["", "=", "abc=", "[1]>[2]=", LINE, LINE + "[1]>[2]", LINE + "[1][2]=", LINE + "[1]>[2]=[1]", "1:2;2:1;1>2="],
        *["[1]:;[1]>[2]=", "[1]:[2];[2][1];[1]>[2]=", "[1]:[2];[2]:[1][1]>[2]=", "[1]:[2]; [2]:[1];[1]>[2]="],
    ],
)
def test_solve_refuses_what_cannot_be_read(kind: type[MazeTask], prompt: str) -> None:
    text = f"{prompt!r} is no prompt of '{kind.name}'; one looks like [1]:[2];[2]:[1];[1]>[2]="
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        kind().solve(prompt)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("node", ["[65]", "[0]", "[01]", "[EOS]", "[²]"])
def test_solve_refuses_unknown_nodes(kind: type[MazeTask], node: str) -> None:
    text = f"{node} is no node of the 8 x 8 grid of '{kind.name}'; allowed are [1] to [64]"
    for prompt in (f"{node}:[2];[2]:{node};{node}>[2]=", f"{LINE}[1]>{node}="):
        with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
            kind().solve(prompt)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("[1]:[2];[2]:[1];[1]:[2];[1]>[2]=", "node [1] is listed twice; each node of a maze is listed once"),
        ("[1]:[2][2];[2]:[1];[1]>[2]=", "node [1] lists [2] twice; each neighbour is listed once"),
        (
            "[1]:[3];[3]:[1];[1]>[3]=",
            "[3] is not beside [1] in the grid; only nodes beside each other are joined",
        ),
        # The end of a row and the start of the next are not beside each other, nor is a node beside itself.
        (
            "[8]:[9];[9]:[8];[8]>[9]=",
            "[9] is not beside [8] in the grid; only nodes beside each other are joined",
        ),
        (
            "[1]:[1];[1]>[2]=",
            "[1] is not beside [1] in the grid; only nodes beside each other are joined",
        ),
        (
            "[1]:[2];[2]:[3];[3]:[2];[1]>[2]=",
            "node [1] lists [2], but [2] does not list [1]; both must or neither",
        ),
        ("[1]:[2];[1]>[2]=", "node [1] lists [2], but [2] does not list [1]; both must or neither"),
        (
            "[1]:[2];[2]:[1];[4]:[5];[5]:[4];[1]>[2]=",
            "no path leads from [1] to [4]; a maze is a tree, all in one piece",
        ),
        (
            "[1]:[2][9];[2]:[1][10];[9]:[1][10];[10]:[2][9];[1]>[2]=",
            "the maze has a loop; a maze is a tree, with one path between any two nodes",
        ),
        (LINE + "[9]>[3]=", "the start [9] is not in the maze; its nodes are [1] [2] [3]"),
        (LINE + "[1]>[4]=", "the goal [4] is not in the maze; its nodes are [1] [2] [3]"),
        (LINE + "[2]>[2]=", "the query goes from [2] to itself; start and goal must be different nodes"),
    ],
)
def test_solve_refuses_what_is_no_maze(kind: type[MazeTask], prompt: str, text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        kind().solve(prompt)
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        kind().examples([prompt])
