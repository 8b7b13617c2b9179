"""Sharpness of attention by length: against loops over tokens, and against the theory of the sorter."""

import math

import pytest
import torch

from analyses import Head
from analyses.ground_truth import Softmax, SorterTheory, attention_sharpness, get_circuit
from analyses.ground_truth.sharpness import SHARPNESS_COLUMNS
from tasks import InvalidValueError, get_task
from tests.analyses.models import random_model, seeded


def test_uniform_attention() -> None:
    """Without queries, position q pays 1 / (q + 1) to every token that it sees."""
    task = get_task("copy", alphabet=3, case="lower")
    model = random_model(task.vocabulary, n_layers=1, positions="none")
    with torch.no_grad():
        model.blocks[0].attn.W_Q.zero_()
    table = attention_sharpness(model, task, lengths=[4], n=6, generator=seeded())
    assert list(table) == SHARPNESS_COLUMNS
    batch = task.sample(6, length=4, generator=seeded(), stream="test")
    end, answers, entropies = [], [], []
    for row in batch.tokens.tolist():  # [copy] a b c d = a b c d [EOS]: `=` at 5 reads the first letter, and so on
        end.append(row[:6].count(row[6]) / 6)
        answers.append(sum(row[: q + 1].count(row[q + 1]) / (q + 1) for q in (6, 7, 8)) / 3)
        entropies.append(sum(math.log(q + 1) for q in (6, 7, 8)) / 3)
    for head in range(4):
        rows = table[table["head"] == head].set_index("positions")
        assert rows["mass"].tolist() == pytest.approx([torch.tensor(end).mean().item(), sum(answers) / 6])
        assert rows["mass_stderr"].tolist() == pytest.approx(
            [torch.tensor(column).std().item() / 6**0.5 for column in (end, answers)], rel=1e-5
        )
        assert rows["entropy"].tolist() == pytest.approx([math.log(6), sum(entropies) / 6], rel=1e-6)
        assert rows["n"].tolist() == [6, 6]


def test_the_constructed_sorter_lies_on_the_theory() -> None:
    known = get_circuit("sorter")
    table = attention_sharpness(
        known.model.double(), known.task, lengths=[50], heads=sorted(known.named), n=2, generator=seeded()
    )
    assert table["layer"].tolist() == [0, 0, 1, 1]
    assert table["positions"].tolist() == ["end", "answer"] * 2
    end, _, _, answer = table["mass"].tolist()  # the first head's at `=`, the second's behind it
    # A permutation of all numbers has the same masses in every order; the theory counts the last step, [EOS], too.
    steps = SorterTheory(("float64",), (Softmax("log_n", 1.0),))(lengths=[50], n=1, generator=seeded())
    assert (end + 49 * answer + 1.0) / 51 == pytest.approx(steps["mass"].item(), abs=1e-9)
    assert table["mass_stderr"].iloc[0] == pytest.approx(0, abs=1e-9)


def test_the_end_is_what_predicts_the_first_scored_token() -> None:
    # [BOS] [copy] * 4 a b c = [copy] * 4 a b c [EOS]: `=` is at 8; the last marker, at 12, predicts the first letter.
    task = get_task("copy", alphabet=3, case="lower", marking="repeated")
    model = random_model(task.vocabulary, n_layers=1, positions="none")
    with torch.no_grad():
        model.blocks[0].attn.W_Q.zero_()
    table = attention_sharpness(model, task, lengths=[3], heads=[Head(0, 0)], n=6, generator=seeded())
    assert table["positions"].tolist() == ["end", "answer"]
    answer = (math.log(14) + math.log(15)) / 2
    assert table["entropy"].tolist() == pytest.approx([math.log(13), answer], rel=1e-6)


def test_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task("reverse", alphabet=3, case="lower")
    model = random_model(task.vocabulary)
    whole = attention_sharpness(model, task, lengths=[3, 5], heads=[Head(1, 2)], n=5, generator=seeded())
    monkeypatch.setattr("analyses.ground_truth.sharpness._WEIGHTS", 1)
    parts = attention_sharpness(model, task, lengths=[3, 5], heads=[Head(1, 2)], n=5, generator=seeded())
    assert whole[["length", "layer", "head"]].drop_duplicates().values.tolist() == [[3, 1, 2], [5, 1, 2]]
    for name in ("mass", "entropy"):
        assert whole[name].tolist() == pytest.approx(parts[name].tolist(), rel=1e-5)


def test_a_task_whose_answers_are_not_in_its_prompts_has_no_rows() -> None:
    task = get_task("count", numbers=9, relation="smaller")
    # The answer [0], where nothing is smaller, is no element; it is the answer of half the examples of length 2.
    table = attention_sharpness(
        random_model(task.vocabulary, n_layers=1), task, lengths=[2], heads=[Head(0, 0)], n=16, generator=seeded()
    )
    assert set(table["n"]) <= set(range(1, 16))


def test_what_is_refused() -> None:
    task = get_task("copy", alphabet=3, case="lower")
    model = random_model(task.vocabulary)
    with pytest.raises(InvalidValueError, match=r"^4 examples of lengths \[\] cannot be measured; give at least one"):
        attention_sharpness(model, task, lengths=[], n=4, generator=seeded())
    with pytest.raises(InvalidValueError, match="^head 7.0 does not exist: "):
        attention_sharpness(model, task, lengths=[3], heads=[Head(7, 0)], generator=seeded())
    with pytest.raises(InvalidValueError, match="^length 0 is not possible for task 'copy'"):
        attention_sharpness(model, task, lengths=[3, 0], generator=seeded())
