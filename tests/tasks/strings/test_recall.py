"""Associative recall: examples read back from their text alone, cases by hand, the law of the queries, the errors."""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from tasks import Batch, InvalidValueError, Pair
from tasks.strings import Mqar
from tests.tasks.drawing import drawn_rows

# Prompt, answers, and the two as they stand behind `=`.
BY_HAND: list[tuple[Mqar, str, str, str]] = [
    (Mqar(), "qWerT=We,qW", "re", "Wer,qWe"),
    # A query that comes twice is answered where it comes first, even where its occurrences overlap.
    (Mqar(), "abXab=ab", "X", "abX"),
    (Mqar(), "abXabY=Xa,ab", "bX", "Xab,abX"),
    (Mqar(), "aaab=aa", "a", "aaa"),
    (Mqar(query=1), "aab=a", "a", "aa"),
    (Mqar(query=1), "zyx=z,y", "yx", "zy,yx"),
    (Mqar(query=3), "abcde=bcd,abc", "ed", "bcde,abcd"),
    # Strings of no more than `query` letters: queries one letter shorter than the string.
    (Mqar(), "ab=a", "b", "ab"),
    (Mqar(query=4), "abc=ab", "c", "abc"),
    (Mqar(query=8), "abcdefgh=abcdefg", "h", "abcdefgh"),
    (Mqar(query=8), "abcdefghi=abcdefgh", "i", "abcdefghi"),
    (Mqar(2, "lower"), "abba=bb,ab", "ab", "bba,abb"),
]

# ----------------------------------------------------------------------------------------- reading examples as a reader


def possible_queries(word: str, length: int) -> set[str]:
    """The substrings of a length that have a letter behind their first occurrence."""
    found = {word[start : start + length] for start in range(len(word) - length + 1)}
    return {query for query in found if word.index(query) + length < len(word)}


def check_example(task: Mqar, text: str, marks: list[bool], *, length: int, full: bool = True) -> None:
    """The text is an example with right answers; the marks are those of the answers. `full`: with all its queries."""
    written = text.removeprefix("[mqar]")
    assert "[mqar]" + written == text
    word, body = written.replace("[EOS]", "").split("=")
    assert len(word) == length
    assert set(word) <= set(task.letters)
    size = task.query if length > task.query else length - 1
    pairs = [(piece[:-1], piece[-1]) for piece in body.split(",")]
    queries = [query for query, _ in pairs]
    assert all(word[word.index(query) + size] == answer and len(query) == size for query, answer in pairs)
    assert len(set(queries)) == len(queries)
    if full:
        assert len(queries) == min(task.queries, len(possible_queries(word, size)))
    first = 1 + length + 1 + size
    places = [first + number * (size + 2) for number in range(len(queries))]
    assert [place for place, mark in enumerate(marks) if mark] == places
    answers = "".join(answer for _, answer in pairs)
    assert task.prompt_and_answer(text) == (f"{word}={','.join(queries)}", answers)
    assert task.solve(f"{word}={','.join(queries)}") == answers


def check_rows(task: Mqar, batch: Batch, lengths: list[int], *, full: bool = True) -> None:
    assert batch.tokens.dtype == torch.int64
    for row, marks, length in zip(batch.tokens, batch.scored.tolist(), lengths, strict=True):
        text = task.vocabulary.decode(row)
        assert re.fullmatch(r"\[mqar\][^\[]+(\[EOS\])+", text)
        check_example(task, text, marks, length=length, full=full)


def texts(task: Mqar, tokens: torch.Tensor) -> list[str]:
    """The prompts of examples."""
    return [task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in tokens]


TASKS = st.builds(
    Mqar,
    alphabet=st.one_of(st.integers(2, 4), st.integers(2, 26)),
    case=st.sampled_from(["both", "lower"]),
    query=st.integers(1, 4),
    queries=st.integers(1, 9),
)
LENGTHS = st.one_of(
    st.integers(2, 70).map(lambda length: [length] * 8), st.lists(st.integers(2, 70), min_size=8, max_size=12)
)


@settings(max_examples=150)
@given(task=TASKS, lengths=LENGTHS, seed=st.integers(0, 2**32), stream=st.sampled_from(["all", "train", "test"]))
def test_sampler_makes_right_examples(task: Mqar, lengths: list[int], seed: int, stream: Any) -> None:
    # 150 batches of 8 and more examples, about half of them of mixed lengths.
    generator = torch.Generator().manual_seed(seed)
    asked = lengths[0] if len(set(lengths)) == 1 else torch.tensor(lengths)
    check_rows(task, task.sample(len(lengths), length=asked, generator=generator, stream=stream), lengths)


@pytest.mark.parametrize("task", [Mqar(), Mqar(2, "lower", 8, 64), Mqar(query=1, queries=64)], ids=repr)
def test_greatest_length(task: Mqar) -> None:
    for stream in ("train", "test"):
        check_rows(task, task.sample(1, length=4096, generator=torch.Generator(), stream=stream), [4096])
    check_rows(task, task.sample(2, length=torch.tensor([4096, 2]), generator=torch.Generator()), [4096, 2])


@pytest.mark.parametrize("query", [1, 2, 3])
def test_solve_and_examples_agree_on_every_short_prompt(query: int) -> None:
    # Two letters, up to four in a string; one query or two different ones, in either order.
    task = Mqar(2, "lower", query)
    for length in (2, 3, 4):
        prompts = []
        for word in map("".join, itertools.product("ab", repeat=length)):
            queries = sorted(possible_queries(word, min(query, length - 1)))
            asked = [*itertools.permutations(queries, 1), *itertools.permutations(queries, 2)]
            prompts += [f"{word}={','.join(some)}" for some in asked]
        batch = task.examples(prompts)
        check_rows(task, batch, [length] * len(prompts), full=False)
        assert texts(task, batch.tokens) == prompts


@pytest.mark.parametrize(("task", "prompt", "answers", "body"), BY_HAND, ids=str)
def test_case_by_hand(task: Mqar, prompt: str, answers: str, body: str) -> None:
    assert task.solve(prompt) == answers
    word, _, _ = prompt.partition("=")
    text = task.vocabulary.decode(task.examples([prompt]).tokens[0])
    assert text == f"[mqar]{word}={body}[EOS]"
    assert task.prompt_and_answer(text) == (prompt, answers)


@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
def test_markings_round_trip(marking: Any) -> None:
    task, generator = Mqar(marking=marking), torch.Generator().manual_seed(1)
    batch = task.sample(30, length=torch.arange(30) + 2, generator=generator)
    prompts = texts(task, batch.tokens)
    again = task.examples(prompts)
    assert torch.equal(again.tokens, batch.tokens)
    assert torch.equal(again.scored, batch.scored)
    # Behind `repeated` stand four more markers before the queries: all marks move, none gets lost.
    answers = [task.solve(prompt) for prompt in prompts]
    assert [
        "".join(task.vocabulary.split(row[mark])) for row, mark in zip(batch.tokens, batch.scored, strict=True)
    ] == answers
    check_pair(task, task.counterfactual(batch, generator=generator))


def test_a_repeated_query_is_answered_alike() -> None:
    # `solve` and `examples` take it, though the sampler never asks twice.
    task = Mqar()
    assert task.vocabulary.decode(task.examples(["abc=ab,ab"]).tokens[0]) == "[mqar]abc=abc,abc[EOS]"
    assert task.solve("abc=ab,ab") == "cc"


def test_docstring_draws_what_the_sampler_makes() -> None:
    task = Mqar()
    drawn = drawn_rows(sys.modules[Mqar.__module__].__doc__, "[mqar]")
    batch = task.examples(["qWerT=We,qW"])
    assert list(task.vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert batch.scored[0].tolist() == [mark == "x" for mark in drawn["scored"]]
    text = f"{Mqar.__doc__} {task.summary}".replace("`", "")
    examples = re.findall(r"(\w+=[\w,]+) -> (\w+)", text)
    assert len(examples) == 2
    assert all(task.solve(prompt) == answers for prompt, answers in examples)


def test_no_examples() -> None:
    for stream in ("all", "train", "test"):
        assert len(Mqar().sample(0, length=2, generator=torch.Generator(), stream=stream)) == 0
        assert len(Mqar().sample(0, length=torch.tensor([]).long(), generator=torch.Generator(), stream=stream)) == 0
    assert len(Mqar().examples([])) == 0


def test_vocabulary_and_prompt_space() -> None:
    assert Mqar(2).vocabulary.tokens == (*"abAB", "=", ",", "[EOS]", "[mqar]")
    assert Mqar(2).prompt_space(5) == 4**5
    # 52^3 = 140,608 strings of three letters; 2^12 = 4,096 of twelve.
    assert [Mqar().divided_from, Mqar(2, "lower").divided_from] == [3, 12]


# ------------------------------------------------------------------------------------------------- the law of examples


@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_strings_are_uniform(stream: Any) -> None:
    task = Mqar(3, "lower", 2, 3)
    rows = task.sample(6000, length=9, generator=torch.Generator().manual_seed(2), stream=stream).tokens[:, 1:10]
    counts = torch.stack([column.bincount(minlength=3) for column in rows.T])
    check_uniform([Counter(dict(enumerate(row))) for row in counts.tolist()], [3] * 9)
    pairs = (rows[:, :-1] * 3 + rows[:, 1:]).flatten().bincount(minlength=9)
    check_uniform([Counter(dict(enumerate(pairs.tolist())))], [9])


@pytest.mark.parametrize(("task", "length"), [(Mqar(2, "lower", 2, 1), 5), (Mqar(2, "lower", 1, 1), 4)], ids=repr)
def test_one_query_is_uniform_over_the_possible_ones(task: Mqar, length: int) -> None:
    check_queries(task, length, asked=1)


def test_two_queries_are_uniform_over_the_ordered_pairs() -> None:
    # Strings with three possible queries and two asked: each of the six ordered pairs is equally likely.
    check_queries(Mqar(2, "lower", 2, 2), 5, asked=2)


def test_all_queries_come_in_uniform_order() -> None:
    check_queries(Mqar(2, "lower", 2, 8), 5, asked=8)


def check_queries(task: Mqar, length: int, *, asked: int) -> None:
    """Given the string, every ordered choice of different possible queries is equally likely."""
    rows = task.sample(16000, length=length, generator=torch.Generator().manual_seed(3)).tokens
    prompts = [prompt.split("=") for prompt in texts(task, rows)]
    words = sorted({word for word, _ in prompts})
    assert len(words) == 2**length
    counts = {word: Counter(queries for other, queries in prompts if other == word) for word in words}
    choices = []
    for word in words:
        possible = possible_queries(word, min(task.query, length - 1))
        orders = set(map(",".join, itertools.permutations(possible, min(asked, len(possible)))))
        assert counts[word].keys() <= orders
        choices.append(len(orders))
    assert max(choices) > 1
    check_uniform(list(counts.values()), choices)


def check_uniform(tables: list[Counter[Any]], cells: list[int]) -> None:
    """Uniform within each table, all tables together in one chi-square test."""
    statistic, freedom = 0.0, 0
    for table, size in zip(tables, cells, strict=True):
        expected = table.total() / size
        assert expected >= 5
        seen = [*table.values(), *[0] * (size - len(table))]
        statistic += sum((count - expected) ** 2 / expected for count in seen)
        freedom += size - 1
    assert chi2.sf(statistic, freedom) > 1e-3


def test_streams_are_disjoint() -> None:
    task, generator = Mqar(8, "lower", 1, 1), torch.Generator().manual_seed(4)
    assert task.divided_from == 4
    tested = set(texts(task, task.sample(600, length=4, generator=generator, stream="test").tokens))
    trained = set(texts(task, task.sample(9000, length=4, generator=generator, stream="train").tokens))
    assert len(tested) > 300
    assert not tested & trained


def test_same_seed_same_examples_other_seed_others() -> None:
    def tokens(seed: int) -> torch.Tensor:
        return Mqar().sample(20, length=9, generator=torch.Generator().manual_seed(seed), stream="test").tokens

    assert torch.equal(tokens(1), tokens(1))
    assert not torch.equal(tokens(1), tokens(2))


# ------------------------------------------------------------------------------------------------------ counterfactuals


def starts(prompt: str) -> list[int]:
    """Where in its string each query of a prompt occurs first."""
    word, asked = prompt.split("=")
    return [word.index(query) for query in asked.split(",")]


def check_pair(task: Mqar, pair: Pair) -> None:
    """One letter of each string is another; queries occur first where they did; answers differ, and are scored."""
    assert torch.equal(pair.clean.scored, pair.counterfactual.scored)
    clean, changed = texts(task, pair.clean.tokens), texts(task, pair.counterfactual.tokens)
    apart = pair.changed.sum(dim=1).tolist()
    for first, second, marks, count in zip(clean, changed, pair.differs, apart, strict=True):
        words = [prompt.split("=")[0] for prompt in (first, second)]
        assert sum(one != other for one, other in zip(*words, strict=True)) == 1
        assert starts(first) == starts(second)
        assert count == sum(one != other for one, other in zip(first, second, strict=True))
        answers = zip(task.solve(first), task.solve(second), strict=True)
        assert int(marks.sum()) == sum(one != other for one, other in answers) > 0


@settings(max_examples=60)
@given(task=TASKS, lengths=LENGTHS, seed=st.integers(0, 2**32))
def test_counterfactuals_differ_in_one_letter(task: Mqar, lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = task.sample(len(lengths), length=torch.tensor(lengths), generator=generator)
    pair = task.counterfactual(batch, generator=generator)
    check_pair(task, pair)
    check_rows(task, pair.counterfactual, lengths, full=False)


@pytest.mark.parametrize("task", [Mqar(queries=1), Mqar(), Mqar(2, "lower", 4, 9), Mqar(2, "lower", 8, 64)], ids=repr)
@pytest.mark.parametrize("length", [70, 1000])
def test_found_in_long_strings(task: Mqar, length: int) -> None:
    # Nearly all letters of these strings say nothing about what is answered, or nearly all say too much.
    generator = torch.Generator().manual_seed(5)
    check_pair(task, task.counterfactual(task.sample(20, length=length, generator=generator), generator=generator))


@pytest.mark.parametrize("query", [1, 2, 3])
def test_found_for_every_short_prompt(query: int) -> None:
    # Changing the letter behind the last query alters one answer and no query: a counterfactual always exists.
    task = Mqar(2, "lower", query)
    prompts = []
    for word in map("".join, itertools.product("ab", repeat=5)):
        queries = sorted(possible_queries(word, query))
        prompts += [f"{word}={','.join(some)}" for n in (1, 2, 3) for some in itertools.permutations(queries, n)]
    check_pair(task, task.counterfactual(task.examples(prompts), generator=torch.Generator().manual_seed(6)))


# All counterfactuals of one letter that `abc=a,b` has among three letters, with their marks. Behind the query b may
# stand a or b as well; or the query b becomes c, two symbols, and the answer to a with it. (Another first letter leaves
# both answers, or is the second query's; a as the second letter makes both queries a.)
#   [mqar]  a  b  c  =  a  b  ,  b  c  [EOS]
#   [mqar]  a  b  a  =  a  b  ,  b  a  [EOS]
#   [mqar]  a  b  b  =  a  b  ,  b  b  [EOS]
#   [mqar]  a  c  c  =  a  c  ,  c  c  [EOS]
PAIRS = {
    "aba=a,b": ([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    "abb=a,b": ([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    "acc=a,c": ([0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
}


def test_pair_by_hand() -> None:
    task = Mqar(3, "lower", 1)
    pair = task.counterfactual(task.examples(["abc=a,b"] * 200), generator=torch.Generator().manual_seed(7))
    found = texts(task, pair.counterfactual.tokens)
    assert set(found) == {"aba=a,b", "abb=a,b"}  # the fewest symbols of eight candidates and more
    pair = Pair(task.examples(["abc=a,b"] * 3), task.examples(list(PAIRS)))
    assert list(zip(pair.changed.int().tolist(), pair.differs.int().tolist(), strict=True)) == list(PAIRS.values())
    check_pair(task, pair)


def test_kinds_of_change_that_keep_the_queries_apart() -> None:
    # By hand: in abc=a,b every change of one letter that makes a query equal to the other, or moves it, is refused.
    task = Mqar(3, "lower", 1)
    kept = {"cbc=a,b": "c,b", "aca=a,b": "a,c", "aac=a,b": None, "bbc=a,b": None, "abb=a,b": "a,b"}
    clean = task.unlayout(*task._frame.read(task.examples(["abc=a,b"])))
    for prompt, queries in kept.items():
        word = prompt.split("=")[0]
        text = f"{word}={word[0]},{word[1]}"
        changed = task.unlayout(*task._frame.read(task.examples([text])))
        assert bool(task.keeps(clean, changed, change="any")) == (queries is not None)
        assert queries is None or text == f"{word}={queries}"


# --------------------------------------------------------------------------------------------------------------- errors


def refuses(call: Callable[[], object], expected: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        call()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        *(
            ({"query": v}, f"query = {v!r} is not possible for 'mqar'; allowed are 1 to 8")
            for v in [0, -1, 9, 2.0, "2"]
        ),
        *(({"queries": v}, f"queries = {v!r} is not possible for 'mqar'; allowed are 1 to 64") for v in [0, 65, 8.0]),
        ({"alphabet": 1}, "alphabet 1 is not possible for 'mqar'; allowed are 2 to 26"),
        ({"case": "upper"}, "case 'upper' is not possible for 'mqar'; allowed is 'both' or 'lower'"),
    ],
    ids=str,
)
def test_impossible_parameters_are_refused(parameters: dict[str, Any], expected: str, unchecked: None) -> None:
    refuses(lambda: Mqar(**parameters), expected)


@pytest.mark.parametrize("length", [0, 1, 4097])
def test_impossible_length_is_refused(length: int) -> None:
    expected = f"length {length} is not possible for task 'mqar'; allowed are 2 to 4096"
    refuses(lambda: Mqar().sample(1, length=length, generator=torch.Generator()), expected)


@pytest.mark.parametrize(
    ("task", "example"),
    [
        (Mqar(), "abc=ab"),
        (Mqar(query=1), "abc=a"),
        (Mqar(query=3), "abc=ab"),
        (Mqar(2), "abA=ab"),
        (Mqar(2, "lower"), "aba=ab"),
        (Mqar(2, "lower", 1), "aba=a"),
    ],
    ids=str,
)
@pytest.mark.parametrize("prompt", ["", "=", "ab", "ab=", "a=a", "=a"])
def test_solve_refuses_what_is_no_prompt(task: Mqar, example: str, prompt: str) -> None:
    task.solve(example)  # what the error recommends is a prompt
    refuses(lambda: task.solve(prompt), f"{prompt!r} is no prompt of 'mqar'; one looks like {example}")
    refuses(lambda: task.examples([prompt]), f"{prompt!r} is no prompt of 'mqar'; one looks like {example}")


@pytest.mark.parametrize(("prompt", "letter"), [("abC=ab", "C"), ("a,b=a", ","), ("a b=a", " ")])
def test_solve_refuses_other_letters(prompt: str, letter: str) -> None:
    refuses(lambda: Mqar(2).solve(prompt), f"{letter!r} is not in the alphabet of 'mqar', 'abAB'")


@pytest.mark.parametrize(
    ("task", "prompt", "query", "length"),
    [
        (Mqar(), "abcd=bd", "bd", 2),  # no substring
        (Mqar(), "abcd=cd", "cd", 2),  # with no letter behind it
        (Mqar(), "abcd=a", "a", 2),
        (Mqar(), "abcd=abc", "abc", 2),
        (Mqar(), "abcd=ab,", "", 2),
        (Mqar(), "abcd=ab=", "ab=", 2),
        (Mqar(), "abcd=,ab", "", 2),
        (Mqar(query=4), "abc=bc", "bc", 2),
        (Mqar(query=4), "abc=a", "a", 2),
    ],
    ids=str,
)
def test_solve_refuses_impossible_queries(task: Mqar, prompt: str, query: str, length: int) -> None:
    word, _, _ = prompt.partition("=")
    expected = (
        f"query {query!r} of {prompt!r} is not possible; allowed are {length} letters that occur "
        f"in {word!r} with a letter behind them"
    )
    refuses(lambda: task.solve(prompt), expected)


def test_solve_refuses_too_many_queries() -> None:
    expected = "'abcd=ab,bc,ab' has 3 queries; allowed are 1 to 2"
    refuses(lambda: Mqar(queries=2).solve("abcd=ab,bc,ab"), expected)
