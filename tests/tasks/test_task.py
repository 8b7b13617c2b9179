"""What holds for every task: randomness, devices, lengths, binding, names and errors of `sample`."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks import InvalidValueError, Task, UnknownNameError, Vocabulary, get_task, list_tasks

NAMES = list_tasks()
RAGGED = torch.tensor([2, 20, 7, 3, 12])


@pytest.fixture(params=NAMES)
def task(request: pytest.FixtureRequest) -> Task:
    return get_task(request.param)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("stream", ["all", "train", "test"])
@pytest.mark.parametrize("length", [6, RAGGED])
def test_same_generator_state_same_bytes(task: Task, length: int | Tensor, stream: Any) -> None:
    first, again = (task.sample(5, length=length, generator=seeded(), stream=stream) for _ in range(2))
    other = task.sample(5, length=length, generator=seeded(1), stream=stream)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.scored, again.scored)
    assert not torch.equal(first.tokens, other.tokens)


def test_generator_moves_on(task: Task) -> None:
    generator = seeded()
    first, second = (task.sample(5, length=6, generator=generator, stream="train") for _ in range(2))
    assert not torch.equal(first.tokens, second.tokens)


@pytest.mark.parametrize("stream", ["all", "train", "test"])
def test_global_randomness_is_neither_read_nor_written(task: Task, stream: Any) -> None:
    drawn = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            drawn.append(task.sample(5, length=RAGGED, generator=seeded(), stream=stream))
            assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0].tokens, drawn[1].tokens)


def test_examples_are_on_the_generators_device(task: Task) -> None:
    generator = torch.Generator(device="cpu").manual_seed(0)
    batch = task.sample(5, length=RAGGED, generator=generator, stream="test")
    assert batch.tokens.device == batch.scored.device == generator.device


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_lengths_of_other_integer_types_mean_the_same(task: Task, dtype: torch.dtype) -> None:
    expected = task.sample(5, length=RAGGED, generator=seeded(), stream="test")
    batch = task.sample(5, length=RAGGED.to(dtype), generator=seeded(), stream="test")
    assert torch.equal(batch.tokens, expected.tokens)


def test_equal_lengths_may_be_given_one_by_one(task: Task) -> None:
    one = task.sample(5, length=6, generator=seeded(), stream="train")
    each = task.sample(5, length=torch.full((5,), 6), generator=seeded(), stream="train")
    assert torch.equal(one.tokens, each.tokens)
    assert torch.equal(one.scored, each.scored)


@pytest.mark.parametrize("stream", ["all", "train", "test"])
@pytest.mark.parametrize("length", [6, torch.empty(0, dtype=torch.int64)])
def test_no_examples_make_an_empty_batch(task: Task, length: int | Tensor, stream: Any) -> None:
    batch = task.sample(0, length=length, generator=seeded(), stream=stream)
    assert len(batch) == 0
    assert batch.tokens.dtype == torch.int64
    assert batch.scored.dtype == torch.bool
    assert batch.targets.shape == (0,)


@pytest.mark.parametrize("stream", ["train", "test"])
def test_smallest_and_greatest_length_work(task: Task, stream: Any) -> None:
    for length in (task.min_length, task.max_length):
        batch = task.sample(1, length=length, generator=seeded(), stream=stream)
        prompt, answer = task.prompt_and_answer(task.vocabulary.decode(batch.tokens[0]))
        assert task.solve(prompt) == answer


def test_bound_task_is_the_same_task(task: Task) -> None:
    larger = Vocabulary(("[other]", *reversed(task.vocabulary.tokens), "?"))
    bound = task.bind(larger)
    assert bound == task
    assert hash(bound) == hash(task)
    assert bound.key == task.key
    assert bound.vocabulary == larger
    assert task.vocabulary != larger


def test_bound_task_writes_the_same_text_in_other_ids(task: Task) -> None:
    task.sample(1, length=3, generator=seeded())  # what the task remembers of its own vocabulary must not stay.
    bound = task.bind(Vocabulary(("[other]", *reversed(task.vocabulary.tokens), "?")))
    own = task.sample(5, length=RAGGED, generator=seeded())
    other = bound.sample(5, length=RAGGED, generator=seeded())
    assert not torch.equal(own.tokens, other.tokens)
    assert torch.equal(own.scored, other.scored)
    texts = [
        [speaker.vocabulary.decode(row) for row in batch.tokens] for speaker, batch in [(task, own), (bound, other)]
    ]
    assert texts[0] == texts[1]
    again = task.sample(5, length=RAGGED, generator=seeded())
    assert torch.equal(own.tokens, again.tokens)


@pytest.mark.parametrize("missing", ["first", "=", "marker"])
def test_binding_to_a_vocabulary_that_lacks_a_token_is_refused(task: Task, missing: str) -> None:
    token = {"first": task.symbols[0], "=": "=", "marker": task.marker}[missing]
    vocabulary = Vocabulary(tuple(other for other in task.vocabulary.tokens if other != token))
    has = " ".join(vocabulary.tokens)
    text = f"the vocabulary lacks {token!r}, which task {task.name!r} needs; it has {has}"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        task.bind(vocabulary)


def test_key_names_parameters_and_version() -> None:
    assert get_task("copy", alphabet=12).key == "Copy(marking='start', alphabet=12, case='both').v1"
    assert get_task("copy", marking="none").key != get_task("copy").key
    assert get_task("copy", alphabet=12).key != get_task("reverse", alphabet=12).key


def test_marker_is_the_name_in_brackets(task: Task) -> None:
    assert task.marker == f"[{task.name}]"
    assert task.marker in task.vocabulary


@pytest.mark.parametrize("text", ["[copy]ab=ab[EOS]", "ab=ab[EOS][EOS]", "ab=ab", "[copy]ab=ab"])
def test_prompt_and_answer_are_split(text: str) -> None:
    assert get_task("copy").prompt_and_answer(text) == ("ab=", "ab")


def test_prompt_without_answer_has_an_empty_one() -> None:
    assert get_task("copy").prompt_and_answer("[copy]ab=") == ("ab=", "")


def test_text_without_equals_is_refused() -> None:
    text = "'[copy]abab' has no '=' between prompt and answer"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("copy").prompt_and_answer("[copy]abab")


@pytest.mark.parametrize("length", [0, -3, 4097])
def test_impossible_length_is_refused(task: Task, length: int) -> None:
    allowed = f"{task.min_length} to {task.max_length}"
    text = f"^length {length} is not possible for task '{task.name}'; allowed are {allowed}$"
    with pytest.raises(InvalidValueError, match=text):
        task.sample(2, length=length, generator=seeded())
    with pytest.raises(InvalidValueError, match=text):
        task.sample(2, length=torch.tensor([5, length]), generator=seeded())


def test_lengths_that_are_not_n_are_refused(unchecked: None) -> None:
    text = "length must be one number or 3. Got shape (2,)"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("copy").sample(3, length=torch.tensor([5, 6]), generator=seeded())


def test_negative_number_of_examples_is_refused(task: Task) -> None:
    with pytest.raises(InvalidValueError, match="^-1 examples are not possible; allowed are 0 and more$"):
        task.sample(-1, length=3, generator=seeded())


def test_unknown_stream_is_refused(unchecked: None) -> None:
    text = "unknown stream 'tset'; did you mean 'test'? the streams are train, test, all"
    stream: Any = "tset"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_task("copy").sample(2, length=3, generator=seeded(), stream=stream)


def test_unknown_marking_is_refused(unchecked: None) -> None:
    text = "unknown marking 'letters'; the markings are start, repeated, none"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_task("copy", marking="letters")


@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
@pytest.mark.parametrize("stream", ["train", "test"])
def test_examples_of_prompts_are_those_that_were_drawn(task: Task, marking: str, stream: Any) -> None:
    marked = get_task(task.name, marking=marking)
    drawn = marked.sample(5, length=RAGGED, generator=seeded(), stream=stream)
    texts = [marked.vocabulary.decode(row) for row in drawn.tokens]
    made = marked.examples([marked.prompt_and_answer(text)[0] for text in texts])
    assert torch.equal(made.tokens, drawn.tokens)
    assert torch.equal(made.scored, drawn.scored)


def test_no_prompts_make_no_examples(task: Task) -> None:
    assert len(task.examples([])) == 0


def test_examples_of_what_is_no_prompt_are_refused(task: Task) -> None:
    with pytest.raises(InvalidValueError, match="is no prompt of "):
        task.examples(["?"])


@pytest.mark.parametrize("length", ["8", 3.5, [2, 3]])
def test_length_of_another_type_is_refused(length: Any, unchecked: None) -> None:
    text = f"length {length!r} is not possible for task 'copy'; allowed are 1 to 4096"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("copy").sample(2, length=length, generator=seeded())


def test_lengths_that_are_no_whole_numbers_are_refused(unchecked: None) -> None:
    text = "lengths are whole numbers. Got a tensor of torch.float32; use int64"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("copy").sample(2, length=torch.tensor([2.7, 3.2]), generator=seeded())
