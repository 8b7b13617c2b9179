"""Labelled tokens: train and test apart, control labels, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.probing import Label, get_label
from analyses.probing.scores import _shares
from analyses.probing.tokens import Tokens, check_probe_scope, check_types, sampled
from tasks import Batch, InvalidValueError, Task, UnknownNameError, get_task
from tests.analyses.models import seeded

SORT = get_task("sort", numbers=6)


def tokens_of(label: str, *, task: Task = SORT, types: Any = "token", scope: Any = "all", n: int = 60) -> Tokens:
    batch, testing = sampled(task, lengths=(3,), n=n, generator=seeded())
    return Tokens.of(task, batch, get_label(label), types=types, scope=scope, testing=testing)


@pytest.mark.parametrize(("name", "length"), [("sort", 2), ("copy", 5)])
def test_no_example_is_on_both_sides(name: str, length: int) -> None:
    # 9 prompts of two numbers up to 3, each drawn many times, and far more of letters.
    task = get_task(name, numbers=3) if name == "sort" else get_task(name)
    batch, testing = sampled(task, lengths=(length,), n=100, generator=seeded())
    sides = [{tuple(row) for row in batch.tokens[side].tolist()} for side in (testing, ~testing)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) == round(len(sides[0] | sides[1]) / 4)


def test_examples_are_of_the_test_stream_and_of_all_lengths() -> None:
    task = get_task("copy")
    batch, _ = sampled(task, lengths=(4, 6), n=50, generator=seeded())
    ends = (batch.tokens == task.vocabulary.index["="]).int().argmax(dim=1)
    assert set(ends.tolist()) == {5, 7}  # the marker stands before the word
    prompts = [task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in batch.tokens]
    assert len(set(prompts)) == 50
    trained = task.sample(2_000, length=4, generator=seeded(1), stream="train")
    assert not set(prompts) & {task.prompt_and_answer(task.vocabulary.decode(row))[0] for row in trained.tokens}


def test_tokens_are_those_with_a_label_in_the_scope() -> None:
    # [sort] 3 numbers = 3 numbers [EOS]: the minimum has a value at 4 tokens of the prompt.
    for scope, count in (("all", 4), ("prompt", 4)):
        tokens = tokens_of("minimum", scope=scope)
        batch, testing = sampled(SORT, lengths=(3,), n=60, generator=seeded())
        assert len(tokens.training) == (~testing).sum() * count
        trained = {tuple(row[:end]) for row in batch.tokens[~testing].tolist() for end in range(2, 6)}
        new = [tuple(row[:end]) not in trained for row in batch.tokens[testing].tolist() for end in range(2, 6)]
        assert len(tokens.tested) == sum(new) < len(new)
    tokens = tokens_of("current_token", scope="answer")
    assert set(tokens.positions.tolist()) == {5, 6, 7}  # the model does not read [EOS], at 8
    read = tokens.batch.tokens[tokens.rows, tokens.positions]
    assert torch.equal(read, tokens.labels)  # numbers are the first tokens of the vocabulary
    assert torch.equal(tokens.types, tokens.labels)
    assert tokens.rows.tolist() == sorted(tokens.rows.tolist())


def test_test_tokens_whose_prefix_was_trained_on_are_left_out() -> None:
    task = get_task("copy", alphabet=4, case="lower")
    batch = task.examples(["abc=", "bac=", "abd=", "dab="])
    held = torch.tensor([False, False, True, True])
    tokens = Tokens.of(task, batch, get_label("current_token"), types="token", scope="prompt", testing=held)
    # [copy] a b d = shares [copy] a b with the first, [copy] d a b = only [copy].
    tested = list(zip(tokens.rows[held[tokens.rows]].tolist(), tokens.positions[tokens.tested].tolist(), strict=True))
    assert tested == [(2, 3), (2, 4), (3, 1), (3, 2), (3, 3), (3, 4)]
    assert len(tokens.training) == 10

    def second(task: Task, batch: Batch) -> Tensor:
        """The second letter, at the first two."""
        places = torch.arange(batch.tokens.shape[1])
        return torch.where((places == 1) | (places == 2), batch.tokens[:, 2:3], -1)

    with pytest.raises(InvalidValueError) as caught:
        Tokens.of(
            task, batch[:3], Label("second", "the second letter", second), types="token", scope="prompt",
            testing=held[:3],
        )  # fmt: skip
    assert str(caught.value) == (
        "label 'second': at each of the 2 test tokens of task 'copy' in the scope 'prompt', all tokens up to it stand "
        "in a training example too, so none is new to a probe; use greater lengths, or the scope answer or all"
    )


def test_tokens_of_all_lengths_end_alike() -> None:
    batch, testing = sampled(SORT, lengths=(3, 5), n=60, generator=seeded())
    tokens = Tokens.of(SORT, batch, get_label("current_token"), types="token", scope="answer", testing=testing)
    read = batch.tokens[tokens.rows, tokens.positions]
    assert not bool((read == SORT.vocabulary.eos).any())


def test_copies_are_one_example_in_the_standard_error() -> None:
    task = get_task("copy", alphabet=4, case="lower")
    batch = task.examples(["ab=", "ba=", "cd=", "dc=", "cd=", "cd="])
    held = torch.tensor([False, False, True, True, True, True])

    def first(task: Task, batch: Batch) -> Tensor:
        """The first letter, 0 or 1, at the answer's first; c and d are 0 and 1 too."""
        return torch.where(torch.arange(batch.tokens.shape[1]) == 4, batch.tokens[:, 1:2] % 2, -1)

    tokens = Tokens.of(task, batch, Label("first", "", first), types="token", scope="all", testing=held)
    assert tokens.example.unique(return_inverse=True)[1].tolist() == [0, 1, 2, 3, 2, 2]
    # Three copies are right, one other is wrong: clusters of 3 and 1 tokens, accuracy 3/4.
    accuracy, stderr = _shares(torch.tensor([[True, False, True, True]]), tokens)
    assert float(accuracy) == 0.75
    residuals = torch.tensor([3 - 0.75 * 3, 0 - 0.75 * 1], dtype=torch.float64)
    assert float(stderr) == pytest.approx(float(residuals.std() / 2**0.5 / 2))


def test_a_class_that_is_only_tested_has_no_number() -> None:
    task = get_task("copy", alphabet=4, case="lower")
    batch = task.examples(["ab=", "ba=", "cd="])

    tokens = Tokens.of(
        task, batch, get_label("current_token"), types="token", scope="answer",
        testing=torch.tensor([False, False, True]),
    )  # fmt: skip
    assert tokens.classes == 2
    assert tokens.labels.tolist() == [0, 1, 1, 0, -1, -1]


def test_each_type_has_one_control_label() -> None:
    tokens = tokens_of("minimum", n=400)
    controls = tokens.controls(5, generator=seeded())
    assert controls.shape == (5, len(tokens.rows))
    for control in controls:
        for kind in tokens.types.unique():
            assert len(control[tokens.types == kind].unique()) == 1
    assert len({tuple(control.tolist()) for control in controls}) > 1
    # Over many draws, classes are as frequent as they are among training tokens.
    many = tokens.controls(4_000, generator=seeded())
    shares = torch.bincount(many[:, :1].flatten(), minlength=tokens.classes) / 4_000
    own = torch.bincount(tokens.labels[tokens.training], minlength=tokens.classes) / len(tokens.training)
    torch.testing.assert_close(shares, own, rtol=0, atol=0.04)


def test_types_can_be_positions_or_the_users() -> None:
    assert tokens_of("minimum", types="position").types.unique().tolist() == [0, 1, 2, 3]

    def parity(task: Task, batch: Batch) -> Tensor:
        return batch.tokens % 2

    assert tokens_of("minimum", types=parity).types.unique().tolist() == [0, 1]


def at_equals(task: Task, batch: Batch) -> Tensor:
    return torch.where(batch.tokens == task.vocabulary.index["="], batch.tokens[:, 1:2], -1)


def test_one_type_is_refused() -> None:
    batch, testing = sampled(SORT, lengths=(3,), n=40, generator=seeded())
    cases: list[tuple[Any, str]] = [
        ("token", r" \(token '='\)"),
        ("position", r" \(position 4\)"),
        (lambda _, b: b.tokens * 0, ""),
    ]
    for types, text in cases:
        expected = (
            f"^all 40 labelled tokens are of one type{text}, so a control task would have one label; give other ty"
        )
        with pytest.raises(InvalidValueError, match=expected):
            Tokens.of(SORT, batch, get_label(at_equals), types=types, scope="all", testing=testing)


def test_one_class_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        tokens_of("carry_in", task=get_task("copy_first"), scope="prompt")
    assert str(caught.value) == (
        "label 'carry_in' has one class, 0, at all 45 training tokens of task 'copy_first', so there is nothing to "
        "tell apart; use other lengths, another scope, or one of current_token, next_target, position_from_end"
    )


def test_no_label_is_refused() -> None:
    with pytest.raises(
        InvalidValueError, match="^label 'successor' has no value at any training token of task 'sort' in t"
    ):
        tokens_of("successor", scope="prompt")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n": 7}, "n = 7 examples cannot be divided for a probe; allowed is 8 or more"),
        ({"lengths": ()}, r"lengths \(\) must be at least one, each named once"),
        ({"lengths": (3, 3)}, r"lengths \(3, 3\) must be at least one, each named once"),
        ({"lengths": (0,)}, "length 0 is not possible for task 'sort'; allowed are 1 to 4096"),
    ],
)
def test_impossible_examples_are_refused(arguments: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"lengths": (3,), "n": 20, "generator": seeded()} | arguments
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        sampled(SORT, **given)


def test_examples_that_are_all_the_same_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task("sort", numbers=2)
    same = task.examples(["[1]="]).tokens.repeat(8, 1)
    monkeypatch.setattr(
        type(task), "sample", lambda *_, **__: Batch(same, torch.ones_like(same) * same.ne(same[0, 0]) > 0)
    )
    with pytest.raises(
        InvalidValueError, match="^all 8 examples of task 'sort' at length 1 are the same, so none can be h"
    ):
        sampled(task, lengths=(1,), n=8, generator=seeded())


@pytest.mark.usefixtures("unchecked")
def test_unknown_words_are_refused() -> None:
    word: Any = "tokens"
    with pytest.raises(
        UnknownNameError, match="unknown types 'tokens'; did you mean 'token'. they are token, position, or"
    ):
        check_types(word)
    with pytest.raises(UnknownNameError, match="unknown scope 'end'; the scopes are all, prompt and answer"):
        check_probe_scope("end")
