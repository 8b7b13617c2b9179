"""Fixtures of the analysis tests."""

from pathlib import Path

import pytest

from tests.analyses.models import STUDY
from training import train
from training.conditions import CONDITIONS


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `STUDY`, its three runs trained in this process, nothing measured yet."""
    folder = tmp_path_factory.mktemp("study") / "tiny"
    for condition in CONDITIONS:
        train(STUDY.configs[condition], folder / condition)
    STUDY.train(folder, workers=1)
    return folder
