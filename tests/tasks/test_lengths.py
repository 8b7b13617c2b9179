"""Length distributions: quantiles worked out by hand, and the laws that they make."""

import re
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from tasks import InvalidValueError, Member, UnknownNameError, get_task
from tasks.lengths import lengths_at


def quantiles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_uniform_quantiles_by_hand() -> None:
    # Five lengths 1..5: each takes a fifth of [0, 1).
    u = quantiles(0.0, 0.199, 0.2, 0.5, 0.799, 0.8, 0.999999)
    assert lengths_at(u, "uniform", shortest=1, longest=5).tolist() == [1, 1, 2, 3, 4, 5, 5]


def test_skewed_quantiles_by_hand() -> None:
    # Longest 20: [0, .8) over 2..5, .2 each; [.8, 1) over 6..20, .2/15 = .01333 each.
    u = quantiles(0.0, 0.199, 0.201, 0.599, 0.601, 0.7999, 0.8001, 0.8132, 0.8134, 0.9868, 0.999999)
    assert lengths_at(u, "skewed", shortest=1, longest=20).tolist() == [2, 2, 3, 4, 5, 5, 6, 6, 7, 20, 20]


def test_longest_of_two_operands_by_hand() -> None:
    # P(both at most l) = (l/4)^2: 1/16, 4/16, 9/16, 1.
    u = quantiles(0.0, 0.06, 0.07, 0.24, 0.26, 0.56, 0.57, 0.99)
    assert lengths_at(u, "uniform", shortest=1, longest=4, operands=2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_skewed_law_is_task_hintings() -> None:
    # 80 % in 2..5, 20 % in 6..20.
    u = torch.rand(60_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = Member(get_task("copy"), 20, "skewed").lengths_at(u)
    counts = drawn.bincount(minlength=21)[2:].numpy()
    expected = [60_000 * 0.8 / 4] * 4 + [60_000 * 0.2 / 15] * 15
    assert counts.sum() == 60_000
    assert chisquare(counts, expected).pvalue > 1e-3


@pytest.mark.parametrize(("name", "shortest"), [("copy", 1), ("mqar", 2)])
def test_uniform_law_begins_at_the_tasks_shortest(name: str, shortest: int) -> None:
    u = torch.rand(30_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    counts = Member(get_task(name), 9).lengths_at(u).bincount(minlength=10)
    assert counts[:shortest].sum() == 0
    assert chisquare(counts[shortest:].numpy()).pvalue > 1e-3


def test_impossible_length_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="^length 1 is not possible for task 'mqar'; allowed are 2 to 4096$"):
        Member(get_task("mqar"), 1)


def test_skewed_without_short_lengths_is_refused() -> None:
    text = "a skewed distribution up to length 7 has no short lengths; it needs 8 or more"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        Member(get_task("copy"), 7, "skewed")
    assert Member(get_task("copy"), 8, "skewed").lengths_at(quantiles(0.0, 0.9)).tolist() == [2, 6]


def test_unknown_distribution_is_refused(unchecked: None) -> None:
    name: Any = "skwed"
    text = "unknown length distribution 'skwed'; did you mean 'skewed'? they are uniform, skewed"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        Member(get_task("copy"), 20, name)


def test_skewed_is_the_law_of_the_longer_operand() -> None:
    u = torch.rand(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    drawn = Member(get_task("reverse_add"), 20, "skewed").lengths_at(u)
    batch = get_task("reverse_add").sample(
        40_000, length=drawn, generator=torch.Generator().manual_seed(3), stream="train"
    )
    # Answers have one digit more than the longer operand, and [EOS].
    longer = batch.scored.sum(dim=1) - 2
    counts = longer.bincount(minlength=21)[2:].numpy()
    assert chisquare(counts, [40_000 * 0.8 / 4] * 4 + [40_000 * 0.2 / 15] * 15).pvalue > 1e-3
