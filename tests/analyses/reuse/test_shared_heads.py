"""The heads that two tasks share, and where they look."""

import numpy as np
import pytest
import torch

from analyses import Head, HeadEffects
from analyses.reuse.shared_heads import attention_example, top_shared_heads
from tasks import InvalidValueError, get_task
from tests.analyses.models import effects_of, random_model

TASK = get_task("shift", alphabet=4, case="lower")

# Mean effects of four heads, and the lesser of the two:
#   shift   3   1   -1   2
#   copy    1   2    5   2
#   least   1   1   -1   2
SHIFT = effects_of(torch.tensor([[2.0, 4], [1, 1], [-1, -1], [0, 4]]), heads_per_layer=2, task="shift")
COPY = effects_of(torch.tensor([[1.0, 1], [2, 2], [5, 5], [1, 3]]), heads_per_layer=2, task="copy")


@pytest.mark.parametrize(
    ("k", "names"),
    [(0, ""), (1, "1.1"), (2, "1.1 0.0"), (3, "1.1 0.0 0.1"), (4, "1.1 0.0 0.1"), (9, "1.1 0.0 0.1")],
)
def test_top_shared_heads(k: int, names: str) -> None:
    # Greatest least effect first; of equals the earlier; a head that harms one task never.
    for pair in ((SHIFT, COPY), (COPY, SHIFT)):
        assert " ".join(map(str, top_shared_heads(*pair, k=k))) == names


def test_heads_that_help_nothing_are_not_shared() -> None:
    nothing = effects_of(torch.zeros(4, 2), heads_per_layer=2)
    assert top_shared_heads(SHIFT, nothing, k=3) == []


JOINT = effects_of(torch.ones(1, 2), sets=[(Head(0, 0), Head(0, 1))])


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (SHIFT, effects_of(torch.ones(3, 2), heads_per_layer=2),
         "shared heads need the effects of the same heads in the same metric for both tasks"),
        (SHIFT, effects_of(torch.ones(4, 2), heads_per_layer=2, metric="accuracy"),
         "shared heads need the effects of the same heads in the same metric for both tasks"),
        (JOINT, JOINT, "shared heads need maps of single heads, not of a joint set; ablate the heads singly"),
    ],
    ids=["heads", "metric", "joint"],
)  # fmt: skip
def test_effects_that_do_not_match_are_refused(first: HeadEffects, second: HeadEffects, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        top_shared_heads(first, second, k=1)
    assert str(caught.value) == text


def test_attention_example_is_the_models_pattern() -> None:
    model = random_model(TASK.vocabulary)
    example = attention_example(model, TASK, TASK.examples(["adb="]), Head(2, 1))
    assert (example.task, example.layer, example.head) == ("shift", 2, 1)
    assert example.tokens == ("[shift]", "a", "d", "b", "=", "b", "a", "c")
    with torch.no_grad():
        _, cache = model.run_with_cache(TASK.vocabulary.encode("[shift]adb=bac")[None])
    pattern = example.pattern
    assert pattern.dtype == np.float32
    assert pattern == pytest.approx(cache["blocks.2.attn.hook_pattern"][0, 1].numpy(), abs=1e-5)
    assert pattern.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-6)
    assert (np.triu(pattern, 1) == 0).all()
    assert not model.is_hooked


def test_uniform_attention_is_one_over_the_tokens_read() -> None:
    # Without queries every logit is 0: the query at position q looks at q + 1 tokens alike.
    model = random_model(TASK.vocabulary, n_layers=1)
    with torch.no_grad():
        model.blocks[0].attn.W_Q.zero_()
    pattern = attention_example(model, TASK, TASK.examples(["ab="]), Head(0, 0)).pattern
    assert pattern == pytest.approx(np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None])


@pytest.mark.parametrize(
    ("prompts", "head", "text"),
    [
        (["ab=", "ba="], Head(0, 0), "an attention pattern is that of one example. Got 2; pass batch[:1]"),
        (["ab="], Head(3, 0), "head 3.0 does not exist: the model has layers 0 to 2 of heads 0 to 3, so 0.0 to 2.3"),
        (["ab="], Head(0, 4), "head 0.4 does not exist: the model has layers 0 to 2 of heads 0 to 3, so 0.0 to 2.3"),
    ],
)
def test_attention_example_refuses(prompts: list[str], head: Head, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        attention_example(random_model(TASK.vocabulary), TASK, TASK.examples(prompts), head)
    assert str(caught.value) == text
