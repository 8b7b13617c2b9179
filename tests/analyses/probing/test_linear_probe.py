"""Probes of a model set by hand, whose sites hold a label or provably do not; scikit-learn; the table; refusals."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from analyses import Running
from analyses.probing import Fitting, LinearProbe
from analyses.probing.activations import activations, places, standardised
from analyses.probing.linear_probe import COLUMNS
from analyses.probing.tokens import sampled
from tasks import Batch, InvalidValueError, Task, UnknownNameError, get_task
from tests.analyses.models import CONSTANT, random_model, seeded
from training import HookedTransformer, ModelConfig

LETTERS = get_task("copy", alphabet=2, case="lower")
SORT = get_task("sort", numbers=6)
LOOSE = Fitting(l2=1e-3)
ALL = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "z")


@torch.no_grad()
def letter_model() -> HookedTransformer:
    """One layer of two heads. The residual stream is (constant, token, mean); norms are the identity.

    token    a = 4, all others 0
    head 0   attends everywhere alike, reads token, writes mean += z: after it, mean = 4 * share of a so far
    head 1   nothing
    MLP      nothing
    """
    config = ModelConfig.read(
        {
            "n_layers": 1, "n_heads": 2, "d_model": 4, "d_head": 1, "d_mlp": 1, "d_vocab": 5, "positions": "none",
            "mlp": "plain", "activation": "relu",
        }
    )  # fmt: skip
    model = HookedTransformer(config, vocabulary=LETTERS.vocabulary, generator=seeded())
    for name, parameter in model.named_parameters():
        parameter.fill_(CONSTANT / 2 if name.endswith(".w") else 0)
    model.embed.W_E[:, 0] = CONSTANT
    model.embed.W_E[LETTERS.vocabulary.index["a"], 1] = 4
    model.blocks[0].attn.W_V[0, 1, 0] = 1
    model.blocks[0].attn.W_O[0, 0, 2] = 1
    return model


def letters(batch: Batch) -> Tensor:
    """1 at an a, 0 at a b, -1 elsewhere."""
    return torch.where(batch.tokens < 2, 1 - batch.tokens, -1)


def this_letter(task: Task, batch: Batch) -> Tensor:
    return letters(batch)


def letter_before(task: Task, batch: Batch) -> Tensor:
    """The letter before this one: independent of it."""
    before = torch.nn.functional.pad(letters(batch)[:, :-1], (1, 0), value=-1)
    return torch.where(letters(batch) >= 0, before, -1)


def mostly_a(task: Task, batch: Batch) -> Tensor:
    """At the last of 5 letters and at `=`: whether there are 3 a or more."""
    many = (letters(batch)[:, :6] == 1).sum(dim=1, keepdim=True) >= 3
    places = torch.arange(batch.tokens.shape[1])
    return torch.where((places == 5) | (places == 6), many.long(), -1)


def probed(label: Any, *, sites: Any = ALL, scope: Any = "prompt", n: int = 200) -> dict[str, dict[str, Any]]:
    """The rows by their sites."""
    probe = LinearProbe(sites=sites, positions=scope, fitting=LOOSE)
    table = probe(letter_model(), LETTERS, label=label, length=5, n=n, generator=seeded())
    assert table["converged"].all()
    heads = ["" if pd.isna(head) else str(head) for head in table["head"]]
    return dict(zip(table["site"] + pd.Series(heads), table.to_dict("records"), strict=True))  # pyright: ignore[reportReturnType]


def test_a_site_that_holds_the_label_and_one_that_is_constant() -> None:
    table = probed(this_letter)
    for site in ("resid_pre", "resid_mid", "resid_post"):
        row = table[site]
        assert row["accuracy"] == 1
        assert row["stderr"] == 0
        assert row["compression"] > 5
    # The MLP and head 1 write nothing: the majority is all that is left, and the code costs at least the entropy.
    for site in ("mlp_out", "z1"):
        row = table[site]
        assert row["accuracy"] == row["majority"] < 0.8
        assert row["compression"] == pytest.approx(1, abs=0.05)
    assert table["mlp_out"]["mdl"] == pytest.approx(table["z1"]["mdl"], rel=1e-6)
    # Both letters are types: each control is learned by heart where the letter is held.
    assert table["resid_pre"]["control_accuracy"] == 1
    assert table["resid_pre"]["selectivity"] == 0


def test_a_site_that_holds_a_sum_of_the_past() -> None:
    # mean = 4c / 6 at the last letter and 4c / 7 at `=`, c a's so far: 3 of them are 1.71 or more, 2 are 1.33 or less.
    table = probed(mostly_a)
    for site in ("attn_out", "resid_mid", "resid_post", "z0"):
        assert table[site]["accuracy"] == 1, site
        assert table[site]["selectivity"] > 0, site
    # Only the last letter, or that it is `=`, is held before: no rule is right more often than the best on 3 tokens.
    assert table["resid_pre"]["accuracy"] < 0.85


def test_what_the_token_alone_cannot_tell_is_not_read() -> None:
    # resid_pre is a function of this letter: its rules are 4, whatever the probe; on the test tokens none is good.
    table = probed(letter_before, n=2_000)
    row = table["resid_pre"]
    batch, testing = sampled(LETTERS, lengths=(5,), n=2_000, generator=seeded())
    trained = {tuple(one[:end]) for one in batch.tokens[~testing].tolist() for end in range(7)}
    # Letters 2 to 5 of the prompt have one before them, and are tested where no training example begins so.
    now_and_before = [
        (1 - one[place], 1 - one[place - 1])
        for one in batch.tokens[testing].tolist()
        for place in range(2, 6)
        if tuple(one[: place + 1]) not in trained
    ]
    assert row["n_test"] == len(now_and_before)
    rules = [np.mean([rule[a] == b for a, b in now_and_before]) for rule in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert min(abs(row["accuracy"] - rule) for rule in rules) < 1e-9
    assert row["accuracy"] < 0.7
    assert row["compression"] < 1.05


@pytest.mark.slow
def test_scores_are_those_of_scikit_learn_and_real_hooks() -> None:
    model = random_model(SORT.vocabulary, n_layers=1)
    probe = LinearProbe(fitting=Fitting(l2=0.5, tolerance=1e-5), controls=1, sites=ALL)
    table = probe(model, SORT, label="minimum", length=4, n=100, generator=seeded(3), running=Running(token_budget=100))
    batch, testing = sampled(SORT, lengths=(4,), n=100, generator=seeded(3))
    _, cache = model.run_with_cache(batch.inputs)
    prompts = batch.tokens[:, 1:6].numpy()  # 4 numbers and `=`; the marker is at 0
    labels = np.minimum.accumulate(np.where(prompts == 6, 9, prompts), axis=1)
    held, rows = testing.numpy(), batch.tokens.tolist()
    trained = {tuple(one[:end]) for one, out in zip(rows, held, strict=True) if not out for end in range(2, 7)}
    tested = [one for one, out in zip(rows, held, strict=True) if out]
    new = np.array([[tuple(one[:end]) not in trained for end in range(2, 7)] for one in tested])
    of = [[tuple(other) == one for other in tested] for one in dict.fromkeys(map(tuple, tested))]
    clusters = np.array([each for each in np.array(of) if new[each].any()])
    for row in table.itertuples():
        name = f"blocks.{row.layer}.{'attn.' if row.site == 'z' else ''}hook_{row.site}"
        x = cache[name].detach()[:, 1:6].double().numpy()
        if row.site == "z":
            x = x[:, :, row.head]
        peer = make_pipeline(StandardScaler(), LogisticRegression(C=2.0, solver="newton-cholesky", tol=1e-8))
        peer.fit(x[~held].reshape(-1, x.shape[-1]), labels[~held].reshape(-1))
        right = peer.predict(x[held].reshape(-1, x.shape[-1])).reshape(-1, 5) == labels[held]
        assert row.accuracy == pytest.approx(right[new].mean(), abs=0.005)
        # Of a ratio of sums over different examples, all copies together.
        sums, counts = clusters @ (right & new).sum(axis=1), clusters @ new.sum(axis=1)
        off = sums - sums.sum() / counts.sum() * counts
        assert row.stderr == pytest.approx(off.std(ddof=1) / len(off) ** 0.5 / counts.mean(), abs=0.003)
    assert (table["n_test"] == new.sum()).all()
    assert table["converged"].all()


def test_coefficients_at_a_site_are_those_of_scikit_learn() -> None:
    from analyses.probing.logistic import fit_probes

    model = random_model(SORT.vocabulary, n_layers=1).double()
    batch = SORT.sample(60, length=4, generator=seeded())
    rows, positions = torch.ones(60, 6, dtype=torch.bool).nonzero().unbind(dim=1)
    held = activations(
        model, batch, places(("resid_mid", "resid_post"), model.config, of_heads=False), rows=rows,
        positions=positions, token_budget=64,
    )  # fmt: skip
    features = standardised(held, training=torch.arange(len(rows)))
    labels = batch.tokens[rows, positions] % 3
    fit = fit_probes(features, labels.expand(2, -1), classes=3, fitting=Fitting(tolerance=1e-9))
    for place in range(2):
        x = StandardScaler().fit_transform(held[place].numpy())
        peer = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-9).fit(x, labels.numpy())
        np.testing.assert_allclose(fit.weights[place].numpy(), peer.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fit.biases[place].numpy(), peer.intercept_, rtol=1e-4, atol=1e-5)


def test_coordinates_that_do_not_vary_become_nothing() -> None:
    # The second varies by rounding alone: 2^14 and one unit in its last place.
    features = torch.tensor([[[1.0, 2.0**14], [3.0, 2.0**14 + 2**-10], [5.0, 2.0**14]]])
    found = standardised(features, training=torch.tensor([0, 1]))
    assert found.tolist() == [[[-1, 0], [1, 0], [3, 0]]]


def test_table() -> None:
    model = random_model(SORT.vocabulary, n_layers=2)
    before, told = {name: value.clone() for name, value in model.state_dict().items()}, []
    running = Running(on_done=lambda done, total: told.append((done, total)))
    probe = LinearProbe(sites=("z", "resid_mid"), positions="answer", controls=2)
    table = probe(
        model, SORT, label="successor", length=(3, 5), n=40, generator=seeded(4), running=running
    )  # fmt: skip
    assert told == [(1, 2), (2, 2)]
    assert list(table.columns) == COLUMNS
    assert table["layer"].tolist() == [0] * 5 + [1] * 5
    assert table["site"].tolist() == (["z"] * 4 + ["resid_mid"]) * 2
    assert table["head"].tolist() == [0, 1, 2, 3, pd.NA] * 2
    about = {
        "task": "sort", "length": "3 5", "label": "successor", "positions": "answer", "controls": 2, "n": 40,
        "lambda": 1.0, "seed": 4, "classes": 5,
    }  # fmt: skip
    assert (table[list(about)] == pd.Series(about)).all(axis=None)
    np.testing.assert_allclose(table["selectivity"], table["accuracy"] - table["control_accuracy"])
    np.testing.assert_allclose(table["compression"] * table["mdl"], table["n_train"] * math.log2(5))
    np.testing.assert_allclose(table["untrained_compression"] * table["untrained_mdl"], table["n_train"] * math.log2(5))
    again = probe(model, SORT, label="successor", length=(3, 5), n=40, generator=seeded(4))
    pd.testing.assert_frame_equal(table, again)
    other = probe(model, SORT, label="successor", length=(3, 5), n=40, generator=seeded(5))
    assert not table["accuracy"].equals(other["accuracy"])
    assert not model.is_hooked
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_with_fresh_weights_stands_beside() -> None:
    # Fresh weights tell letters apart: their embeddings differ. What head 0 was set to do, they do not.
    table = probed(this_letter, sites=("resid_pre", "mlp_out"))
    assert table["resid_pre"]["untrained_accuracy"] == 1
    assert table["mlp_out"]["untrained_accuracy"] > table["mlp_out"]["accuracy"]


def test_a_fit_that_did_not_converge_shows() -> None:
    probe = LinearProbe(sites=("resid_post",), fitting=Fitting(max_iterations=1))
    table = probe(random_model(SORT.vocabulary), SORT, label="minimum", length=4, n=40, generator=seeded())
    assert not table["converged"].any()
    assert (table["accuracy"] > 0).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"sites": ()},
            "no site is named; name at least one of resid_pre, attn_out, resid_mid, mlp_out, resid_post, z",
        ),
        ({"sites": ("z", "z")}, "site 'z' is named twice; name each site once"),
        ({"controls": 0}, "controls = 0 tasks are not possible; allowed is 1 or more"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        LinearProbe(**settings)


@pytest.mark.usefixtures("unchecked")
def test_unknown_sites_are_refused() -> None:
    sites: Any = ("resid_end",)
    with pytest.raises(
        UnknownNameError, match="unknown site 'resid_end'; did you mean 'resid_pre'. the sites of probes ar"
    ):
        LinearProbe(sites)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"label": "carry_in"},
            "label 'carry_in' does not apply to task 'sort' but to carry_only, .* the labels of 'sort",
        ),
        ({"n": 4}, "n = 4 examples cannot be divided for a probe; allowed is 8 or more"),
        ({"length": 0}, "length 0 is not possible for task 'sort'; allowed are 1 to 4096"),
        ({"task_head": 1}, "task head 1 does not exist: the model has 1, counted from 0"),
    ],
)
def test_impossible_questions_are_refused(arguments: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"label": "minimum", "length": 3, "n": 20, "generator": seeded()} | arguments
    with pytest.raises(InvalidValueError, match=text):
        LinearProbe()(random_model(SORT.vocabulary), SORT, **given)


def test_models_that_cannot_be_probed_are_refused() -> None:
    given: dict[str, Any] = {"label": "minimum", "length": 3, "n": 20, "generator": seeded()}
    with pytest.raises(InvalidValueError, match=r"^the vocabulary lacks '\[6\]', which task 'sort' needs"):
        LinearProbe()(random_model(replace(SORT, numbers=5).vocabulary), SORT, **given)
    model = random_model(SORT.vocabulary)
    model.add_hook("blocks.0.hook_attn_out", lambda value, hook: value)
    with pytest.raises(
        InvalidValueError, match=r"hooks attached; remove them with model\.reset_hooks\(\) before a probe$"
    ):
        LinearProbe()(model, SORT, **given)
    model.reset_hooks()
    with torch.no_grad():
        model.blocks[0].mlp.W_out.fill_(math.nan)
    with pytest.raises(InvalidValueError, match="activations or logits are not finite"):
        LinearProbe()(model, SORT, **given)
