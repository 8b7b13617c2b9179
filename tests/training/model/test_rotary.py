"""Rotation by position: lengths stay, products depend on the distance only, however far out."""

import math

import torch
from torch import Generator

from training.model.rotary import rotary_tables, rotate


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
