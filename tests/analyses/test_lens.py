"""The residual lens: by hand on a known circuit, and against plain loops over cached activations."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from analyses.lens import ResidualLens, list_lens_targets
from analyses.lens.residual_lens import COLUMNS, ranked
from tasks import InterpError, InvalidValueError, Task, UnknownNameError, get_task
from tests.analyses.interventions.by_hooks import random_biases
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

SORT = get_task("sort", numbers=6)
SUCCESSOR = get_task("successor", numbers=6)
COPY = get_task("copy", alphabet=4, case="lower")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary, RMS": {},
    "learned, LN, all biases": {"positions": "learned", "n_ctx": 20, "biases": "all", "norm": "LN"},
    "none, tied": {"positions": "none", "unembedding": "tied"},
}  # fmt: skip


@torch.no_grad()
def counting_model(task: Task) -> HookedTransformer:
    """One layer, one head that reads all it sees alike, no norm to speak of, and an MLP that writes nothing.

    Of the 9 tokens each has a coordinate of its own, of length 1, in the embedding; the norm makes that sqrt(18), of 18
    coordinates. Number y (from 1) that stands at a share s of the positions seen adds s (10 - y) to its own logit.
    """
    model = random_model(task.vocabulary, n_layers=1, n_heads=1, d_model=18, d_head=9, positions="none")
    for name, parameter in model.named_parameters():
        parameter.fill_(1 if name.endswith(".w") else 0)
    model.embed.W_E[:, :9] = torch.eye(9)
    model.blocks[0].attn.W_V[0, :9] = torch.eye(9) / math.sqrt(18)
    model.blocks[0].attn.W_O[0, :6, 9:15] = torch.diag(10 - torch.arange(1.0, 7))
    model.W_U[9:] = torch.eye(9)
    return model


def test_by_hand() -> None:
    # At `=`, of 5 tokens, before the head all 9 logits are 0: rank 5, probability 1/9. Behind it each of three distinct
    # numbers has (10 - y) / 5, of which the smallest number's is the greatest.
    task = get_task("sort", numbers=6, elements="distinct")
    lens = ResidualLens(("minimum",), ("decoder",), ("none",))
    table = lens(counting_model(task), task, length=3, n=16, generator=seeded())
    ends = table[table["positions"] == "end"].set_index("site")
    numbers = task.sample(16, length=3, generator=seeded(), stream="test").tokens[:, 1:4] + 1.0  # [1] is token 0
    logits = (10 - numbers) / 5
    least = logits.amax(dim=1)
    behind = (least.exp() / (logits.exp().sum(dim=1) + 6)).mean().item()
    assert ends["rank"].to_dict() == {"embed": 5, "attn": 1, "mlp": 1}
    assert ends["probability"].to_dict() == pytest.approx({"embed": 1 / 9, "attn": behind, "mlp": behind}, rel=1e-3)
    assert ends["value"].to_dict() == pytest.approx(
        {"embed": 0, "attn": least.mean().item(), "mlp": least.mean().item()}, rel=1e-3
    )
    assert ends["tokens"].eq(9).all()


def test_the_embedding_is_the_encoders_own_basis() -> None:
    # Without positions the stream begins as the token's row of W_E, whose cosine with itself is 1.
    model = random_model(SORT.vocabulary, n_layers=1, positions="none")
    table = ResidualLens(("same",), ("encoder_cosine",), ("none",))(model, SORT, length=3, n=8, generator=seeded())
    start = table[table["site"] == "embed"]
    assert start["rank"].tolist() == [1, 1, 1]
    assert start["value"].tolist() == pytest.approx([1, 1, 1])
    assert start["layer"].isna().all()


def test_ranks_by_hand() -> None:
    # Read-outs 3, 1, 1, 2. Token 3: one before it, rank 2. Token 1: two before it, one level: 1 + 2 + 1/2. Of tokens 0
    # and 3 none of the others comes before the last, so 1; of 0 and 2: token 3 comes before and 1 is level, 2.5.
    read = torch.tensor([3.0, 1, 1, 2]).double()
    for tokens, rank in (([3], 2), ([1], 3.5), ([0, 3], 1), ([0, 2], 2.5)):
        found = ranked(read, torch.tensor(tokens))
        share = sum(math.exp(read[token]) for token in tokens) / sum(math.exp(one) for one in read)
        assert found.tolist() == pytest.approx([rank, share, float(read[tokens].mean())])


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("task", [SORT, SUCCESSOR, COPY], ids=lambda task: task.name)
def test_equals_plain_loops(name: str, task: Task) -> None:
    model = random_biases(random_model(task.vocabulary, n_layers=2, **SETTINGS[name]), seeded(7))
    table = ResidualLens()(model, task, length=4, n=6, generator=seeded(3))
    batch = task.sample(6, length=4, generator=seeded(3), stream="test")
    _, cache = model.run_with_cache(batch.inputs)
    streams: list[tuple[str, str]] = [("blocks.0.hook_resid_pre", "embed")]
    streams += [(f"blocks.{layer}.hook_resid_{site}", site) for layer in (0, 1) for site in ("mid", "post")]
    for place, (hook, _) in enumerate(streams):
        layer, site = (place - 1) // 2, ("embed" if not place else ("attn", "mlp")[(place - 1) % 2])
        of_site = table[(table["site"] == site) & (table["layer"].fillna(0) == max(layer, 0))]
        for row in of_site.to_dict("records"):
            values = [
                looked_up(model, cache[hook][example], batch.tokens[example].tolist(), task, row)
                for example in range(6)
            ]
            some = [np.mean(one, axis=0) for one in values if one]
            assert row["n"] == len(some)
            wanted = np.mean(some, axis=0)
            found = [row["rank"], row["probability"], row["value"]]
            assert found == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-5)
            if len(some) > 1:
                errors = (np.std(some, axis=0, ddof=1) / len(some) ** 0.5).tolist()
                found = [row["rank_stderr"], row["probability_stderr"], row["value_stderr"]]
                assert found == pytest.approx(errors, rel=1e-3, abs=1e-5)


@torch.no_grad()
def looked_up(
    model: HookedTransformer, stream: Tensor, tokens: list[int], task: Task, row: dict[Any, Any]
) -> list[list[float]]:
    """Rank, probability and value at each position of a class that has the target, of one example; in words."""
    words = [task.vocabulary.tokens[token] for token in tokens]
    equals = words.index("=")
    classes = {"prompt": range(1, equals), "end": [equals], "answer": range(equals + 1, len(words) - 1)}
    found = []
    for position in classes[row["positions"]]:
        wanted = [task.vocabulary.index[word] for word in words_wanted(words, position, row["target"])]
        if not wanted:
            continue
        x = stream[position].double()
        if row["norm"] == "final":
            x = x - x.mean() if model.config.norm == "LN" else x
            x = x / (x.pow(2).mean() + model.config.norm_eps).sqrt() * model.ln_final.w
            x = x + (model.ln_final.b if model.config.norm == "LN" else 0)
        read = x @ model.W_U.double() + model.b_U if row["basis"] == "decoder" else x @ model.W_E.double().T
        if row["basis"] == "encoder_cosine":
            read = read / x.norm() / model.W_E.double().norm(dim=1)
        last = min(float(read[token]) for token in wanted)
        before = sum(1 for token, value in enumerate(read.tolist()) if value > last and token not in wanted)
        found.append([1 + before, float(read.softmax(dim=0)[wanted].sum()), float(read[wanted].mean())])
    return found


def words_wanted(words: list[str], position: int, target: str) -> list[str]:
    """The target's words at a position: nothing if there are none."""
    end = words.index("=")
    sequence = words[1 : words.index(",") if "," in words else end][:position]
    seen = sorted({int(word[1:-1]) for word in sequence if word[1:-1].isdigit()})
    asked = words[position]
    if asked == "=" and "," in words:
        asked = words[end - 1]
    larger = [number for number in seen if asked[1:-1].isdigit() and number > int(asked[1:-1])]
    if target == "same":
        return [words[position]]
    if target == "target":
        return [words[position + 1]] if position >= end else []
    if target == "minimum":
        return [f"[{seen[0]}]"]
    following = [f"[{larger[0]}]"] if larger else []
    return following if target == "successor" or not following else [asked, *following]


def test_table() -> None:
    model = random_model(COPY.vocabulary, n_layers=2)
    first, again, other = (ResidualLens()(model, COPY, length=4, n=16, generator=seeded(seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["rank"].equals(other["rank"])
    assert list(first) == COLUMNS
    # 5 sub-layers, 3 bases, with and without norm, 3 classes with `same` and 2 with `target`
    assert len(first) == 5 * 3 * 2 * 5
    assert list_lens_targets() == ["same", "target", "minimum", "successor", "identity_successor"]


def test_one_of_several_unembeddings() -> None:
    model = random_model(COPY.vocabulary, n_layers=1, task_heads=2)
    lens = ResidualLens(("target",), ("decoder",))
    tables = [lens(model, COPY, length=3, n=8, generator=seeded(), task_head=head) for head in (0, 1)]
    assert not tables[0]["rank"].equals(tables[1]["rank"])


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[InterpError], str]] = {
    "target": ({"targets": ("sucessor",)}, {}, UnknownNameError, "unknown lens target 'sucessor'; did you mean 'succ"),
    "twice": ({"targets": ("same", "same")}, {}, InvalidValueError, "lens target 'same' is named twice; name each t"),
    "basis": ({"bases": ("decode",)}, {}, UnknownNameError, "unknown basis 'decode'; did you mean 'decoder'"),
    "norm": ({"norms": ("last",)}, {}, UnknownNameError, "unknown norm 'last'; the norms are final, none"),
    "no basis": ({"bases": ()}, {}, InvalidValueError, r"^bases = \(\) reads nothing; name at least one basis$"),
    "no norm": ({"norms": ()}, {}, InvalidValueError, r"^norms = \(\) reads nothing; name at least one norm$"),
    "basis twice": ({"bases": ("decoder",) * 2}, {}, InvalidValueError, "^basis 'decoder' is named twice; name each b"),
    "norm twice": ({"norms": ("none",) * 2}, {}, InvalidValueError, "^norm 'none' is named twice; name each norm"),
    "not the task's": (
        {"targets": ("minimum",)}, {}, InvalidValueError,
        "lens target 'minimum' does not apply to task 'copy', which has no sequence of numbers; it has same, target",
    ),
    "examples": ({}, {"n": 0}, InvalidValueError, "n = 0 examples cannot be measured; allowed is 1 or more"),
    "vocabulary": ({}, {"task": SORT}, InvalidValueError, r"the vocabulary lacks '\[1\]', which task 'sort' needs"),
    "task head": ({}, {"task_head": 1}, InvalidValueError, "task head 1 does not exist: the model has 1, counted fr"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("fields", "call", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_refusals(fields: dict[str, Any], call: dict[str, Any], error: type[InterpError], text: str) -> None:
    model = random_model(COPY.vocabulary, n_layers=1)
    arguments: dict[str, Any] = {"task": COPY, "length": 3, "n": 4, "generator": seeded(), **call}
    with pytest.raises(error, match=text):
        ResidualLens(**fields)(model, **arguments)


def test_a_target_that_occurs_nowhere() -> None:
    # Of one number there is no larger one.
    model = random_model(SORT.vocabulary, n_layers=1)
    text = "^lens target 'successor' occurs at no position at length 1; use another length or target$"
    with pytest.raises(InvalidValueError, match=text):
        ResidualLens(targets=("successor",))(model, SORT, length=1, n=4, generator=seeded())
    table = ResidualLens()(model, SORT, length=1, n=4, generator=seeded())
    assert set(table["target"]) == {"same", "target", "minimum"}
