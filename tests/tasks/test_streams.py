"""Train and test streams: which prompts are whose, whatever task, alphabet or vocabulary asks."""

import itertools
import string
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks import Batch, InvalidValueError, Ragged, Task, Vocabulary, get_group, get_task, list_tasks
from tasks.streams import SHARE, SMALLEST_SPACE, in_test_stream, symbol_codes
from tasks.strings import Copy

NAMES = ["copy", "shift", "reverse", "capitalize", "capitalize_reverse"]
SYMBOLS = string.ascii_letters + "=?"
STREAMS: list[Any] = ["train", "test"]


CODES = dict(zip(SYMBOLS, symbol_codes(SYMBOLS).tolist(), strict=True))


def is_tested(prompts: list[str]) -> list[bool]:
    """Which prompts belong to the test stream, from their text alone."""
    longest = max(map(len, prompts))
    codes = torch.tensor([[CODES[letter] for letter in prompt.ljust(longest, "?")] for prompt in prompts])
    return in_test_stream(codes, torch.tensor([len(prompt) for prompt in prompts])).tolist()


def prompts_of(task: Task, batch: Batch) -> list[str]:
    texts = ("".join(task.vocabulary.tokens[place] for place in row[1:]) for row in batch.tokens.tolist())
    return [text.partition("=")[0] + "=" for text in texts]


def draw(task: Task, n: int, *, length: int | torch.Tensor, stream: Any, seed: int = 0) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    return prompts_of(task, task.sample(n, length=length, generator=generator, stream=stream))


def binary_words(task: Task, n: int, *, stream: Any) -> list[int]:
    """The drawn words of length 12 over two letters, read as binary numbers."""
    batch = task.sample(n, length=12, generator=torch.Generator().manual_seed(0), stream=stream)
    return (batch.tokens[:, 1:13] * 2 ** torch.arange(12)).sum(dim=1).tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", STREAMS)
def test_stream_holds_its_prompts_only_at_every_length(name: str, stream: Any) -> None:
    # Membership depends on the prompt's text alone, so this makes train and test disjoint, for all tasks at once.
    task = get_task(name, alphabet=12)
    lengths = torch.arange(task.divided_from, 41).repeat(8)
    assert set(is_tested(draw(task, len(lengths), length=lengths, stream=stream))) == {stream == "test"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", STREAMS)
def test_stream_holds_its_prompts_only_at_the_first_divided_length(name: str, stream: Any) -> None:
    task = get_task(name)
    assert set(is_tested(draw(task, 1000, length=task.divided_from, stream=stream))) == {stream == "test"}


@pytest.mark.parametrize("name", list_tasks())
@pytest.mark.parametrize("stream", STREAMS)
def test_stream_holds_its_prompts_only_for_every_task(name: str, stream: Any) -> None:
    # The hash of the prompt's text, as the task splits it, taken here from the text alone.
    task = get_task(name)
    longest = min(task.max_length, task.divided_from + 6)
    lengths = torch.arange(task.divided_from, longest + 1).repeat(4)
    batch = task.sample(len(lengths), length=lengths, generator=torch.Generator().manual_seed(0), stream=stream)
    for row in batch.tokens:
        pieces = Vocabulary.pieces(task.prompt_and_answer(task.vocabulary.decode(row))[0])
        tested = in_test_stream(symbol_codes(pieces)[None], torch.tensor([len(pieces)]))
        assert bool(tested) == (stream == "test")


def test_streams_divide_all_prompts_between_them() -> None:
    # 2^12 = 4,096 words, about 256 of them tested. In 80,000 and 6,000 draws a word is missed with probability e^-20.
    task = get_task("copy", alphabet=2, case="lower")
    assert task.divided_from == 12
    train = set(binary_words(task, 80_000, stream="train"))
    test = set(binary_words(task, 6_000, stream="test"))
    assert train.isdisjoint(test)
    assert train | test == set(range(4096))


def test_no_task_trains_on_what_another_is_tested_on() -> None:
    # 16^3 = 4,096 prompts: 800 draws of each task would meet often.
    tasks = [get_task(name, alphabet=8) for name in NAMES]
    train, test = (
        [set(draw(task, 800, length=3, stream=stream, seed=seed)) for seed, task in enumerate(tasks)]
        for stream in STREAMS
    )
    assert all(trained.isdisjoint(tested) for trained in train for tested in test)
    assert not train[0].isdisjoint(train[1])


@pytest.mark.parametrize("stream", STREAMS)
def test_other_alphabets_divide_their_common_prompts_alike(stream: Any) -> None:
    small = get_task("copy", alphabet=5, case="lower")
    large = get_task("reverse", alphabet=26)
    common = draw(small, 300, length=8, stream=stream)
    assert set(is_tested(common)) == set(is_tested(draw(large, 300, length=8, stream=stream))) == {stream == "test"}


@pytest.mark.parametrize("stream", [*STREAMS, "all"])
def test_binding_to_another_vocabulary_changes_no_prompt(stream: Any) -> None:
    task = get_task("shift", alphabet=12, case="lower")
    lengths = torch.arange(200) % 20 + 1
    turned = Vocabulary(tuple(reversed(get_group("copy+shift").vocabulary.tokens)))
    expected = draw(task, 200, length=lengths, stream=stream)
    assert draw(task.bind(turned), 200, length=lengths, stream=stream) == expected


@pytest.mark.parametrize("length", [3, 4, 7, 16, 40])
def test_test_stream_is_one_sixteenth(length: int) -> None:
    # 20,000 draws: expectation 1,250, standard deviation 34.2; four of them allowed. At length 3 of 52 letters too.
    task = get_task("copy")
    batch = task.sample(20_000, length=length, generator=torch.Generator().manual_seed(0))
    codes = symbol_codes(task.symbols)[batch.tokens[:, 1 : length + 2]]
    tested = int(in_test_stream(codes, torch.full((20_000,), length + 1)).sum())
    assert abs(tested - 20_000 / SHARE) < 4 * (20_000 / SHARE * (1 - 1 / SHARE)) ** 0.5


def test_tested_words_have_uniform_letters_and_neighbours() -> None:
    # Every word of 5 letters of 6: 7,776, of which about 486 are tested.
    words = ["".join(letters) for letters in itertools.product("abcdef", repeat=5)]
    tested = [word for word, is_one in zip(words, is_tested([f"{word}=" for word in words]), strict=True) if is_one]
    assert abs(len(tested) - 486) < 4 * (486 * 15 / 16) ** 0.5
    for place in range(5):
        column = [word[place] for word in tested]
        assert chisquare([column.count(letter) for letter in "abcdef"]).pvalue > 1e-3
    pairs = [word[place : place + 2] for word in tested for place in range(4)]
    assert chisquare([pairs.count(a + b) for a in "abcdef" for b in "abcdef"]).pvalue > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_division_starts_at_4096_prompts(name: str) -> None:
    task = get_task(name, alphabet=12)
    # 24^2 = 576 and 24^3 = 13,824.
    assert task.divided_from == 3
    assert task.prompt_space(task.divided_from) >= SMALLEST_SPACE > task.prompt_space(task.divided_from - 1)


@pytest.mark.parametrize("stream", STREAMS)
def test_short_lengths_are_not_divided(stream: Any) -> None:
    # 24^2 = 576 words, all reachable by both streams: missed with probability (575/576)^15000 < 1e-11.
    task = get_task("copy", alphabet=12)
    batch = task.sample(15_000, length=2, generator=torch.Generator().manual_seed(0), stream=stream)
    assert len(batch.tokens.unique(dim=0)) == 576


@given(st.text("abc=", min_size=1), st.text("abc=", max_size=20))
def test_what_stands_behind_a_prompt_is_not_seen(prompt: str, behind: str) -> None:
    alone = in_test_stream(symbol_codes(prompt)[None], torch.tensor([len(prompt)]))
    longer = in_test_stream(symbol_codes(prompt + behind)[None], torch.tensor([len(prompt)]))
    assert torch.equal(alone, longer)


def test_division_is_the_same_for_ever() -> None:
    # Found once and held: a change would test old models on prompts they were trained on. It needs new task versions.
    words = ["".join(letters) + "=" for letters in itertools.islice(itertools.product("abcdefghij", repeat=6), 100)]
    tested = [word for word, is_one in zip(words, is_tested(words), strict=True) if is_one]
    assert tested == ["aaaadf=", "aaaaec=", "aaaafh=", "aaaaig="]


def test_looking_for_tested_prompts_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 64 prompts of 1,001 symbols 60 must be drawn anew, 16 times on average: one after the other, not all at once.
    drawn, prompts = [], Copy.prompts

    def counted(self: Copy, lengths: torch.Tensor, *, generator: torch.Generator) -> Ragged:
        drawn.append(len(lengths))
        return prompts(self, lengths, generator=generator)

    monkeypatch.setattr(Copy, "prompts", counted)
    get_task("copy").sample(64, length=1000, generator=torch.Generator().manual_seed(0), stream="test")
    assert max(drawn) * 1001 <= 2**17
    assert sum(drawn) > 500


def test_symbol_codes_come_from_the_text_alone() -> None:
    codes = symbol_codes(["a", "[17]", "a", "b"])
    assert codes.dtype == torch.int64
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 3


def test_a_task_that_draws_fewer_prompts_than_it_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # All words are aaaa...: in one of the two streams there is none.
    def same(self: Copy, lengths: torch.Tensor, *, generator: torch.Generator) -> Ragged:
        values = torch.zeros((len(lengths), int(lengths.max()) + 1), dtype=torch.int64)
        return Ragged(values.scatter(1, lengths[:, None], len(self.letters)), lengths + 1)

    monkeypatch.setattr(Copy, "prompts", same)
    (missing,) = {"train", "test"} - {"test" if is_tested(["aaaa="])[0] else "train"}
    text = f"none of [0-9]+ prompts belongs to the '{missing}' stream: the task draws far fewer prompts than its "
    with pytest.raises(InvalidValueError, match=f"^{text}'prompt_space' says; correct that$"):
        draw(get_task("copy"), 3, length=4, stream=missing)
