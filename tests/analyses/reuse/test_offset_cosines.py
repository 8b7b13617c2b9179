"""Cosines of profiles: they do not shrink with noise, and their intervals cover."""

import numpy as np
import pytest
import torch

from analyses.reuse.offset_cosines import bootstrap_offset_cosines, offset_cosines
from tests.analyses.models import seeded


@pytest.mark.parametrize("aligned", [True, False])
def test_intervals_of_cosines_cover_and_estimates_do_not_shrink(aligned: bool) -> None:
    # Two heads whose true profiles are known. The cosine of the plain means is too small: noise is never alike.
    random = np.random.default_rng(0)
    true = np.stack([[[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]], [[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]]])  # [task, head, distance]
    cosines = (true[0] * true[1]).sum(axis=1) / np.linalg.norm(true, axis=2).prod(axis=0)
    truth = np.array([*cosines, cosines.mean()])
    hits, estimates, plain = np.zeros(3), [], []
    for draw in range(100):
        samples = np.stack([[random.dirichlet(0.3 * head, size=20) for head in task] for task in true])
        profiles = torch.from_numpy(samples).permute(0, 2, 1, 3)[:, :, None]
        both = (profiles[0], profiles[1])
        found = bootstrap_offset_cosines(both, aligned=aligned, bootstraps=200, generator=seeded(draw))
        estimate, stderr, low, high = found
        assert (stderr > 0).all()
        assert ((low < estimate) & (estimate < high)).all()
        hits += (low <= truth) & (truth <= high)
        estimates.append(estimate)
        means = samples.mean(axis=2)
        plain.append((means[0] * means[1]).sum(axis=1) / np.linalg.norm(means, axis=2).prod(axis=0))
    assert (hits >= 86).all()
    assert np.mean(estimates, axis=0)[:2] == pytest.approx(cosines, abs=0.02)
    assert np.mean(plain, axis=0)[0] < cosines[0] - 0.02


def test_profiles_without_a_common_distance_or_any_attention() -> None:
    first = torch.tensor([[[[1.0, 0]]]] * 3).double()
    second = torch.tensor([[[[0.0, 1]]]] * 3).double()
    assert offset_cosines((first, second), aligned=True).tolist() == [0, 0]
    assert offset_cosines((first, torch.zeros_like(first)), aligned=False).tolist() == [0, 0]
