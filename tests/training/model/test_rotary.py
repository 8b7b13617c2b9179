"""Rotation by position: lengths stay, products depend on the distance only, however far out."""

import cmath
import math

import torch
from torch import Generator

from training.config import RotaryScaling
from training.model.rotary import adjacent, apart, cached_turns, frequencies, rotary_tables, rotate, turn


def test_first_pair_turns_by_the_position_and_later_pairs_more_slowly() -> None:
    # d_head 4, base 100: pair (x0, x2) turns by p, pair (x1, x3) by p * 100^(-1/2) = p / 10.
    x = torch.tensor([1.0, 1.0, 0.0, 0.0])[None, None, None]
    turned = rotate(x, rotary_tables(torch.tensor([3]), d_head=4, base=100.0, like=x))
    wanted = torch.tensor([math.cos(3), math.cos(0.3), math.sin(3), math.sin(0.3)])
    torch.testing.assert_close(turned[0, 0, 0], wanted)


def test_products_depend_on_the_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, generator=Generator().manual_seed(0))
    products = []
    for start in (0, 5, 1_000_000):
        tables = rotary_tables(torch.tensor([start, start + 7]), d_head=8, base=1e5, like=q)
        key, query = rotate(torch.cat((k, q), dim=1), tables)[0, :, 0]
        products.append(query @ key)
    torch.testing.assert_close(torch.stack(products), products[0].expand(3), rtol=1e-4, atol=1e-5)
    assert abs(products[0] - (q * k).sum()) > 1e-3


def test_pairs_side_by_side_turn_as_pairs_apart() -> None:
    # d_head 4: components 0, 1, 2, 3 pair as (0, 2) and (1, 3), so side by side they stand 0, 2, 1, 3.
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert adjacent(x).tolist() == [1, 3, 2, 4]
    assert torch.equal(apart(adjacent(x)), x)
    turned = turn(adjacent(x)[None, None, None], cached_turns(3, 4, 4, 100.0, x.device, x.dtype))[0, 0, 0]
    first, second = complex(1, 3) * cmath.exp(3j), complex(2, 4) * cmath.exp(0.3j)
    torch.testing.assert_close(turned, torch.tensor([first.real, first.imag, second.real, second.imag]))


def test_linear_scaling_divides_every_frequency() -> None:
    # d_head 4, base 100: frequencies 1 and 1/10, divided by 4
    scaled = frequencies(4, 100.0, RotaryScaling(kind="linear", factor=4.0))
    torch.testing.assert_close(scaled, torch.tensor([0.25, 0.025], dtype=torch.float64))


def test_llama3_scaling_keeps_fast_and_divides_slow_frequencies() -> None:
    # base 10^4, d_head 8: frequencies 1, .1, .01, .001. In 200 pi places they turn 100, 10, 1 and .1 times. Kept above
    # 19 turns, divided by 2 below 1; of the one that turns 10 times (10 - 1) / (19 - 1) = 1/2 is kept: .05 + .025.
    length = round(200 * math.pi)  # 628: off by 5e-4 of itself
    scaling = RotaryScaling(kind="llama3", factor=2.0, original=length, low=1.0, high=19.0)
    scaled = frequencies(8, 1e4, scaling)
    torch.testing.assert_close(scaled, torch.tensor([1, 0.075, 0.005, 0.0005], dtype=torch.float64), rtol=1e-3, atol=0)


def test_yarn_scaling_falls_linearly_over_the_frequencies_and_lengthens_turns() -> None:
    # As above: 100, 10, 1 and .1 turns, numbers 0 to 3. From 100 turns (number 0, all kept) to 1 turn (number 2, all
    # divided): of number 1 half is kept. Exact limits, since 628 puts number 0 a little off 0.
    scaling = RotaryScaling(kind="yarn", factor=2.0, original=628, fast=100.0, slow=1.0, ramp="exact", attention=1.5)
    scaled = frequencies(8, 1e4, scaling)
    torch.testing.assert_close(scaled, torch.tensor([1, 0.075, 0.005, 0.0005], dtype=torch.float64), rtol=1e-3, atol=0)
    tables = rotary_tables(torch.tensor([0, 7]), d_head=8, base=1e4, like=torch.zeros(1), scaling=scaling)
    torch.testing.assert_close(tables[0].square() + tables[1].square(), torch.full((2, 4), 1.5**2))
