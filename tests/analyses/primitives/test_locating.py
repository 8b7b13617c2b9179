"""Which heads are called: exactly those of known circuits, a planted one, and none of random models."""

import re
from typing import Any

import pandas as pd
import pytest
import torch

from analyses import Head
from analyses.ground_truth import get_circuit, list_circuits, sorter_repeats
from analyses.primitives import Least, Primitives, list_primitives, shared_primitives
from analyses.primitives.locating import COLUMNS
from analyses.primitives.verdict import with_verdicts
from tasks import InterpError, InvalidValueError, Task, UnknownNameError, get_task
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

COPY = get_task("copy", alphabet=6, case="lower")
SORT = get_task("sort", numbers=10)

TASKS: list[tuple[Task, int]] = [
    (get_task("copy", alphabet=8, case="lower"), 6),
    (get_task("reverse", alphabet=8, case="lower"), 6),
    (get_task("sort", numbers=12), 6),
    (get_task("successor", numbers=12), 6),
    (get_task("reverse_add"), 4),
    (get_task("carry_only"), 4),
    (get_task("mqar", alphabet=8, case="lower"), 8),
]


def called(table: pd.DataFrame, verdict: str = "implements") -> dict[str, set[Head]]:
    """The heads with a verdict, by primitive."""
    rows = table[table["verdict"] == verdict]
    heads: dict[str, set[Head]] = {}
    for name, layer, head in zip(rows["primitive"], rows["layer"], rows["head"], strict=True):
        heads.setdefault(name, set()).add(Head(int(layer), int(head)))
    return heads


@pytest.mark.parametrize("name", list_circuits())
def test_exactly_the_heads_of_a_known_circuit(name: str) -> None:
    # repeats must be common enough for the head that counts them to be needed
    circuit = sorter_repeats(numbers=10, longest=16) if name == "sorter_repeats" else get_circuit(name)
    length = min(8, max(circuit.lengths))
    table = Primitives(permutations=3_000)(circuit.model, circuit.task, length=length, n=64, generator=seeded())
    known = {one: set(heads) for one, heads in circuit.heads.items() if one in list_primitives()}
    if name == "sorter_repeats":  # its `copy` works at the answer's positions, where it counts
        known["answer_copy"] = known.pop("copy", set()) | known.get("answer_copy", set())
    assert called(table) == known


@torch.no_grad()
def plant_min(model: HookedTransformer, head: Head, *, gain: float = 4) -> None:
    """Makes a head read the smallest number at `=`, and write it; the rest of the model stays as it is.

    With D = pinv of the embeddings as the layer reads them, x @ D is one-hot in the token. The logit of number y, from
    1, is -8 y at `=`, and 0 at all other queries. What is written is a direction of which W_U makes one logit.
    """
    vocabulary, attn = model.vocabulary, model.blocks[head.layer].attn
    decode = torch.linalg.pinv(model.blocks[head.layer].ln1(model.W_E))
    numbers = vocabulary.ids(SORT.replaceable)
    attn.W_Q[head.head], attn.W_K[head.head], attn.W_V[head.head] = 0, 0, 0
    attn.W_Q[head.head, :, 0] = decode[:, vocabulary.index["="]] * 8 * model.config.d_head**0.5
    logits = torch.full((len(vocabulary),), -20.0)
    logits[numbers] = -torch.arange(1.0, 11)
    attn.W_K[head.head, :, 0] = decode @ logits
    attn.W_V[head.head, :, : len(numbers)] = decode[:, numbers]
    attn.W_O[head.head] = 0
    attn.W_O[head.head, : len(numbers)] = gain * torch.linalg.pinv(model.W_U)[numbers]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_planted_head_is_found(layers: int) -> None:
    settings: dict[str, object] = {"n_layers": layers, "d_model": 64, "d_head": 16, "positions": "none"}
    model = random_model(SORT.vocabulary, **settings, initializer_range=0.2)
    analysis = Primitives(permutations=3_000)
    before = analysis(model, SORT, length=6, n=64, generator=seeded())
    assert called(before) == {}
    plant_min(model, Head(0, 2))
    found = called(analysis(model, SORT, length=6, n=64, generator=seeded()))
    assert found == {"min": {Head(0, 2)}}


def trained_on_successor() -> HookedTransformer:
    """A model of 2 layers and 4 heads that learned `successor` of 10 numbers in some hundred steps."""
    task = get_task("successor", numbers=10).bind(SORT.vocabulary.union(get_task("successor", numbers=10).vocabulary))
    settings: dict[str, object] = {"n_layers": 2, "d_model": 64, "d_head": 16, "d_mlp": 128, "positions": "none"}
    model, generator = random_model(task.vocabulary, **settings), seeded(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    right = torch.zeros(())
    for step in range(300):
        batch = task.sample(64, length=6, generator=generator)
        logits, targets = model(batch.inputs)[batch.predicting], batch.tokens[:, 1:][batch.predicting]
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()
        right = (logits.argmax(-1) == targets).double().mean() if step == 299 else right
    assert right > 0.8  # it is a trained model, of which the first token to be predicted is one of ten
    return model.requires_grad_(False)


@pytest.mark.slow
def test_a_head_planted_in_a_trained_model_is_found() -> None:
    # The model has learned to say something else at this `=`, with logits of ten and more; what is planted must outdo
    # that (a gain of 400) to matter to the output. A weak one (16) looks and writes, and is called just that.
    model = trained_on_successor()
    analysis, task = Primitives(("min",), permutations=1_000), SORT.bind(model.vocabulary)

    def verdicts() -> dict[Head, str]:
        table = analysis(model, task, length=6, n=64, generator=seeded())
        return {Head(*key): verdict for *key, verdict in table[["layer", "head", "verdict"]].itertuples(index=False)}

    assert set(verdicts().values()) == {"none"}
    for gain, verdict in ((16, "attends and writes"), (400, "implements")):
        plant_min(model, Head(0, 3), gain=gain)
        found = verdicts()
        assert found.pop(Head(0, 3)) == verdict
        assert set(found.values()) == {"none"}


def test_a_head_that_everything_depends_on_but_reads_elsewhere_is_not_called() -> None:
    # All heads of a known circuit write something that matters; none is called for another's primitive.
    circuit = get_circuit("sorter")
    table = Primitives(names=("min", "successor"), permutations=3_000)(
        circuit.model, circuit.task, length=6, n=64, generator=seeded()
    )
    (least,), (successor,) = circuit.heads["min"], circuit.heads["successor"]
    assert called(table, "writes only") == {"min": {successor}, "successor": {least}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("positions", "spread", "seed"),
    [("rotary", 0.02, 0), ("rotary", 0.5, 1), ("none", 0.02, 1), ("none", 0.5, 0), ("learned", 0.02, 0),
     ("learned", 0.5, 1)],
)  # fmt: skip
def test_random_models_have_none(positions: str, spread: float, seed: int) -> None:
    # There is no true head, so at most 5 % of the tables may call any; three coincidences are needed, none is expected.
    settings: dict[str, object] = {"n_ctx": 40} if positions == "learned" else {}
    for task, length in TASKS:
        model = random_model(
            task.vocabulary, n_layers=2, d_model=32, positions=positions, initializer_range=spread,
            norm="LN" if seed else "RMS", unembedding="tied" if seed else "separate", **settings,
        )  # fmt: skip
        table = Primitives(permutations=1_500)(model, task, length=length, n=48, generator=seeded(seed))
        assert called(table) == {}


def test_table() -> None:
    model = random_model(COPY.vocabulary, n_layers=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    analysis = Primitives(permutations=50)
    first, again, other = (analysis(model, COPY, length=4, n=16, generator=seeded(seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["share"].equals(other["share"])
    assert list(first) == COLUMNS
    assert list(first["primitive"].unique()) == ["copy", "answer_copy", "previous_token", "offset_copy"]
    assert len(first) == 4 * 2 * 4
    assert first["family"].eq(32).all()
    assert first["q"].ge(first["p"]).all()
    assert first["p"].ge(first[["p_attention", "p_causal"]].max(axis=1)).all()
    assert first["metric"].tolist() == ["lens"] * 16 + ["output"] * 16
    untaught = first["primitive"] == "previous_token"
    assert first["p_write"].isna().equals(untaught)
    assert first["lens_after"].isna().equals(untaught)
    assert first["verdict"].isin(["none", "attends only", "writes only", "attends and writes"]).all()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_primitives_that_do_not_occur_are_left_out() -> None:
    # Of one number there is no larger one, so neither successor occurs.
    model = random_model(SORT.vocabulary, n_layers=1)
    table = Primitives(permutations=10)(model, SORT, length=1, n=8, generator=seeded())
    assert list(table["primitive"].unique()) == ["copy", "answer_copy", "min", "previous_token"]


def test_one_of_several_unembeddings() -> None:
    model = random_model(COPY.vocabulary, n_layers=1, task_heads=2)
    tables = [
        Primitives(permutations=10)(model, COPY, length=3, n=8, generator=seeded(), task_head=head) for head in (0, 1)
    ]
    assert not tables[0]["clean"].equals(tables[1]["clean"])
    assert tables[0]["share"].equals(tables[1]["share"])


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[InterpError], str]] = {
    "unknown": ({"names": ("mni",)}, {}, UnknownNameError, "unknown primitive 'mni'; did you mean 'min'? the primit"),
    "twice": ({"names": ("min", "min")}, {}, InvalidValueError, "primitive 'min' is named twice; name each primitive"),
    "permutations": ({"permutations": 0}, {}, InvalidValueError, "permutations = 0 is not possible; allowed is 1 or m"),
    "level": ({"level": 1.0}, {}, InvalidValueError, "level = 1.0 is not possible; allowed is above 0 and below 1"),
    "not the task's": ({"names": ("carry",)}, {}, InvalidValueError, "primitive 'carry' does not apply to task 'sort'"),
    "nowhere": (
        {"names": ("successor",)}, {"length": 1}, InvalidValueError,
        "primitive 'successor' applies in fewer than 2 of 8 examples of 'sort' at length 1; use another length, or mor",
    ),
    "one example": ({}, {"n": 1}, InvalidValueError, "n = 1 examples have no mean to ablate with; allowed is 2 or"),
    "vocabulary": ({}, {"task": get_task("reverse_add")}, InvalidValueError, "the vocabulary lacks '0', which task"),
    "task head": ({}, {"task_head": 3}, InvalidValueError, "task head 3 does not exist: the model has 1, counted from"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "call", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_refusals(fields: dict[str, Any], call: dict[str, Any], error: type[InterpError], text: str) -> None:
    model = random_model(SORT.vocabulary, n_layers=1)
    settings: dict[str, Any] = {"permutations": 10, **fields}
    arguments: dict[str, Any] = {"task": SORT, "length": 4, "n": 8, "generator": seeded(), **call}
    with pytest.raises(error, match=re.escape(text)):
        Primitives(**settings)(model, **arguments)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("share", 1.5, "0 to 1"),
        ("mass", -0.1, "0 to 1"),
        ("effect", -1.0, "0 or more"),
        ("share", float("nan"), "0 to 1"),
        ("effect", float("inf"), "0 or more"),
    ],
)
def test_thresholds_are_checked(field: str, value: float, allowed: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^least {field} = {value} is not possible; allowed is {allowed}$"):
        Least(**{field: value})


def evidence(**changes: float) -> dict[str, float]:
    strong = {"share": 1, "mass": 1, "write_tokens": 1, "write_values": 0, "least_loss": 1}
    return {**strong, "p_attention": 0.001, "p_write": 0.001, "p_causal": 0.001, **changes}


def test_verdicts() -> None:
    nan = float("nan")
    no_token = {"write_tokens": nan, "write_values": nan, "p_write": nan}
    rows = {
        "all there": (evidence(), "implements"),
        "read off the value": (evidence(write_tokens=0, write_values=0.9), "implements"),
        "yields none": (evidence(**no_token), "implements"),
        "yields none, no effect": (evidence(**no_token, p_causal=0.9), "attends only"),
        "no effect": (evidence(least_loss=0), "attends and writes"),
        "effect by chance": (evidence(p_causal=0.9), "attends and writes"),
        "attends by chance": (evidence(p_attention=0.9), "writes only"),
        "too seldom": (evidence(share=0.2), "writes only"),
        "too little": (evidence(mass=0.1), "writes only"),
        "writes seldom": (evidence(write_tokens=0.2), "attends only"),
        "writes by chance": (evidence(p_write=0.9), "attends only"),
        "nothing": (evidence(p_write=0.9, p_attention=0.9), "none"),
    }  # fmt: skip
    table = with_verdicts(pd.DataFrame([row for row, _ in rows.values()]), least=Least(), level=0.05)
    assert dict(zip(rows, table["verdict"], strict=True)) == {name: verdict for name, (_, verdict) in rows.items()}
    # p is the greatest of the three; Benjamini-Hochberg of 12 tests
    assert table["p"].iloc[:3].tolist() == [0.001] * 3
    few = (table["p"] == 0.001).sum()
    assert table["q"].iloc[0] == pytest.approx(0.001 * 12 / few)


def serving(task: str, heads: dict[str, list[tuple[int, int]]]) -> pd.DataFrame:
    """A table of 2 x 4 heads and 2 primitives in which some heads implement one."""
    rows = [
        {
            "task": task, "length": 5, "primitive": name, "layer": layer, "head": head, "effect": 1.0, "q": 0.01,
            "verdict": "implements" if (layer, head) in heads.get(name, []) else "none",
        }
        for name in ("copy", "offset_copy") for layer in (0, 1) for head in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_shared_primitives() -> None:
    # Of 2 x 4 heads, `copy` holds 0.1 and 1.2, `shift` 0.3, 1.1 and 1.2. Within layers, none is shared in layer 0 with
    # probability 3/4, and none in layer 1 with 2/4: P(one or more) = 1 - 6/16. `copy` (the primitive) is held by other
    # heads in each, so its p is 1, and Benjamini-Hochberg of 10/16 and 1 gives 1 for both.
    first = serving("copy", {"offset_copy": [(0, 1), (1, 2)], "copy": [(0, 0)]})
    second = serving("shift", {"offset_copy": [(0, 3), (1, 1), (1, 2)], "copy": [(1, 0)]})
    table = shared_primitives([first, second])
    assert table[["primitive", "layer", "head", "first", "second"]].to_numpy().tolist() == [
        ["offset_copy", 1, 2, "copy", "shift"]
    ]
    assert table[["heads", "first_heads", "second_heads", "shared"]].to_numpy().tolist() == [[8, 2, 3, 1]]
    assert table["p"].iloc[0] == pytest.approx(10 / 16)
    assert table[["q", "family", "correction"]].to_numpy().tolist() == [[1, 2, "Benjamini-Hochberg"]]
    assert table["layer"].dtype == table["head"].dtype == "Int64"  # as in the tables of reuse, to merge on
    pd.testing.assert_frame_equal(shared_primitives([pd.concat([first, second])]), table)
    assert list(shared_primitives([first, serving("shift", {})])) == list(table)


def test_that_layers_differ_is_no_evidence() -> None:
    # Both tasks hold three heads of layer 1: at least two of them are shared whatever is drawn, all three in 1 of 4.
    first = serving("copy", {"offset_copy": [(1, 0), (1, 1), (1, 2)]})
    shift = {"two": [(1, 1), (1, 2), (1, 3)], "three": [(1, 0), (1, 1), (1, 2)]}
    tables = {
        name: shared_primitives([first, serving("shift", {"offset_copy": heads})]) for name, heads in shift.items()
    }
    assert tables["two"]["p"].tolist() == pytest.approx([1, 1])
    assert tables["three"]["p"].tolist() == tables["three"]["q"].tolist() == pytest.approx([1 / 4] * 3)


def test_shared_primitives_refuses() -> None:
    one = serving("copy", {})
    with pytest.raises(InvalidValueError, match=r"two tasks, each at one length. Got copy at 5; give two tables"):
        shared_primitives([one])
    with pytest.raises(InvalidValueError, match=r"two tasks, each at one length. Got none"):
        shared_primitives([])
    other = serving("shift", {})
    with pytest.raises(InvalidValueError, match="the two tables have different heads; give two tables of one model"):
        shared_primitives([one, other[other["layer"] == 0]])
