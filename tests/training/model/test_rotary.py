"""Rotation by position: lengths stay, products depend on the distance only, however far out."""

import cmath
import math

import torch
from torch import Generator

from training.model.rotary import adjacent, apart, cached_turns, rotary_tables, rotate, turn


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
