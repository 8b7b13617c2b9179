"""Batched logistic regression: against scikit-learn, against the gradient in numpy, and what it says of itself."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from analyses.probing.fit import Fit, Fitting
from analyses.probing.logistic import fit_probes
from tasks import InvalidValueError

TIGHT = Fitting(tolerance=1e-9)


def drawn(probes: int, n: int, d: int, classes: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of very different scales and off-centre, and labels that depend on them, other ones for each probe."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(probes, n, d)) @ random.normal(size=(probes, d, d)) * np.logspace(-1, 1, d) + 3
    logits = features @ random.normal(size=(probes, d, classes)) / d + random.gumbel(size=(probes, n, classes))
    return torch.from_numpy(features), torch.from_numpy(logits.argmax(axis=2))


def peer(features: Tensor, labels: Tensor, *, C: float) -> LogisticRegression:
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-9).fit(features.numpy(), labels.numpy())


def coefficients(fit: Fit, probe: int) -> tuple[np.ndarray, np.ndarray]:
    """As scikit-learn gives them: of two classes, the second's less the first's."""
    present = fit.biases[probe].isfinite()
    weights, biases = (part[probe][present].numpy() for part in (fit.weights, fit.biases))
    return (weights, biases) if len(weights) > 2 else (weights[1:] - weights[:1], biases[1:] - biases[:1])


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("l2", [0.1, 10.0])
def test_coefficients_are_those_of_scikit_learn(classes: int, l2: float) -> None:
    features, labels = drawn(3, 150, 4, classes)
    fit = fit_probes(features, labels, classes=classes, fitting=Fitting(l2=l2, tolerance=1e-9))
    assert fit.converged.all()
    for probe in range(3):
        other = peer(features[probe], labels[probe], C=1 / l2)
        weights, biases = coefficients(fit, probe)
        np.testing.assert_allclose(weights, other.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(biases, other.intercept_, rtol=1e-4, atol=1e-4)
        chances = fit.logits(features).softmax(dim=2)[probe]
        np.testing.assert_allclose(chances.numpy(), other.predict_proba(features[probe].numpy()), atol=1e-5)


def test_in_float32_accuracies_are_those_of_scikit_learn() -> None:
    features, labels = drawn(4, 400, 8, 5)
    test_features, test_labels = features[:, 200:], labels[:, 200:]
    fit = fit_probes(features[:, :200].float(), labels[:, :200], classes=5)
    assert fit.converged.all()
    assert fit.weights.dtype == torch.float32
    right = (fit.logits(test_features.float()).argmax(dim=2) == test_labels).double().mean(dim=1)
    for probe in range(4):
        other = peer(features[probe, :200], labels[probe, :200], C=1.0)
        score = other.score(test_features[probe].numpy(), test_labels[probe].numpy())
        assert abs(float(right[probe]) - score) < 0.005


def test_a_class_that_no_example_has_is_left_out() -> None:
    features, labels = drawn(2, 80, 3, 3)
    labels[1][labels[1] == 1] = 2  # two classes are left, whose penalty is scikit-learn's for two
    fit = fit_probes(features, labels, classes=4, fitting=TIGHT)
    assert fit.converged.all()
    assert fit.biases.isinf().tolist() == [[False, False, False, True], [False, True, False, True]]
    for probe in range(2):
        weights, biases = coefficients(fit, probe)
        other = peer(features[probe], labels[probe], C=1.0)
        np.testing.assert_allclose(weights, other.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(biases, other.intercept_, rtol=1e-4, atol=1e-4)


def test_one_class_is_certain_at_once() -> None:
    features, labels = drawn(1, 10, 2, 2)
    fit = fit_probes(features, torch.ones_like(labels), classes=3)
    assert fit.logits(features).softmax(dim=2)[0].tolist() == [[0, 1, 0]] * 10
    assert fit.converged.tolist() == [True]
    assert fit.iterations.tolist() == [0]


def test_features_that_say_nothing_leave_the_frequencies() -> None:
    # 3 of 4 examples are of class 0: the intercepts are ln 3 apart, and the classes' mean is 0.
    fit = fit_probes(torch.zeros(1, 4, 2), torch.tensor([[0, 0, 0, 1]]), classes=2, fitting=Fitting(tolerance=1e-7))
    assert fit.biases[0].tolist() == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-5)
    assert (fit.weights == 0).all()


def test_the_gradient_is_that_of_the_objective() -> None:
    features, labels = drawn(1, 60, 3, 4)
    fit = fit_probes(features, labels, classes=4, fitting=Fitting(l2=2.0, max_iterations=2))
    x, weights, biases = features[0].numpy(), fit.weights[0].numpy(), fit.biases[0].numpy()
    logits = x @ weights.T + biases
    errors = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors = errors / errors.sum(axis=1, keepdims=True) - np.eye(4)[labels[0].numpy()]
    of_weights = (errors.T @ (x - x.mean(axis=0)) + 2.0 * weights) / 60
    expected = max(np.abs(of_weights).max(), np.abs(errors.mean(axis=0)).max())
    assert float(fit.gradient) == pytest.approx(expected, rel=1e-6)


def test_a_fit_that_is_stopped_says_so() -> None:
    features, labels = drawn(2, 100, 4, 3)
    stopped = fit_probes(features, labels, classes=3, fitting=Fitting(max_iterations=1))
    assert stopped.converged.tolist() == [False, False]
    assert stopped.iterations.tolist() == [1, 1]
    assert (stopped.gradient > 1e-4).all()
    # What rounding does not let converge ends, and says so.
    hopeless = fit_probes(features.float(), labels, classes=3, fitting=Fitting(tolerance=1e-12))
    assert not hopeless.converged.any()


def test_probes_do_not_depend_on_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = drawn(5, 60, 3, 3)
    together = fit_probes(features, labels, classes=3, fitting=TIGHT)
    monkeypatch.setattr("analyses.probing.logistic.CACHED", 1)
    alone = fit_probes(features, labels, classes=3, fitting=TIGHT)
    torch.testing.assert_close(together.weights, alone.weights, rtol=1e-5, atol=1e-6)


def test_labels_that_can_be_told_for_sure_converge() -> None:
    # The penalty alone holds the weights: tokens, read from an embedding that keeps them apart.
    labels = torch.arange(200)[None] % 20
    features = torch.eye(20)[labels]
    fit = fit_probes(features, labels, classes=20, fitting=Fitting(l2=1e-3))
    assert fit.converged.all()
    assert (fit.logits(features).argmax(dim=2) == labels).all()


@pytest.mark.parametrize(("name", "value"), [("l2", 0.0), ("tolerance", -1.0), ("max_iterations", 0)])
def test_impossible_settings_are_refused(name: str, value: Any) -> None:
    with pytest.raises(
        InvalidValueError, match=rf"^{name} = {value} is not possible for a probe; allowed are numbers ab"
    ):
        Fitting(**{name: value})
