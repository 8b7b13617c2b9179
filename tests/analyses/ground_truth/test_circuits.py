"""Known circuits: they solve their tasks, by evaluation and by greedy decoding, and by the heads they name alone."""

from functools import cache

import pytest
import torch

from analyses import Head, HeadAblation
from analyses.ground_truth import KnownCircuit, get_circuit, list_circuits
from analyses.ground_truth.canvas import CONSTANT, Canvas, power_of_four
from analyses.heads import all_heads
from tasks import InvalidValueError, UnknownNameError, get_task
from tests.analyses.models import seeded
from training import HookedTransformer, evaluate
from training.decoding import greedy_decode

LENGTHS = {
    "copy_head": [1, 5, 12], "induction_pair": [2, 7, 12], "min_head": [1, 8, 64], "sorter": [1, 30, 50],
    "sorter_plain": [1, 30, 50], "sorter_repeats": [1, 30, 60], "carry_circuit": [1, 4, 5],
}  # fmt: skip

# Where every named head matters: at other lengths a task may be solved by chance without one.
ABLATED = {
    "copy_head": 8, "induction_pair": 8, "min_head": 8, "sorter": 8, "sorter_plain": 8, "sorter_repeats": 20,
    "carry_circuit": 5,
}  # fmt: skip


@cache
def circuit(name: str) -> KnownCircuit:
    return get_circuit(name)


def double(name: str) -> HookedTransformer:
    return get_circuit(name).model.double()


def test_every_circuit_is_tested() -> None:
    assert list_circuits() == list(LENGTHS) == list(ABLATED)


@pytest.mark.parametrize("name", list_circuits())
def test_it_solves_its_task_at_its_lengths(name: str) -> None:
    known = circuit(name)
    assert known.name == name
    assert LENGTHS[name][0] == known.lengths[0]
    assert LENGTHS[name][-1] == known.lengths[-1]
    for model in (known.model, double(name)):
        table = evaluate(model, known.task, lengths=LENGTHS[name], n=48, generator=seeded())
        assert (table["accuracy"] == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", list_circuits())
def test_it_solves_its_task_at_every_length(name: str) -> None:
    table = evaluate(circuit(name).model, circuit(name).task, lengths=circuit(name).lengths, n=32, generator=seeded(1))
    assert (table["accuracy"] == 1).all()


@pytest.mark.parametrize("name", [name for name in list_circuits() if name != "induction_pair"])
def test_greedy_decoding_writes_the_answers(name: str) -> None:
    task, length = circuit(name).task, LENGTHS[name][1]
    batch = task.sample(8, length=length, generator=seeded(2), stream="test")
    first = int(batch.scored[0].int().argmax())
    written = greedy_decode(double(name), batch.tokens[:, :first], steps=batch.tokens.shape[1] - first)
    for tokens, row in zip(batch.tokens, written, strict=True):
        prompt, _ = task.prompt_and_answer(task.vocabulary.decode(tokens))
        assert task.vocabulary.decode(row) == task.solve(prompt) + "[EOS]"


def test_greedy_decoding_recalls() -> None:
    """`mqar` gives the queries: each answer is decoded from the text before it."""
    task = circuit("induction_pair").task
    batch = task.sample(8, length=8, generator=seeded(2), stream="test")
    model = double("induction_pair")
    for tokens, scored in zip(batch.tokens, batch.scored, strict=True):
        prompt, _ = task.prompt_and_answer(task.vocabulary.decode(tokens))
        answers = [greedy_decode(model, tokens[None, :place], steps=1)[0] for place in scored.nonzero()[:, 0].tolist()]
        assert task.vocabulary.decode(torch.cat(answers)) == task.solve(prompt)


@pytest.mark.parametrize("name", list_circuits())
def test_the_named_heads_are_needed_and_no_other(name: str) -> None:
    known, length = circuit(name), ABLATED[name]
    finders = set(known.heads.get("delimiter", ()))
    idle = tuple(head for head in all_heads(known.model.config) if head not in known.named)
    assert idle
    for kind in ("zero", "mean", "mean_all"):
        table = HeadAblation(kind=kind)(known.model, known.task, length=length, n=64, generator=seeded(3))
        effects = {
            Head(layer, head): effect
            for layer, head, effect in zip(table["layer"], table["head"], table["effect"], strict=True)
        }
        for head in known.named:
            # A delimiter's place is the same for all examples of a length, and so is the mean over them.
            assert effects[head] == 0 if (kind == "mean" and head in finders) else effects[head] > 0.6, (kind, head)
        assert all(effects[head] == 0 for head in idle)
        together = HeadAblation(kind=kind, metric="nll", heads=idle, together="jointly")
        table = together(known.model, known.task, length=length, n=16, generator=seeded(3))
        assert abs(table["effect"].item()) < 1e-5


def patterns(known: KnownCircuit, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """The attention [query, key] of the first head of each primitive, on one example, in float64."""
    _, kept = get_circuit(known.name).model.double().run_with_cache(tokens[None])
    return {
        name: kept[f"blocks.{head.layer}.attn.hook_pattern"][0, head.head] for name, (head, *_) in known.heads.items()
    }


def where(pattern: torch.Tensor, queries: list[int]) -> list[int]:
    """The strongest key of each query, which has at least 0.6 of its attention."""
    assert (pattern[queries].amax(dim=1) > 0.6).all()
    return pattern[queries].argmax(dim=1).tolist()


def test_where_the_copy_head_attends() -> None:
    # place   0      1 2 3 4 5 6 7
    # token [copy]   c a b = c a b     length 3: `=` at 4, each answer's letter 3 places back, at the end `=`
    known = circuit("copy_head")
    found = patterns(known, known.task.vocabulary.encode("[copy]cab=cab"))
    assert where(found["offset_copy"], [4, 5, 6, 7]) == [1, 2, 3, 4]
    assert where(found["delimiter"], [0, 3, 4, 7]) == [0, 0, 4, 4]


def test_where_the_induction_pair_attends() -> None:
    # place   0      1 2 3 4 5 6 7 8 9 10
    # token [mqar]   c a b c d = c a , b       c is followed by a first (at 2), then by d (at 5); b by c (at 4)
    known = circuit("induction_pair")
    found = patterns(known, known.task.vocabulary.encode("[mqar]cabcd=ca,b"))
    assert where(found["previous_token"], list(range(1, 11))) == list(range(10))
    assert where(found["induction"], [7, 10]) == [2, 4]


def test_where_the_sorters_attend() -> None:
    # place   0      1   2   3   4   5   6   7
    # token [sort] [7] [3] [9]   =  [3] [7] [9]   `=` reads the smallest, at 2; 3 reads 7, 7 reads 9, 9 reads `=`
    for name in ("sorter", "sorter_plain"):
        found = patterns(circuit(name), circuit(name).task.vocabulary.encode("[sort][7][3][9]=[3][7][9]"))
        assert where(found["min"], [4]) == [2]
        assert where(found["successor"], [5, 6, 7]) == [1, 3, 4]
        assert where(found["min"], [5, 6, 7]) == where(found["successor"], [0, 4, 4]) == [0, 0, 0]


def test_where_the_sorter_of_repeats_attends() -> None:
    # place   0      1   2   3   4   5   6
    # token [sort] [7] [3] [3]   =  [3] [3]
    known = circuit("sorter_repeats")
    found = patterns(known, known.task.vocabulary.encode("[sort][7][3][3]=[3][3]"))
    assert found["min"][4, 2:4].tolist() == pytest.approx([0.5, 0.5], abs=1e-2)
    assert where(found["successor"], [5, 6]) == [1, 1]
    torch.testing.assert_close(found["answer_copy"][5], torch.tensor([0, 0, 1, 1, 0, 1, 0]).double() / 3)
    torch.testing.assert_close(found["answer_copy"][6], torch.tensor([0, 0, 1, 1, 0, 1, 1]).double() / 4)
    assert where(found["delimiter"], [3, 4, 6]) == [0, 4, 4]


def test_where_the_carry_circuit_attends() -> None:
    # place      0        1 2 3 4 5 6 7 8 9 10 11
    # token [carry_only]  5 4 1 + 7 5 2 = 0 1  1      sums 12, 9, 3: the carry into places 1 and 2 is that of place 0
    # `=` (place 0) reads `+`; place 1 reads 7 at 5; place 2 passes over 5 at 6; place 3 reads 2 at 7; the end `=`
    known = circuit("carry_circuit")
    assert known.task.solve("541+752=") == "0110"
    found = patterns(known, known.task.vocabulary.encode("[carry_only]541+752=0110"))
    assert where(found["carry"], [8, 9, 10, 11, 12]) == [4, 5, 5, 7, 8]
    assert where(found["digit_pair"], [5, 6, 7]) == [1, 2, 3]
    assert where(found["delimiter"], [3, 4, 8]) == [0, 4, 4]


def test_norms_change_nothing() -> None:
    known = get_circuit("carry_circuit")
    tokens = known.task.vocabulary.encode("[carry_only]541+752=0110")[None]
    _, kept = known.model.double().run_with_cache(tokens)
    for layer in range(3):
        before = kept[f"blocks.{layer}.hook_resid_mid"]
        after = known.model.blocks[layer].ln2(before)
        torch.testing.assert_close(after, before, rtol=1e-6, atol=0)
        assert (before[..., 0] == CONSTANT).all()


def test_the_same_weights_every_time() -> None:
    first, second = get_circuit("sorter").model.state_dict(), get_circuit("sorter").model.state_dict()
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="^unknown known circuit 'sortr'; did you mean 'sorter'[?] they are "):
        get_circuit("sortr")


def test_a_head_that_is_too_narrow() -> None:
    canvas = Canvas.blank(get_task("copy", alphabet=6, case="lower"), spaces={},
                          settings={"n_layers": 1, "n_heads": 1, "d_head": 4})  # fmt: skip
    with pytest.raises(InvalidValueError, match="^head 0.0 needs 9 coordinates, but d_head is 4; make it larger$"):
        canvas.attend_by_token(Head(0, 0), torch.eye(9))


@pytest.mark.parametrize(("least", "power"), [(1, 1), (2, 4), (4, 4), (5, 16), (64, 64), (65, 256)])
def test_powers_of_four(least: int, power: int) -> None:
    assert power_of_four(least) == power
