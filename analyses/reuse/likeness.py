"""How alike two sets of vectors vary, from the products of their vectors, without the bias of few examples.

Each is a U-statistic: a mean over tuples of different examples, so noise of single examples averages out. It is taken
of several selections of the examples at once: `kept` holds one column of zeros and ones for each.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def shared_covariance(
    first: Float[Tensor, "batch batch"], second: Float[Tensor, "batch batch"], kept: Float[Tensor, "batch selection"]
) -> Float[Tensor, " selection"]:
    """Unbiased estimate of |Cov(x, y)|^2, the sum of squares of all covariances between two paired vectors.

    It is the debiased HSIC with linear kernels (Song et al. 2012, eq. 5), and |Cov(x, x)|^2 if both are the same.

    Args:
        first: x_i . x_j.
        second: y_i . y_j.
        kept: Which examples each selection keeps, 4 or more.
    """
    first, second = (gram - gram.diag().diag() for gram in (first, second))
    n, one, two = kept.sum(dim=0), first @ kept, second @ kept
    both = (kept * ((first * second) @ kept)).sum(dim=0)
    sums = (kept * one).sum(dim=0) * (kept * two).sum(dim=0) / ((n - 1) * (n - 2))
    return (both + sums - 2 * (kept * one * two).sum(dim=0) / (n - 2)) / (n * (n - 3))


def covariance_product(
    products: Float[Tensor, "batch batch"], kept: Float[Tensor, "batch selection"]
) -> Float[Tensor, " selection"]:
    """Unbiased estimate of <Cov(x), Cov(y)>, the sum over entries of the product of two covariance matrices.

    It is the mean of (x_1 - x_2) . (y_3 - y_4) squared, over 4, over all quadruples of different examples; so x_i and
    y_i may depend on one another.

    Args:
        products: x_i . y_j.
        kept: Which examples each selection keeps, 4 or more.
    """
    products = products - products.diag().diag()
    n, rows, columns = kept.sum(dim=0), products @ kept, products.T @ kept
    squares = (kept * (products.square() @ kept)).sum(dim=0)
    swapped = (kept * ((products * products.T) @ kept)).sum(dim=0)
    of_rows, of_columns, mixed = (
        (kept * one * two).sum(dim=0) for one, two in ((rows, rows), (columns, columns), (rows, columns))
    )
    total = (kept * rows).sum(dim=0).square()
    # Sums over i, j, k or i, j, k, l that all differ, by inclusion and exclusion of those that agree.
    triples = of_rows + of_columns - 2 * squares
    quadruples = total - of_rows - of_columns - 2 * mixed + squares + swapped
    pairs = n * (n - 1)
    return squares / pairs - triples / (pairs * (n - 2)) + quadruples / (pairs * (n - 2) * (n - 3))


def leaving_out(n: int, *, groups: int) -> Float[Tensor, "batch selection"]:
    """The selections for a jackknife: all n examples, then all but those of each group; i is in group i mod groups."""
    kept = torch.ones(n, groups + 1, dtype=torch.float64)
    places = torch.arange(n)
    kept[places, 1 + places % groups] = 0
    return kept
