"""Many multinomial logistic regressions at once: L-BFGS in step, each probe with step sizes of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.probing.fit import AS_SCIKIT_LEARN, Fit, Fitting
from analyses.probing.line_search import Line, normalised, search
from analyses.probing.memory import Memory

CACHED = 2**20
"""So many numbers of features, for each thread, are worked on at a time on a CPU, so that they stay in its cache."""

SAMPLED = 1024
"""Guesses of the Hessian are of so many examples, or of all."""

REBASED = 16
"""Probes that need more iterations than this go on from a better guess: easy ones are done before it pays."""

ROUNDS = 2
"""Logits are added up step by step. Where they are computed anew and the gradient is not small then, it goes on."""


def fit_probes(
    features: Float[Tensor, "probe batch d"],
    labels: Int[Tensor, "probe batch"],
    *,
    classes: int,
    fitting: Fitting = AS_SCIKIT_LEARN,
) -> Fit:
    """Fits a multinomial logistic regression to each probe's examples, all probes side by side.

    Minimised is sum over examples of -log softmax(W x + b)[label] + lambda / 2 * |W|^2, in nats; b is not penalised.
    That is scikit-learn's `LogisticRegression(C=1 / lambda)`; it gives two classes one row w, which here is the
    difference of two rows w / 2 and -w / 2, so with two classes the penalty is lambda * |W|^2. A class that none of a
    probe's examples has is left out, as there: its probability is 0.

    The solver is L-BFGS whose first guess of the inverse Hessian is that of W = 0, where it is known: the inverse of
    the features' covariance / classes + lambda / examples. Features that are correlated or of very different scales
    cost few more iterations than others. Where many examples have become certain that guess is poor: after `REBASED`
    iterations it is exchanged for the inverse of the Hessian's blocks of one class each. The sums are in the features'
    precision.

    Args:
        features: Each probe's examples.
        labels: Their classes, from 0.
        classes: How many there are.
        fitting: Penalty and end.
    """
    parts = [_Regression.of(features[rows], labels[rows], classes, fitting).solved() for rows in _groups(features)]
    return Fit(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _groups(features: Tensor) -> Iterator[slice]:
    """The probes in groups that stay in the cache; on a GPU all at once."""
    count, size = len(features), max(1, features[0].numel())
    on_cpu = features.device.type == "cpu"
    step = max(1, torch.get_num_threads() * CACHED // size) if on_cpu else count
    return (slice(first, first + step) for first in range(0, count, step))


@dataclass(frozen=True)
class _Regression:
    """Regressions being solved. Classes come before examples: sums over classes are then vectorised over examples.

    Attributes:
        features: The centred features.
        mean: What was subtracted.
        right: The mean over examples of the features of those of each class, 0 for the others; behind them, shares.
        present: 0 for classes that a probe's examples have, else -inf.
        penalty: lambda / examples, doubled for two classes.
        inverse: About the inverse Hessian at W = 0, of the weights of one class.
        fitting: Penalty and end.
    """

    features: Float[Tensor, "probe batch d"]
    mean: Float[Tensor, "probe d"]
    right: Float[Tensor, "probe class d_and_1"]
    present: Float[Tensor, "probe class 1"]
    penalty: Float[Tensor, "probe 1 1"]
    inverse: Float[Tensor, "probe d d"]
    fitting: Fitting

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, classes: int, fitting: Fitting) -> "_Regression":
        examples = features.shape[1]
        mean = features.mean(dim=1)
        features = features - mean[:, None]
        members = torch.zeros(len(labels), classes, examples, dtype=features.dtype, device=labels.device)
        right = _products(members.scatter_(1, labels[:, None], 1), features)
        some = (right[..., -1:] > 0).sum(dim=1, keepdim=True)
        penalty = (fitting.l2 / examples * torch.where(some == 2, 2.0, 1.0)).to(features)
        sample = features[:, _spread(examples).to(features.device)]
        hessian = (sample.mT @ sample).double() / (sample.shape[1] * some) + penalty.double() * _identity(features)
        # Rounding makes features that depend on one another look as if they had a little variance less than none.
        rounding = 100 * torch.finfo(features.dtype).eps
        hessian.diagonal(dim1=1, dim2=2).mul_(1 + rounding)
        present = torch.where(right[..., -1:] > 0, 0.0, -torch.inf).to(features)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian)).to(features)
        return cls(features, mean, right, present, penalty, inverse, fitting)

    def solved(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The fields of a `Fit`."""
        probes, _, size = self.features.shape
        weights = self.features.new_zeros(probes, self.present.shape[1], size + 1)  # the last column is the bias
        weights, iterations = self._descended(weights)
        greatest = self._exactly(weights)
        for _ in range(ROUNDS):
            if bool((greatest <= self.fitting.tolerance).all()) or int(iterations.max()) >= self.fitting.max_iterations:
                break
            weights, more = self._descended(weights)
            greatest, iterations = self._exactly(weights), iterations + more
        biases = weights[..., -1:] - weights[..., :-1] @ self.mean[..., None]
        there = (self.present == 0).to(biases)  # only differences count: they are told from the mean of these classes
        middle = (biases * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True)
        biases = (biases - middle + self.present)[..., 0]
        return weights[..., :-1], biases, greatest, greatest <= self.fitting.tolerance, iterations

    def _descended(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Where L-BFGS ends, and how many iterations it took."""
        logits = self._logits(weights)
        loss, probabilities = normalised(logits)
        gradient, memory = self._gradient(weights, probabilities), Memory(self._preconditioned)
        iterations = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
        for number in range(self.fitting.max_iterations):
            moving = _greatest(gradient) > self.fitting.tolerance
            if not bool(moving.any()):
                break
            if number == REBASED:
                memory.rebase(partial(_by_blocks, self._blocks(logits.softmax(dim=1))), like=gradient)
            direction = -memory.times(gradient)
            downhill = _dot(gradient, direction) < 0  # but for rounding it always is
            direction = torch.where(downhill, direction, -memory.first(gradient)) * moving[:, None, None]
            slope = _dot(gradient, direction)
            change = torch.baddbmm(direction[..., -1:], direction[..., :-1], self.features.mT)
            line = Line.of(logits, change, weights, direction, right=self.right, penalty=self.penalty)
            steps, loss, probabilities = search(line, moving, loss=loss, slope=slope)
            if not bool(steps.any()):
                break  # rounding hides every way down
            logits.addcmul_(steps, change)
            step, before = steps * direction, gradient
            weights = weights + step
            gradient = self._gradient(weights, probabilities)
            memory.add(step, gradient - before)
            iterations += moving
        return weights, iterations

    def _logits(self, weights: Tensor) -> Tensor:
        return torch.baddbmm(weights[..., -1:] + self.present, weights[..., :-1], self.features.mT)

    def _exactly(self, weights: Tensor) -> Float[Tensor, " probe"]:
        """The greatest entry of the gradient, from logits that are computed anew."""
        return _greatest(self._gradient(weights, self._logits(weights).softmax(dim=1)))

    def _gradient(self, weights: Tensor, probabilities: Tensor) -> Tensor:
        """Of (sum of losses + penalty) / examples."""
        gradient = _products(probabilities, self.features) - self.right
        gradient[..., :-1] += self.penalty * weights[..., :-1]
        return gradient

    def _preconditioned(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian at W = 0, times a gradient."""
        some = (self.present == 0).sum(dim=1, keepdim=True)
        return torch.cat([gradient[..., :-1] @ self.inverse, some * gradient[..., -1:]], dim=2)

    def _blocks(self, probabilities: Tensor) -> Float[Tensor, "probe class d_and_1 d_and_1"]:
        """The inverses of the Hessian's blocks of one class each, about, where the probabilities are these."""
        sample = _spread(self.features.shape[1]).to(self.features.device)
        features = torch.nn.functional.pad(self.features[:, sample], (0, 1), value=1)
        shares = probabilities[..., sample]
        weights = shares * (1 - shares) / len(sample)
        blocks = [(features * one[..., None]).mT @ features for one in weights.unbind(dim=1)]
        hessian = torch.stack(blocks, dim=1).double() + self.penalty[..., None].double() * _identity(features)
        hessian.diagonal(dim1=2, dim2=3).mul_(1 + 100 * torch.finfo(features.dtype).eps)
        return torch.cholesky_inverse(torch.linalg.cholesky(hessian)).to(features)


def _by_blocks(inverse: Tensor, gradient: Tensor) -> Tensor:
    return (inverse @ gradient[..., None])[..., 0]


def _products(members: Tensor, features: Tensor) -> Float[Tensor, "probe class d_and_1"]:
    """The mean over examples of each class's share times the features, and of the shares themselves."""
    total = torch.cat([members @ features, members.sum(dim=2, keepdim=True)], dim=2)
    return total / features.shape[1]


def _spread(examples: int) -> Int[Tensor, " sampled"]:
    """Some examples from everywhere, without a period that examples might have as well."""
    return torch.arange(examples) if examples <= SAMPLED else torch.arange(SAMPLED) * 7919 % examples


def _dot(one: Tensor, other: Tensor) -> Float[Tensor, "probe 1 1"]:
    return (one * other).sum(dim=(1, 2), keepdim=True)


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=torch.float64, device=like.device)


def _greatest(gradient: Tensor) -> Float[Tensor, " probe"]:
    return gradient.abs().amax(dim=(1, 2))
