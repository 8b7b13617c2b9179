"""Between symbols and tokens: the three markings as they are drawn, and what is read back."""

import re
from pathlib import Path

import pytest
import torch

from tasks import InvalidValueError, frame, get_task

# The drawing of `Marking` is the only place in the module with these rows.
DRAWN = {
    "start": "[copy] q W e = q W e [EOS]",
    "repeated": "[BOS] [copy] [copy] [copy] [copy] q W e = [copy] [copy] [copy] [copy] q W e [EOS]",
    "none": "[BOS] q W e = q W e [EOS]",
}


@pytest.mark.parametrize("marking", list(DRAWN))
def test_markings_are_written_as_drawn(marking: str) -> None:
    task = get_task("copy", marking=marking)
    batch = task.examples(["qWe="])
    assert " ".join(task.vocabulary.split(batch.tokens[0])) == DRAWN[marking]
    # The last four tokens are the answer and [EOS].
    assert batch.scored[0].tolist() == [False] * (batch.tokens.shape[1] - 4) + [True] * 4


@pytest.mark.parametrize("marking", list(DRAWN))
def test_source_draws_the_markings(marking: str) -> None:
    lines = [line.split() for line in Path(frame.__file__).read_text().splitlines()]
    assert [marking, *DRAWN[marking].split()] in lines


@pytest.mark.parametrize(
    ("marking", "special"), [("start", ["[copy]"]), ("repeated", ["[copy]", "[BOS]"]), ("none", ["[BOS]"])]
)
def test_vocabulary_has_the_tokens_that_the_marking_needs(marking: str, special: list[str]) -> None:
    task = get_task("copy", marking=marking, alphabet=2, case="lower")
    assert task.vocabulary.tokens == ("a", "b", "=", "[EOS]", *special)


@pytest.mark.parametrize("marking", list(DRAWN))
def test_rows_of_different_lengths_are_filled_up(marking: str) -> None:
    task = get_task("reverse", marking=marking)
    batch = task.examples(["abc=", "z="])
    shorter = [token for token in task.vocabulary.split(batch.tokens[1]) if token not in (task.marker, "[BOS]")]
    assert shorter == ["z", "=", "z", "[EOS]", "[EOS]", "[EOS]", "[EOS]", "[EOS]"]
    assert batch.scored[1].sum() == 2


def test_examples_of_another_task_are_not_read() -> None:
    copy, reverse = get_task("copy"), get_task("reverse")
    bound = reverse.bind(reverse.vocabulary.union(copy.vocabulary))
    batch = copy.bind(bound.vocabulary).examples(["ab="])
    text = "'[copy]ab=ab[EOS]' is no example of 'reverse'; one begins with [reverse] and has a '='"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        bound.counterfactual(batch, generator=torch.Generator().manual_seed(0))
