"""Where primitives apply, what they read and what they yield: positions counted by hand."""

import pytest
import torch

from analyses.primitives import Uses, get_primitive, list_primitives
from analyses.primitives.registry import primitives_of
from tasks import InvalidValueError, Task, UnknownNameError, get_task

SORT = get_task("sort", numbers=9)
SUCCESSOR = get_task("successor", numbers=9)
MIN = get_task("min", numbers=9)
COPY = get_task("copy", alphabet=4, case="lower")
REPEATED = get_task("copy", alphabet=4, case="lower", marking="repeated")
SHIFT = get_task("shift", alphabet=4, case="lower")
CAPITALIZE = get_task("capitalize", alphabet=4)
REVERSE = get_task("reverse", alphabet=4, case="lower")
MQAR = get_task("mqar", alphabet=4, case="lower", query=1, queries=2)
ADD, CARRY = get_task("reverse_add"), get_task("carry_only")

Expected = dict[int, tuple[set[int], str]]

CASES: dict[str, tuple[str, Task, str, Expected, bool]] = {
    # [sort] 5 3 5 = 3 5 5 [EOS], from position 0; the model reads up to position 7
    "copy": ("copy", SORT, "[5][3][5]=", {1: ({1}, "[5]"), 2: ({2}, "[3]"), 3: ({1, 3}, "[5]")}, False),
    "answer_copy": (
        "answer_copy", SORT, "[5][3][5]=",
        {5: ({2, 5}, "[3]"), 6: ({1, 3, 6}, "[5]"), 7: ({1, 3, 6, 7}, "[5]")}, False,
    ),
    "min": ("min", SORT, "[5][3][5]=", {4: ({2}, "[3]")}, True),
    "min, twice": ("min", MIN, "[3][5][3]=", {4: ({1, 3}, "[3]")}, True),
    "successor": ("successor", SORT, "[5][3][5]=", {5: ({1, 3}, "[5]")}, True),
    # [sort] 3 5 3 = 3 3 5: at the first 3 of the answer a 3 follows, at the second one the 5
    "successor, repeats": ("successor", SORT, "[3][5][3]=", {6: ({2}, "[5]")}, True),
    "identity and successor": (
        "identity_successor", SORT, "[3][5][3]=", {5: ({1, 2, 3}, "[3]"), 6: ({1, 2, 3, 5}, "[5]")}, True,
    ),
    # [successor] 5 3 9 , 5 = 9
    "successor, asked": ("successor", SUCCESSOR, "[5][3][9],[5]=", {5: ({3}, "[9]")}, False),
    "successor, at the end": ("end_successor", SUCCESSOR, "[5][3][9],[5]=", {6: ({3}, "[9]")}, True),
    "identity, asked": ("identity_successor", SUCCESSOR, "[5][3][9],[5]=", {6: ({1, 3, 5}, "[9]")}, True),
    # [copy] a b = a b
    "offset_copy": ("offset_copy", COPY, "ab=", {3: ({1}, "a"), 4: ({2}, "b")}, True),
    # [BOS] m m m m a b = m m m m a b
    "offset_copy, repeated": ("offset_copy", REPEATED, "ab=", {11: ({5}, "a"), 12: ({6}, "b")}, True),
    "copy, repeated": ("copy", REPEATED, "ab=", {5: ({5}, "a"), 6: ({6}, "b")}, False),
    # [shift] a b = b c: the letter that is read, not the one that is due
    "offset_copy, shift": ("offset_copy", SHIFT, "ab=", {3: ({1}, "a"), 4: ({2}, "b")}, False),
    "offset_copy, capitalize": ("offset_copy", CAPITALIZE, "aB=", {3: ({1}, "a"), 4: ({2}, "B")}, False),
    # [reverse] a b c = c b a
    "mirror_copy": ("mirror_copy", REVERSE, "abc=", {4: ({3}, "c"), 5: ({2}, "b"), 6: ({1}, "a")}, True),
    # [mqar] a b c = b c , a b
    "induction": ("induction", MQAR, "abc=b,a", {5: ({3}, "c"), 8: ({2}, "b")}, True),
    # [mqar] a b a c = b a , a b: what stood behind a was b, c and the comma, so nothing is sure of a
    "induction, ambiguous": ("induction", MQAR, "abac=b,a", {6: ({3}, "a")}, True),
    # [reverse_add] 7 5 + 9 8 = 6 4 1: 57 + 89 = 146
    "carry": ("carry", ADD, "75+98=", {7: ({1, 4}, ""), 8: ({2, 5}, "")}, True),
    "carry_only": ("carry", CARRY, "75+98=", {7: ({1, 4}, "1"), 8: ({2, 5}, "1")}, True),
    # 1 + 8 = 9 passes an earlier carry on, and is left out; 5 + 3 = 8 gives none
    "carry, nine": ("carry", CARRY, "15+83=", {8: ({2, 5}, "0")}, True),
    "previous_token": ("previous_token", COPY, "a=", {1: ({0}, ""), 2: ({1}, ""), 3: ({2}, "")}, True),
}  # fmt: skip


@pytest.mark.parametrize(("name", "task", "prompt", "expected", "at_output"), CASES.values(), ids=CASES)
def test_uses(name: str, task: Task, prompt: str, expected: Expected, at_output: bool) -> None:
    batch = task.examples([prompt])
    uses = get_primitive(name).find(task, batch)
    found = {
        int(query): (
            set(uses.source[0, query].nonzero().flatten().tolist()),
            "" if uses.yields is None else task.vocabulary.tokens[int(uses.yields[0, query])],
        )
        for query in uses.applies[0].nonzero().flatten()
    }
    assert found == expected
    assert uses.at_output(batch) is at_output
    assert not uses.source[0, ~uses.applies[0]].any()


def test_identity_and_successor_are_two_groups() -> None:
    batch = SORT.examples(["[3][5][3]="])
    uses = get_primitive("identity_successor").find(SORT, batch)
    same, larger = (set(group[0, 6].nonzero().flatten().tolist()) for group in uses.groups)
    assert (same, larger) == ({1, 3, 5}, {2})
    assert set(uses.carriers[0, 5].nonzero().flatten().tolist()) == {1, 3}  # a 3 follows
    assert set(uses.carriers[0, 6].nonzero().flatten().tolist()) == {2}  # the 5 follows


def test_every_use_and_every_example_counts_the_same() -> None:
    # `[5][3][5]` has 1 use of successor, `[1][2][3]` has 2 and `[4][4]` none: weights 1/2; 1/4, 1/4; none.
    batch = SORT.examples(["[5][3][5]=", "[1][2][3]=", "[4][4][4]="])
    uses = get_primitive("successor").find(SORT, batch)
    assert uses.examples.tolist() == [True, True, False]
    assert uses.weights[uses.applies].tolist() == [0.5, 0.25, 0.25]
    assert uses.within.sum(dim=1).tolist() == [1, 1, 0]


def test_a_query_that_sees_only_sources_is_no_use() -> None:
    # With the markers cut off, position 0 of `aab` sees itself alone, position 1 two a: nothing to choose between.
    tokens = torch.tensor([[0, 0, 1]])
    uses = Uses.of(torch.ones(1, 3, dtype=torch.bool), tokens[..., None] == tokens[:, None], tokens)
    assert uses.applies.tolist() == [[False, False, True]]


def test_carry_renamed() -> None:
    # The renaming 0 -> 9, 1 -> 8, ... turns the pair (3, 4) into (6, 5), which carries, and (9, 1) into (0, 8).
    carry = get_primitive("carry")
    ids = CARRY.vocabulary.ids("0123456789")
    maps = torch.arange(len(CARRY.vocabulary)).repeat(2, 1)
    maps[1, ids] = ids.flip(0)
    zero, one = ids[:2].tolist()
    assert carry.renamed(CARRY, maps)[:, [34, 91]].tolist() == [[zero, one], [one, zero]]


def test_lists() -> None:
    assert list_primitives() == [
        "copy", "answer_copy", "min", "successor", "end_successor", "identity_successor", "previous_token", "induction",
        "offset_copy", "mirror_copy", "carry",
    ]  # fmt: skip
    assert [one.name for one in primitives_of(MQAR)] == ["copy", "answer_copy", "previous_token", "induction"]
    assert [one.name for one in primitives_of(SORT, ("min", "copy"))] == ["min", "copy"]
    for name in list_primitives():
        one = get_primitive(name)
        assert (one.name, bool(one.summary), bool(one.trades)) == (name, True, True)


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown primitive 'sucessor'; did you mean 'successor'\? the primi"):
        get_primitive("sucessor")
    text = (
        "primitive 'carry' does not apply to task 'copy': it is one of reverse_add and carry_only; "
        "'copy' has copy, answer_copy, previous_token, offset_copy"
    )
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        primitives_of(COPY, ("copy", "carry"))
