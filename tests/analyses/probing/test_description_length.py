"""The online code, by hand and against a plain loop with scikit-learn."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from analyses.probing.description_length import SHARES, block_ends, online_bits
from analyses.probing.fit import Fit, Fitting
from analyses.probing.logistic import fit_probes


def test_blocks_end_at_the_shares_of_the_paper() -> None:
    assert block_ends(1000) == [1, 2, 4, 8, 16, 32, 63, 125, 250, 500, 1000]
    assert block_ends(4) == [1, 2, 4]
    assert SHARES[-1] == 1


def test_by_hand() -> None:
    # 4 tokens of 2 classes; blocks are token 1, token 2, tokens 3 and 4. A stand-in says class 0 with probability 3/4
    # after 1 token and 1 after 2 tokens. Labels 0 0 0 1:
    #   token 1   1 bit
    #   token 2   (1 * 3/4 + 1/2) / 2 = 5/8
    #   token 3   (2 * 1 + 1/2) / 3 = 5/6
    #   token 4   (2 * 0 + 1/2) / 3 = 1/6
    asked = []

    def fit(features: Tensor, labels: Tensor) -> Fit:
        asked.append((features.shape[1], labels.tolist()))
        odds = math.log(3) if len(labels) == 1 else math.inf
        biases = torch.tensor([[odds if odds < math.inf else 0.0, 0.0 if odds < math.inf else -math.inf]])
        nothing = torch.zeros(1)
        return Fit(torch.zeros(1, 2, 1), biases, nothing, torch.tensor([len(labels) == 1]), nothing.long())

    bits, converged = online_bits(torch.zeros(1, 4, 1), torch.tensor([0, 0, 0, 1]), classes=2, fit=fit)
    assert asked == [(1, [0]), (2, [0, 0])]
    assert float(bits) == pytest.approx(1 - math.log2(5 / 8) - math.log2(5 / 6) - math.log2(1 / 6), rel=1e-6)
    assert float(converged) == 0.5


def test_against_a_loop_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(2, 90, 3))
    labels = (features[0, :, 0] > 0).astype(int) + (features[0, :, 1] > 0.5)

    def fit(inputs: Tensor, known: Tensor) -> Fit:
        return fit_probes(inputs, known.expand(2, -1), classes=3, fitting=Fitting(tolerance=1e-9))

    bits, converged = online_bits(torch.from_numpy(features), torch.from_numpy(labels), classes=3, fit=fit)
    assert converged.tolist() == [1, 1]
    for place in range(2):
        total, ends = math.log2(3), [1, 2, 3, 6, 12, 23, 45, 90]
        for known, end in itertools.pairwise(ends):
            seen = np.unique(labels[:known])
            chances = np.zeros((end - known, 3))
            if len(seen) == 1:
                chances[:, seen[0]] = 1
            else:
                peer = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-9)
                peer.fit(features[place, :known], labels[:known])
                chances[:, peer.classes_] = peer.predict_proba(features[place, known:end])
            own = chances[np.arange(end - known), labels[known:end]]
            total -= np.log2((known * own + 1 / 3) / (known + 1)).sum()
        assert float(bits[place]) == pytest.approx(total, rel=1e-5)
    # The first place holds what the labels are made of, the second nothing: it costs about the labels' entropy.
    assert bits[0] < 0.8 * bits[1]
