"""Named streams: the same names give the same numbers, others give others, and the past does not matter."""

import pytest
import torch

from training import named_generator


def draw(*names: str | int, seed: int = 0) -> list[float]:
    return torch.rand(4, generator=named_generator(seed, *names)).tolist()


def test_same_seed_and_names_give_the_same_numbers() -> None:
    assert draw("train", 7) == draw("train", 7)


@pytest.mark.parametrize("other", [("train", 8), ("test", 7), ("train",), ("train", 7, "x"), (7, "train")])
def test_another_name_gives_other_numbers(other: tuple[str | int, ...]) -> None:
    assert draw("train", 7) != draw(*other)


def test_neighbouring_seeds_are_unrelated() -> None:
    rows = torch.tensor([torch.rand(2000, generator=named_generator(seed, "x")).tolist() for seed in range(8)])
    correlations = torch.corrcoef(rows)[~torch.eye(8, dtype=torch.bool)]
    assert correlations.abs().max() < 0.1  # 4.5 standard errors of 1 / sqrt(2000)


def test_streams_stay_the_same_from_version_to_version() -> None:
    # Runs and results on disk are keyed by seeds: a change of this number makes all of them another experiment.
    assert named_generator(0, "train", 4711).initial_seed() == 13149159918292517255
