"""Exact match in one forward pass against real greedy decoding, and every reported number against a plain one."""

import math
import re
import sys

import pytest
import torch

from tasks import Batch, InvalidValueError, Task, Vocabulary, get_task
from tests.training.tiny import COPY, LETTERS, SHIFT, tiny_config
from training import HookedTransformer, ModelConfig, evaluate, named_generator, train
from training.decoding import greedy_decode
from training.evaluate import Scores, join_scores, score, score_logits

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 3


@pytest.fixture(scope="module")
def half_trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> HookedTransformer:
    """A model that gets some words of three letters right and others wrong."""
    short = {**COPY, "max_length": LENGTH}
    settings = {"steps": 60, "batch_size": 32, "learning_rate": 1e-2}
    config = tiny_config(mixture=[short], train=settings, model={"d_mlp": 64}, measure={"checkpoints": 1})
    return train(config, tmp_path_factory.mktemp("half") / "run").model(weights="raw")


@pytest.fixture(scope="module")
def task(half_trained: HookedTransformer) -> Task:
    return get_task("copy", **LETTERS).bind(half_trained.vocabulary)


@pytest.fixture(scope="module")
def batch(task: Task) -> Batch:
    return task.sample(200, length=LENGTH, generator=named_generator(0, "test"), stream="test")


def test_exact_match_is_what_greedy_decoding_writes(half_trained: HookedTransformer, batch: Batch) -> None:
    prompts, answers = batch.tokens[:, : -LENGTH - 1], batch.tokens[:, -LENGTH - 1 :]
    written = greedy_decode(half_trained, prompts, steps=LENGTH + 1)
    correct = score(half_trained, batch).correct
    assert torch.equal(correct, (written == answers).all(dim=1))
    assert 20 < int(correct.sum()) < 180, "all right or all wrong proves nothing: change the steps of the fixture"


@torch.no_grad()
def test_nll_and_token_accuracy_by_hand(half_trained: HookedTransformer, batch: Batch) -> None:
    few = batch[:7]
    found = score(half_trained, few)
    logits = half_trained(few.tokens)
    for row in range(7):
        nlls, hits = [], []
        for position in range(LENGTH + 2, 2 * LENGTH + 3):
            row_logits, target = logits[row, position - 1].double(), int(few.tokens[row, position])
            nlls.append(math.log(row_logits.exp().sum()) - float(row_logits[target]))
            hits.append(int(row_logits.argmax()) == target)
        assert found.nll[row].item() == pytest.approx(sum(nlls) / (LENGTH + 1), rel=1e-5)
        assert found.token_accuracy[row].item() == pytest.approx(sum(hits) / (LENGTH + 1))
        assert bool(found.correct[row]) == all(hits)


def test_scores_of_given_logits_by_hand() -> None:
    # Two examples with two and one scored tokens: a b | a. The logits say a (sure), a (wrong), a (even odds).
    tokens = torch.tensor([[2, 0, 1], [2, 0, 2]])
    batch = Batch(tokens, torch.tensor([[False, True, True], [False, True, False]]))
    logits = torch.tensor([[9.0, -9.0, -9.0], [1.0, 0.0, -99.0], [0.0, -99.0, -1e-6]])
    found = score_logits(logits, batch)
    assert found.correct.tolist() == [False, True]
    assert found.token_accuracy.tolist() == [0.5, 1.0]
    # -ln(e^9 / (e^9 + 2 e^-9)) = 0; -ln(1 / (1 + e)) = 1.3133; -ln(1/2) = 0.6931.
    assert found.nll.tolist() == pytest.approx([1.3133 / 2, 0.6931], abs=1e-4)


def test_size_of_the_blocks_changes_nothing(
    half_trained: HookedTransformer, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(half_trained, batch)
    for budget in (1, 5 * batch.tokens.shape[1], 71 * batch.tokens.shape[1] + 3):
        monkeypatch.setattr(sys.modules["training.evaluate"], "TOKEN_BUDGET", budget)  # not the function
        parts = score(half_trained, batch)
        assert torch.equal(parts.correct, whole.correct)
        assert torch.equal(parts.token_accuracy, whole.token_accuracy)
        torch.testing.assert_close(parts.nll, whole.nll, rtol=1e-5, atol=1e-6)


def test_table_row_by_hand(half_trained: HookedTransformer, task: Task) -> None:
    table = evaluate(half_trained, task, lengths=[LENGTH, 1], n=50, generator=named_generator(1, "test"))
    assert list(table) == ["task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll"]
    assert table[["task", "length", "n"]].to_numpy().tolist() == [["copy", LENGTH, 50], ["copy", 1, 50]]
    examples = task.sample(50, length=LENGTH, generator=named_generator(1, "test"), stream="test")
    found, row = score(half_trained, examples), table.iloc[0]
    right = int(found.correct.sum())
    assert row["accuracy"] == right / 50
    assert row["stderr"] == pytest.approx(math.sqrt(right / 50 * (1 - right / 50) / 50))
    assert row["token_accuracy"] == pytest.approx(found.token_accuracy.mean().item())
    assert row["nll"] == pytest.approx(found.nll.mean().item())


def test_joined_scores_stand_one_after_the_other() -> None:
    parts = [Scores(torch.tensor([True]), torch.tensor([1.0]), torch.tensor([0.1])) for _ in range(2)]
    assert join_scores(parts).correct.tolist() == [True, True]
    assert join_scores(parts).nll.shape == (2,)


def test_same_generator_same_table_another_other(half_trained: HookedTransformer, task: Task) -> None:
    first, again, other = (
        evaluate(half_trained, task, lengths=[2, 3], n=40, generator=named_generator(seed, "test"))
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_each_task_is_read_with_its_own_unembedding() -> None:
    model = train_heads()
    task = get_task("shift", **LETTERS)
    with torch.no_grad():
        model.unembed.W_U[0] = 0.0
    nll = [
        evaluate(model, task, lengths=[2], n=8, generator=named_generator(0, "x"), task_head=head)["nll"][0]
        for head in (0, 1)
    ]
    assert nll[0] == pytest.approx(math.log(len(model.vocabulary)))
    assert nll[1] != pytest.approx(nll[0], abs=1e-6)


def train_heads() -> HookedTransformer:
    config = tiny_config(mixture=[SHIFT, COPY], model={"task_heads": 2, "initializer_range": 0.5})
    return HookedTransformer(
        config.model, vocabulary=Vocabulary(config.vocabulary), generator=named_generator(0, "weights")
    )


@pytest.mark.parametrize(
    ("lengths", "n", "text"),
    [
        ([2], 0, "n = 0 examples cannot be scored; allowed is 1 or more"),
        ([2], -3, "n = -3 examples cannot be scored; allowed is 1 or more"),
        ([2, 0], 4, "length 0 is not possible for task 'copy'; allowed are 1 to 4096"),
        ([4097], 4, "length 4097 is not possible for task 'copy'; allowed are 1 to 4096"),
    ],
)
def test_refuses(half_trained: HookedTransformer, task: Task, lengths: list[int], n: int, text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        evaluate(half_trained, task, lengths=lengths, n=n, generator=named_generator(0, "x"))


def test_refuses_a_task_that_the_vocabulary_cannot_spell() -> None:
    config = ModelConfig.read({"n_layers": 1, "n_heads": 1, "d_model": 4, "d_vocab": 3})
    model = HookedTransformer(config, vocabulary=Vocabulary(("a", "b", "[EOS]")), generator=named_generator(0, "w"))
    text = re.escape("the vocabulary lacks 'c', which task 'copy' needs; it has a b [EOS]")
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        evaluate(model, get_task("copy", **LETTERS), lengths=[2], n=2, generator=named_generator(0, "x"))
