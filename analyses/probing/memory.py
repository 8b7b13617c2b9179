"""What L-BFGS remembers of the last steps of many objectives at once."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

STEPS = 8
"""How many steps are remembered."""


class Memory:
    """The last steps and what each changed of the gradient: the inverse Hessian, as far as they tell of it.

    H = c H_0 + [S, c H_0 Y] M [S, c H_0 Y]^T with steps S and changes Y, in the compact form: a few products for all
    probes and steps, where the usual recursion has several for each step.
    Source: Byrd, Nocedal and Schnabel 1994, theorem 2.2.

    Args:
        first: H_0, the inverse Hessian that nothing is known beyond, times a gradient.
    """

    def __init__(self, first: Callable[[Tensor], Tensor]) -> None:
        self.first = first
        self._scale: Tensor | float = 1.0
        self._steps = self._changes = self._firsts = torch.empty(0)

    def add(self, step: Float[Tensor, "probe class d"], change: Float[Tensor, "probe class d"]) -> None:
        """Takes down a step. A probe that has not moved, or saw no curvature, learns nothing from it."""
        made = self.first(change)
        product, whole = _dot(step, change), _dot(change, made)
        told = product > 1e-7 * (_dot(step, step) * _dot(change, change)).sqrt()
        self._scale = torch.where(told, product / torch.where(told, whole, 1), self._scale)
        kept = (torch.where(told, one, 0).flatten(1)[:, None] for one in (step, change, made))
        self._steps, self._changes, self._firsts = (
            torch.cat([old[:, -STEPS + 1 :], new], dim=1) if len(old) else new
            for old, new in zip((self._steps, self._changes, self._firsts), kept, strict=True)
        )

    def rebase(self, first: Callable[[Tensor], Tensor], *, like: Float[Tensor, "probe class d"]) -> None:
        """Goes on from a better H_0, with all that is remembered.

        Args:
            first: The new H_0, times a gradient.
            like: A gradient.
        """
        self.first = first
        made = [first(change.view_as(like)).flatten(1) for change in self._changes.unbind(dim=1)]
        self._firsts = torch.stack(made, dim=1)
        step, change, whole = self._steps[:, -1:], self._changes[:, -1:], self._firsts[:, -1:]
        product, curved = ((one * change).sum(dim=2, keepdim=True) for one in (step, whole))
        self._scale = torch.where(curved > 0, product / torch.where(curved > 0, curved, 1), 1)

    def times(self, gradient: Float[Tensor, "probe class d"]) -> Float[Tensor, "probe class d"]:
        """The inverse Hessian times a gradient."""
        found = self._scale * self.first(gradient)
        if not len(self._steps):
            return found
        products = (self._steps @ self._changes.mT).triu().double()  # s_i . y_j, i <= j
        own = products.diagonal(dim1=1, dim2=2)
        upper = products + torch.diag_embed((own == 0).double())  # what tells nothing stands by itself
        scale = self._scale
        middle = scale * (self._firsts @ self._changes.mT) + torch.diag_embed(own)
        flat = gradient.flatten(1)[..., None]
        along = torch.linalg.solve_triangular(upper, (self._steps @ flat).double(), upper=True)
        rest = middle @ along - scale * (self._firsts @ flat)
        first = torch.linalg.solve_triangular(upper.mT, rest, upper=False)
        more = self._steps.mT @ first.to(flat) - scale * (self._firsts.mT @ along.to(flat))
        return found + more.view_as(gradient)


def _dot(one: Tensor, other: Tensor) -> Float[Tensor, "probe 1 1"]:
    return (one * other).sum(dim=(1, 2), keepdim=True)
