"""The theoretical sorter's arithmetic: against the model itself, against values worked out by hand, by its claims."""

import math

import pandas as pd
import pytest
import torch

from analyses.ground_truth import Softmax, SorterTheory, reach, sorter
from analyses.ground_truth.precision import Precision
from analyses.ground_truth.sorting_logits import Code
from analyses.ground_truth.theory import COLUMNS, REACH_COLUMNS, Arithmetic
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.models import seeded

PLAIN, TEMPERED = Softmax("none", 4.0), Softmax("log_n", 1.0)


def sequences(count: int, length: int, *, numbers: int) -> list[torch.Tensor]:
    generator = seeded(4)
    return [torch.randperm(numbers, generator=generator)[:length] for _ in range(count)]


@torch.inference_mode()
def of_model(
    sequence: torch.Tensor, softmax: Softmax, code: Code, *, numbers: int, dtype: torch.dtype
) -> tuple[list[bool], torch.Tensor]:
    """Which steps the model gets right, and the attention that its heads pay to the source."""
    known = sorter(numbers=numbers, softmax=softmax, code=code)
    model, length = known.model.to(dtype), len(sequence)
    batch = known.task.examples(["".join(f"[{number + 1}]" for number in sequence.tolist()) + "="])
    logits, kept = model.run_with_cache(batch.inputs)
    masses = []
    for step in range(length + 1):
        place = length + 1 + step
        source = (batch.tokens[0, : length + 1] == batch.tokens[0, place + 1]).int().argmax() if step < length else 0
        source = int(source) if step < length else length + 1  # at the end, `=`
        layer, head = known.heads["min" if not step else "successor"][0]
        masses.append(kept[f"blocks.{layer}.attn.hook_pattern"][0, head, place, source])
    right = logits[0, batch.predicting[0]].argmax(dim=1) == batch.targets
    return right.tolist(), torch.stack(masses).double()


@pytest.mark.parametrize("softmax", [PLAIN, TEMPERED, Softmax("none", 0.875)])  # as exact in bfloat16
@pytest.mark.parametrize("code", ["relative", "absolute"])
def test_it_is_the_models_arithmetic(softmax: Softmax, code: Code) -> None:
    for name, dtype, error in (
        ("float64", torch.float64, 1e-9), ("float32", torch.float32, 1e-5), ("bfloat16", torch.bfloat16, 2**-8),
    ):  # fmt: skip
        for sequence in sequences(3, 9, numbers=12):
            steps = Arithmetic(Precision(name), softmax, 0.0, code).steps(sequence, numbers=12, generator=seeded())
            right, masses = of_model(sequence, softmax, code, numbers=12, dtype=dtype)
            assert steps.correct.tolist() == right
            torch.testing.assert_close(steps.mass, masses, atol=error, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("softmax", [PLAIN, TEMPERED])
def test_the_model_fails_in_bfloat16_where_the_arithmetic_does(softmax: Softmax) -> None:
    """300 numbers in 8 bits: the steps near 256 fail, in the model as in the arithmetic, and others do not."""
    (sequence,) = sequences(1, 300, numbers=300)
    steps = Arithmetic(Precision("bfloat16"), softmax, 0.0, "absolute").steps(sequence, numbers=300, generator=seeded())
    right, _ = of_model(sequence, softmax, "absolute", numbers=300, dtype=torch.bfloat16)
    assert steps.correct.tolist() == right
    assert 0 < right.count(False) < 200
    assert all(right[:128])


def test_values_worked_out_by_hand() -> None:
    # Two numbers, 0 and 1, in this order; `=` counts as 2. Keys: marker, 0, 1, =, and what is written.
    # beta = ln 2:  at =   0: 1, 1: 1/2, marker and =: 2^-4 each             -> 1 / 1.625  = .615 < 5/8: wrong
    #               at 0   1: 1, =: 1/2, marker, 0, 0: 2^-4 each             -> 1 / 1.6875 = .593: wrong
    #               at 1   =: 1, marker, 0, 1, 0, 1: 2^-4 each               -> 1 / 1.3125 = .762
    #                      and 1 itself: 5/8 + (2/16) / 1.3125 = .720: right
    # beta = ln 4:  1 / (1 + 1/4 + 2/256), 1 / (1 + 1/4 + 3/256), 1 / (1 + 5/256): right
    first = Arithmetic(Precision("float64"), Softmax("none", math.log(2))).steps(
        torch.tensor([0, 1]), numbers=2, generator=seeded()
    )
    assert first.mass.tolist() == pytest.approx([1 / 1.625, 1 / 1.6875, 1 / 1.3125])
    assert first.correct.tolist() == [False, False, True]
    weights = torch.tensor([1, *[1 / 16] * 5]) / 1.3125
    assert first.entropy[2].item() == pytest.approx(-float((weights * weights.log()).sum()))
    table = SorterTheory(("float64",), (Softmax("none", math.log(4)),))(lengths=[2], n=3, generator=seeded())
    masses = [1 / (1.25 + 2 / 256), 1 / (1.25 + 3 / 256), 1 / (1 + 5 / 256)]
    assert table["mass"].item() == pytest.approx(sum(masses) / 3)
    assert table[["accuracy", "stderr", "token_accuracy", "n"]].iloc[0].tolist() == [1, 0, 1, 3]


def test_the_table() -> None:
    theory = SorterTheory(("float32", "4bit"), (PLAIN, TEMPERED), (0.0, 1.0), spread=3)
    table = theory(lengths=[1, 5], n=4, generator=seeded())
    assert list(table) == COLUMNS
    assert len(table) == 2 * 2 * 2 * 2
    assert table["numbers"].tolist() == [3] * 8 + [15] * 8
    assert set(table["bits"]) == {24, 4}
    pd.testing.assert_frame_equal(table, theory(lengths=[1, 5], n=4, generator=seeded()))
    other = theory(lengths=[1, 5], n=4, generator=seeded(1))
    assert not other["mass"].equals(table["mass"])


def test_queries_in_parts_are_queries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (sequence,) = sequences(1, 20, numbers=40)
    whole = Arithmetic(Precision("float32"), TEMPERED).steps(sequence, numbers=40, generator=seeded())
    monkeypatch.setattr("analyses.ground_truth.theory._QUERIES", 7)
    parts = Arithmetic(Precision("float32"), TEMPERED).steps(sequence, numbers=40, generator=seeded())
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
def test_absolute_logits_reach_two_to_the_bits(bits: int) -> None:
    # With b bits 2^b + 1 rounds to 2^b. `=` counts as the number above all, so at length 2^b + 1 the last number, 2^b,
    # and `=`, 2^b + 1, are alike. The product with ln n may cost one bit more.
    lengths = list(range(2 ** (bits - 1), 2 ** (bits + 1)))
    found = reach(SorterTheory((f"{bits}bit",), code="absolute")(lengths=lengths, n=1, generator=seeded()))
    plain, tempered = found["exact_to"]
    assert plain == 2**bits
    assert 2 ** (bits - 1) <= tempered <= 2**bits


def test_relative_logits_have_no_such_limit() -> None:
    found = reach(SorterTheory(("3bit",))(lengths=[8, 32, 128, 300], n=1, generator=seeded()))
    assert found["exact_to"].tolist() == [300, 300]
    assert found["fails_at"].isna().all()


def test_noise_hurts_a_fixed_factor_more_with_length_and_a_tempered_one_less() -> None:
    theory = SorterTheory(("float64",), (Softmax("none", 3.0), TEMPERED), (1.0,))
    table = theory(lengths=[10, 300], n=8, generator=seeded())
    fixed, tempered = (part["accuracy"].tolist() for _, part in table.groupby("temperature", sort=False))
    assert fixed[0] > fixed[1] == 0
    assert tempered[1] > tempered[0]


def test_reach_by_hand() -> None:
    columns = {"code": "relative", "precision": "4bit", "bits": 4, "temperature": "none", "beta": 4.0, "n": 2}
    rows = [
        {"length": length, "numbers": 2 * length, "noise": noise, "accuracy": accuracy, **columns}
        for noise, accuracies in ((0.0, (1, 1, 0.5, 1)), (1.0, (0, 1, 1, 1)), (2.0, (1, 1, 1, 1)))
        for length, accuracy in zip((4, 8, 16, 32), accuracies, strict=True)
    ]
    found = reach(pd.DataFrame(rows))
    assert list(found) == REACH_COLUMNS
    assert found["exact_to"].tolist() == [8, 0, 32]
    assert found["numbers"].tolist() == [16, 0, 64]
    assert found["fails_at"].tolist() == [16, 4, pd.NA]


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"precisions": ("half",)}, UnknownNameError, "unknown precision 'half'; the precisions are float64, "),
        ({"precisions": ()}, InvalidValueError, "there is nothing to measure; give a precision, a softmax and a noise"),
        ({"noises": (-1.0,)}, InvalidValueError, "noise -1.0 is not possible; a standard deviation is 0 or more"),
        ({"noises": (0.0, math.nan)}, InvalidValueError, "noise nan is not possible; a standard deviation is 0"),
        ({"noises": (math.inf,)}, InvalidValueError, "noise inf is not possible; a standard deviation is 0 or more"),
        ({"code": "relativ"}, UnknownNameError, "unknown code 'relativ'; did you mean 'relative'[?] the codes are"),
        ({"spread": 0}, InvalidValueError, "spread 0 leaves too few distinct numbers; allowed is 1 or more"),
    ],
)
def test_what_is_refused(unchecked: None, settings: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{text}"):
        SorterTheory(**settings)  # pyright: ignore[reportArgumentType]


def test_lengths_and_numbers_of_sequences() -> None:
    with pytest.raises(InvalidValueError, match=r"^lengths \[3, 0\] are not possible; give at least one, each 1 or"):
        SorterTheory()(lengths=[3, 0], generator=seeded())
    with pytest.raises(InvalidValueError, match="^n = 0 sequences cannot be sorted; allowed is 1 or more$"):
        SorterTheory()(lengths=[3], n=0, generator=seeded())


def test_softmaxes(unchecked: None) -> None:
    with pytest.raises(InvalidValueError, match="^beta = 0.0 is not possible; allowed is more than 0$"):
        Softmax("none", 0.0)
    with pytest.raises(InvalidValueError, match="^beta = inf is not possible; allowed is a finite number$"):
        Softmax("log_n", math.inf)
    with pytest.raises(UnknownNameError, match="^unknown temperature 'logn'; did you mean 'log_n'[?] the temper"):
        Softmax("logn", 1.0)  # pyright: ignore[reportArgumentType]
