"""Ablations: hand-worked ones, and equality with one-at-a-time hooks."""

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from analyses import Head, ablate
from analyses.ablation import AblationKind
from analyses.examples import Examples, Running
from analyses.heads import all_heads
from analyses.interventions import Outcome
from tasks import Batch, InterpError, get_task
from tests.analyses.models import hand_batch, hand_model, random_model, seeded
from training import HookedTransformer
from training.evaluate import Scores, score, score_logits

KINDS: tuple[AblationKind, ...] = ("zero", "mean", "mean_all")
METRICS = ("nll", "accuracy", "token_accuracy")

# `hand_model` on `aa` and `ab`; at each position, t the mean of the tokens up to it:
#   t = z00 = z01    aa: 4, 4    ab: 4, 2           over the batch 4, 3       over all 3.5
#   middle           aa: 4, 4    ab: 4, 2           (2 z00 - z01, not negative, so relu leaves it)
#   z10 = z11        aa: 4, 4    ab: 4, 3           over the batch 4, 3.5     over all 3.75
#   logit of [EOS], at the last position = relu(middle there) - z10 + 2 z11:
#                    aa: 4 - 4 + 8 = 8              ab: 2 - 3 + 6 = 5
CLEAN = (8, 5)

# What each ablation leaves of (relu(middle there) - z10 + 2 z11); z11 is the mean of relu(middle), z10 that of middle.
CASES: list[tuple[AblationKind, str, tuple[float, float], str]] = [
    ("zero", "0.0", (4, 3), "middle -4, -4 and -4, -2, which relu cuts: 0 + 4 + 0 and 0 + 3 + 0"),
    ("zero", "0.1", (16, 10), "middle 8, 8 and 8, 4: 8 - 8 + 16 and 4 - 6 + 12"),
    ("zero", "1.0", (12, 8), "4 + 8 and 2 + 6"),
    ("zero", "1.1", (0, -1), "4 - 4 and 2 - 3"),
    ("zero", "0.0 0.1", (0, 0), "middle 0"),
    ("zero", "1.0 1.1", (4, 2), "relu(middle) alone"),
    ("zero", "0.0 1.0", (0, 0), "two layers: middle is negative, so relu leaves 0, and z11 = 0"),
    ("zero", "0.1 1.1", (0, -2), "two layers: 8 - 8 and 4 - 6"),
    ("zero", "1.0 0.1", (24, 16), "two layers, the later named first: 8 + 16 and 4 + 12"),
    ("mean", "0.0", (5, 8), "middle 8 - 4, 6 - 4 and 8 - 4, 6 - 2: 2 - 3 + 6 and 4 - 4 + 8"),
    ("mean", "0.1", (9.5, 3.5), "middle 8 - 4, 8 - 3 and 8 - 4, 4 - 3: 5 - 4.5 + 9 and 1 - 2.5 + 5"),
    ("mean", "1.0", (8.5, 4.5), "4 - 3.5 + 8 and 2 - 3.5 + 6"),
    ("mean", "1.1", (7, 6), "4 - 4 + 7 and 2 - 3 + 7"),
    ("mean", "0.0 0.1", (6.5, 6.5), "middle 4, 3 for both: 3 - 3.5 + 7"),
    ("mean", "1.0 1.1", (7.5, 5.5), "4 - 3.5 + 7 and 2 - 3.5 + 7"),
    ("mean", "0.0 1.1", (6, 7), "two layers; means stay those of the clean run: 2 - 3 + 7 and 4 - 4 + 7"),
    ("mean_all", "0.0", (6, 9), "middle 7 - 4, 7 - 4 and 7 - 4, 7 - 2: 3 - 3 + 6 and 5 - 4 + 8"),
    ("mean_all", "0.1", (9, 3), "middle 8 - 3.5, 8 - 3.5 and 4.5, 4 - 3.5: 4.5 - 4.5 + 9 and 0.5 - 2.5 + 5"),
    ("mean_all", "1.0", (8.25, 4.25), "4 - 3.75 + 8 and 2 - 3.75 + 6"),
    ("mean_all", "1.1", (7.5, 6.5), "4 - 4 + 7.5 and 2 - 3 + 7.5"),
    ("mean_all", "0.0 1.1", (7.5, 8.5), "two layers: 3 - 3 + 7.5 and 5 - 4 + 7.5"),
]


def parse_set(text: str) -> tuple[Head, ...]:
    return tuple(Head.parse(head) for head in text.split())


def check_hand_scores(scores: dict[str, Tensor], logits: tuple[float, float]) -> None:
    """The logits are a: 1, b: 0, [EOS]: x, and [EOS] is right: nll = ln(e^1 + e^0 + e^x) - x, correct if x > 1."""
    nll = torch.tensor([math.log(math.e + 1 + math.exp(x)) - x for x in logits])
    torch.testing.assert_close(scores["nll"], nll.double(), rtol=1e-5, atol=1e-5)
    assert scores["accuracy"].tolist() == [x > 1 for x in logits]
    assert scores["token_accuracy"].tolist() == [float(x > 1) for x in logits]


def edited(outcome: Outcome, number: int) -> dict[str, Tensor]:
    """Every metric with one of the interventions made."""
    return {name: values[number] for name, values in outcome.edited.items()}


@pytest.mark.parametrize("budget", [1, 4, 4096])
@pytest.mark.parametrize(("kind", "heads", "logits", "why"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_hand_worked_ablation(
    kind: AblationKind, heads: str, logits: tuple[float, float], why: str, budget: int
) -> None:
    running = Running(token_budget=budget)
    outcome = ablate(
        hand_model(), Examples(hand_batch()), [parse_set(heads)], kind=kind, metrics=METRICS, running=running
    )
    check_hand_scores(outcome.unedited, CLEAN)
    check_hand_scores(edited(outcome, 0), logits)


@pytest.mark.parametrize("kind", KINDS)
def test_hand_worked_ablations_in_one_call(kind: AblationKind) -> None:
    cases = [(heads, logits) for case, heads, logits, _ in CASES if case == kind]
    sets = [parse_set(heads) for heads, _ in cases]
    outcome = ablate(hand_model(), Examples(hand_batch()), sets, kind=kind, metrics=METRICS)
    for number, (_, logits) in enumerate(cases):
        check_hand_scores(edited(outcome, number), logits)


# ---------------------------------------------------------------------------- against hooks, one set of heads at a time
TASK = get_task("copy", alphabet=4, case="lower")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary": {},
    "none, LN": {"positions": "none", "norm": "LN"},
    "learned, plain MLP, all biases": {"positions": "learned", "n_ctx": 12, "mlp": "plain", "biases": "all"},
    "grouped queries, qkv biases": {"n_key_value_heads": 2, "biases": "qkv"},
    "log_n, tied": {"temperature": "log_n", "unembedding": "tied", "positions": "none"},
    "three task heads": {"task_heads": 3},
    "one layer": {"n_layers": 1},
}

SETS = [
    *[f"{layer}.{head}" for layer in range(3) for head in range(4)],
    "0.1 0.3",
    "2.3 2.0",
    "2.1 0.0",
    "1.0 2.2 0.3 2.1",
]


def model_and_sets(name: str) -> tuple[HookedTransformer, list[tuple[Head, ...]]]:
    model = random_model(TASK.vocabulary, **SETTINGS[name])
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".b_" in parameter_name:
                parameter.normal_(generator=seeded(2))
    there = set(all_heads(model.config))
    return model, [heads for heads in map(parse_set, SETS) if there.issuperset(heads)]


def by_hooks(
    model: HookedTransformer, batch: Batch, heads: tuple[Head, ...], *, kind: AblationKind, task_head: int
) -> Scores:
    """The definition: one run of the whole batch, with hooks that overwrite z."""
    _, cache = model.run_with_cache(batch.inputs, names_filter=lambda name: name.endswith("hook_z"))

    def overwrite(head: Head) -> Callable[[Tensor, HookPoint], Tensor]:
        clean = cache[f"blocks.{head.layer}.attn.hook_z"][:, :, head.head]
        # Only what is read counts: positions up to the last one that predicts a scored token.
        last = [int(row.nonzero().max()) for row in batch.predicting]
        read = [
            [row[place] for row, end in zip(clean, last, strict=True) if place <= end] for place in range(max(last) + 1)
        ]
        means = {
            "zero": torch.zeros_like(clean[0, 0]),
            "mean": torch.stack([torch.stack(rows).mean(dim=0) for rows in read]),
            "mean_all": torch.stack([row for rows in read for row in rows]).mean(dim=0),
        }

        def hook_z(z: Tensor, hook: HookPoint) -> Tensor:
            z = z.clone()
            z[:, : len(read), head.head] = means[kind][: len(read)] if means[kind].ndim == 2 else means[kind]
            return z

        return hook_z

    hooks: list[Any] = [(f"blocks.{head.layer}.attn.hook_z", overwrite(head)) for head in heads]
    logits = model.run_with_hooks(batch.inputs, fwd_hooks=hooks, task=task_head)
    return score_logits(logits[batch.predicting], batch)


def assert_equal_scores(found: dict[str, Tensor], wanted: Scores) -> None:
    torch.testing.assert_close(found["nll"], wanted.nll.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(found["accuracy"].bool(), wanted.correct)
    torch.testing.assert_close(found["token_accuracy"], wanted.token_accuracy.double())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_hooks_for_every_token_budget(name: str, kind: AblationKind) -> None:
    model, sets = model_and_sets(name)
    task_head = model.config.task_heads - 1
    batch = TASK.sample(7, length=3, generator=seeded(3))
    wanted = [by_hooks(model, batch, heads, kind=kind, task_head=task_head) for heads in sets]
    clean = score(model, batch, task_head=task_head)
    # None of the ablations is a no-op, and the sets differ: a wrong head would be seen.
    nlls = torch.stack([clean.nll, *(scores.nll for scores in wanted)])
    assert torch.pdist(nlls).min() > 1e-3
    width = batch.inputs.shape[1]
    for budget in (1, 3 * width, 25 * width, 100_000):  # one example; three; all, three sets at a time; all at once
        running, examples = Running(token_budget=budget), Examples(batch, task_head=task_head)
        outcome = ablate(model, examples, sets, kind=kind, metrics=METRICS, running=running)
        assert_equal_scores(outcome.unedited, clean)
        for number, expected in enumerate(wanted):
            assert_equal_scores(edited(outcome, number), expected)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["multiply_cot", "mqar", "shortest_path"])
def test_equals_hooks_where_answers_differ_in_length(name: str, kind: AblationKind) -> None:
    task = get_task(name, **({"rows": 3, "columns": 3} if name == "shortest_path" else {}))
    batch = task.sample(9, length=5, generator=seeded(3))
    assert name == "mqar" or batch.scored.sum(dim=1).unique().numel() > 1
    model = random_model(task.vocabulary)
    sets = [parse_set(heads) for heads in SETS]
    width = batch.inputs.shape[1]
    for budget in (2 * width, 100_000):
        running = Running(token_budget=budget)
        outcome = ablate(model, Examples(batch), sets, kind=kind, metrics=METRICS, running=running)
        assert_equal_scores(outcome.unedited, score(model, batch))
        for number, heads in enumerate(sets):
            assert_equal_scores(edited(outcome, number), by_hooks(model, batch, heads, kind=kind, task_head=0))


@pytest.mark.parametrize("kind", KINDS)
def test_results_follow_the_order_of_sets_and_not_of_heads(kind: AblationKind) -> None:
    model, sets = model_and_sets("rotary")
    batch = TASK.sample(5, length=3, generator=seeded(3))
    forward = ablate(model, Examples(batch), sets, kind=kind, metrics=["nll"])
    backward = ablate(model, Examples(batch), [heads[::-1] for heads in sets[::-1]], kind=kind, metrics=["nll"])
    torch.testing.assert_close(forward.edited["nll"], backward.edited["nll"].flip(0), rtol=1e-5, atol=1e-5)


def test_no_sets_leave_the_clean_scores() -> None:
    outcome = ablate(hand_model(), Examples(hand_batch()), [], kind="mean", metrics=METRICS)
    check_hand_scores(outcome.unedited, CLEAN)
    assert outcome.edited["nll"].shape == (0, 2)
    assert outcome.other == {}


def test_progress_counts_runs_of_one_example() -> None:
    seen: list[tuple[int, int]] = []
    batch = TASK.sample(5, length=3, generator=seeded(3))
    model, sets = model_and_sets("rotary")
    running = Running(token_budget=30, on_done=lambda *done: seen.append(done))
    ablate(model, Examples(batch), sets, kind="zero", running=running)
    assert [total for _, total in seen] == [5 * len(sets)] * len(seen)
    done = [done for done, _ in seen]
    assert done == sorted(set(done))
    assert done[-1] == 5 * len(sets)


@pytest.mark.parametrize("interrupted", [False, True])
def test_model_is_left_as_it_was(interrupted: bool) -> None:
    model, sets = model_and_sets("log_n, tied")
    batch = TASK.sample(5, length=3, generator=seeded(3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(batch.inputs)

    def stop(done: int, total: int) -> None:
        if interrupted:
            raise KeyboardInterrupt

    try:
        ablate(model, Examples(batch), sets, kind="mean", running=Running(token_budget=20, on_done=stop))
    except KeyboardInterrupt:
        assert interrupted
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.is_hooked
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model(batch.inputs), logits)


# --------------------------------------------------------------------------------------------------------------- errors
def poisoned() -> HookedTransformer:
    model = hand_model()
    with torch.no_grad():
        model.W_U[0, 1] = torch.nan
    return model


def hooked_model() -> HookedTransformer:
    model = hand_model()
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: z)
    return model


def two_lengths() -> Batch:
    return Batch(torch.tensor([[0, 2, 2], [0, 1, 2]]), torch.tensor([[False, True, False], [False, False, True]]))


@pytest.mark.parametrize(
    ("model", "batch", "heads", "kind", "text"),
    [
        (hooked_model(), hand_batch(), ["0.0"], "zero",
         "the model has hooks attached; remove them with model.reset_hooks() before an intervention"),
        (hand_model(), hand_batch(), ["0.0"], "median",
         ("unknown ablation kind 'median'; did you mean 'mean'? "
          "the kinds are zero, mean, mean_all, resample, counterfactual")),
        (hand_model(), hand_batch(), ["0.0", ""], "zero", "a set of heads to ablate is empty; name at least one head"),
        (hand_model(), hand_batch(), ["0.0", "0.0 2.1"], "zero",
         "head 2.1 does not exist: the model has layers 0 to 1 of heads 0 to 1, so 0.0 to 1.1"),
        (hand_model(), hand_batch(), ["1.0 0.0 1.0"], "mean", "head 1.0 is named twice; name each head once"),
        (hand_model(), two_lengths(), ["0.0"], "zero",
         "the prompts have different lengths, so their positions do not align; use one length"),
        (hand_model(), hand_batch()[:1], ["0.0"], "mean",
         "kind 'mean' of one example would put the example itself in place; use n >= 2, or kind 'zero'"),
        (hand_model(), hand_batch()[:0], ["0.0"], "zero",
         "there are 0 examples; use n >= 1, or n >= 2 for a mean over them"),
        (poisoned(), hand_batch(), ["0.0"], "zero",
         "the model's logits are not finite, so no effect can be measured; check its weights"),
    ],
    ids=["hooked", "kind", "empty set", "no such head", "head twice", "two lengths", "one example", "none", "infinite"],
)  # fmt: skip
def test_refused(
    unchecked: None,
    model: HookedTransformer,
    batch: Batch,
    heads: list[str],
    kind: Literal["zero", "mean", "mean_all"],
    text: str,
) -> None:
    with pytest.raises(InterpError) as caught:
        ablate(model, Examples(batch), [parse_set(names) for names in heads], kind=kind)
    assert str(caught.value) == text


@pytest.mark.parametrize("kind", ["zero", "mean_all"])
def test_one_example_will_do_without_a_mean_over_the_batch(kind: AblationKind) -> None:
    # `aa`, whose z is 4 at both positions: the mean over positions changes nothing, zero gives the table's value.
    outcome = ablate(hand_model(), Examples(hand_batch()[:1]), [parse_set("0.0")], kind=kind, metrics=["nll"])
    logit = 4 if kind == "zero" else 8
    nll = math.log(math.e + 1 + math.exp(logit)) - logit
    assert outcome.edited["nll"].tolist() == [[pytest.approx(nll, abs=1e-5)]]
