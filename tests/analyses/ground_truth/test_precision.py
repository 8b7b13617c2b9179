"""Rounding to a precision, against numpy's types and against fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.ground_truth.precision import Precision
from tasks import UnknownNameError

NUMBERS = st.floats(min_value=-1e30, max_value=1e30, allow_subnormal=False)


@given(NUMBERS)
def test_bits_are_those_of_float32(number: float) -> None:
    assert Precision("24bit").round(torch.tensor([number]).double()).item() == pytest.approx(
        float(np.float32(torch.tensor([number]).double().item())), rel=0, abs=1e-38
    )


@given(NUMBERS, st.integers(2, 20))
def test_no_number_of_so_many_bits_is_nearer(number: float, bits: int) -> None:
    rounded = Precision(f"{bits}bit").round(torch.tensor([number], dtype=torch.float64)).item()
    mantissa, _ = np.frexp(rounded)
    assert (Fraction(float(mantissa)) * 2**bits).denominator == 1
    if number:
        unit = Fraction(2) ** (int(np.frexp(number)[1]) - bits)
        assert abs(Fraction(rounded) - Fraction(number)) <= unit / 2


def test_known_values() -> None:
    # With 3 bits the integers above 8 are 10, 12, 14, 16; 9 and 11 lie halfway and go to the even significand.
    x = torch.tensor([9.0, 11.0, 12.9, -9.1, 0.0, torch.inf, 0.3]).double()
    assert Precision("3bit").round(x).tolist() == [8.0, 12.0, 12.0, -10.0, 0.0, torch.inf, 0.3125]
    assert Precision("bfloat16").round(torch.tensor([257.0]).double()).item() == 256
    assert Precision("float16").round(torch.tensor([1e6]).double()).item() == torch.inf


@pytest.mark.parametrize(
    ("name", "bits"), [("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8), ("5bit", 5)]
)
def test_bits(name: str, bits: int) -> None:
    assert Precision(name).bits == bits
    one = torch.tensor([1.0], dtype=torch.float64)
    assert Precision(name).round(one + 2.0 ** (1 - bits)).item() > 1  # the last place of 1
    assert Precision(name).round(one + 2.0 ** (-1 - bits)).item() == 1


@pytest.mark.parametrize("name", ["half", "1bit", "54bit", "bit", "5bits"])
def test_unknown_precision(name: str) -> None:
    text = f"^unknown precision '{name}'; the precisions are float64, float32, float16, bfloat16, and 2bit to 53bit$"
    with pytest.raises(UnknownNameError, match=text):
        Precision(name)
