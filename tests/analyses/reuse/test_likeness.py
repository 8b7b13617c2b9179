"""Debiased products of covariances: against means over all quadruples, and against U-centred Gram matrices."""

import itertools

import numpy as np
import pytest
import torch

from analyses.reuse.likeness import covariance_product, leaving_out, shared_covariance

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(2, 7, 3)) + 2
ALL = torch.ones(7, 1, dtype=torch.float64)


def gram(first: np.ndarray, second: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(first @ second.T)


def u_centred(products: np.ndarray) -> np.ndarray:
    """Szekely and Rizzo's U-centred matrix, row and column means taken off."""
    n = len(products)
    products = products - np.diag(np.diag(products))
    rows, columns = products.sum(axis=1, keepdims=True) / (n - 2), products.sum(axis=0, keepdims=True) / (n - 2)
    centred = products - rows - columns + products.sum() / ((n - 1) * (n - 2))
    return centred - np.diag(np.diag(centred))


def test_product_of_covariances_is_the_mean_over_quadruples() -> None:
    quadruples = itertools.permutations(range(7), 4)
    expected = np.mean([((X[a] - X[b]) @ (Y[c] - Y[d])) ** 2 / 4 for a, b, c, d in quadruples])
    assert covariance_product(gram(X, Y), ALL).item() == pytest.approx(expected)


def test_shared_covariance_is_the_product_of_u_centred_grams() -> None:
    expected = (u_centred(X @ X.T) * u_centred(Y @ Y.T)).sum() / (7 * 4)
    assert shared_covariance(gram(X, X), gram(Y, Y), ALL).item() == pytest.approx(expected)


def test_shared_covariance_is_the_mean_over_quadruples() -> None:
    # |Cov(x, y)|^2 = E (x_1 - x_2).(x_3 - x_4) (y_1 - y_2).(y_3 - y_4) / 4
    quadruples = itertools.permutations(range(7), 4)
    expected = np.mean([((X[a] - X[b]) @ (X[c] - X[d])) * ((Y[a] - Y[b]) @ (Y[c] - Y[d])) / 4
                        for a, b, c, d in quadruples])  # fmt: skip
    assert shared_covariance(gram(X, X), gram(Y, Y), ALL).item() == pytest.approx(expected)


def test_both_are_one_of_a_set_with_itself_and_blind_to_its_mean() -> None:
    own = shared_covariance(gram(X, X), gram(X, X), ALL).item()
    assert covariance_product(gram(X, X), ALL).item() == pytest.approx(own)
    moved = X + 5
    assert covariance_product(gram(moved, Y), ALL).item() == pytest.approx(covariance_product(gram(X, Y), ALL).item())
    assert shared_covariance(gram(moved, moved), gram(X, X), ALL).item() == pytest.approx(own)


def test_selections_are_those_of_the_examples_left() -> None:
    kept = leaving_out(7, groups=3)
    assert kept.T.tolist() == [[1] * 7, [0, 1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 0, 1, 1], [1, 1, 0, 1, 1, 0, 1]]
    products, shared = covariance_product(gram(X, Y), kept), shared_covariance(gram(X, X), gram(Y, Y), kept)
    for place, column in enumerate(kept.T.bool().numpy()):
        x, y, left = X[column], Y[column], torch.ones(column.sum(), 1, dtype=torch.float64)
        assert products[place].item() == pytest.approx(covariance_product(gram(x, y), left).item())
        assert shared[place].item() == pytest.approx(shared_covariance(gram(x, x), gram(y, y), left).item())


def test_few_examples_make_no_bias() -> None:
    # x has variances 4 and 1, y = x turned by a quarter and noise of variance 1: Cov(y) has 2 and 5, Cov(x, y) 4 and 1.
    random, found = np.random.default_rng(1), []
    for _ in range(1500):
        x = random.normal(size=(5, 2)) * [2, 1]
        y = x[:, ::-1] * [1, -1] + random.normal(size=(5, 2))
        kept = torch.ones(5, 1, dtype=torch.float64)
        found.append((covariance_product(gram(x, y), kept).item(),
                      shared_covariance(gram(x, x), gram(y, y), kept).item()))  # fmt: skip
    error = 4 * np.std(found, axis=0) / 1500**0.5
    assert (np.abs(np.mean(found, axis=0) - [4 * 2 + 1 * 5, 4**2 + 1**2]) < error).all()
    assert (error < 3).all()
