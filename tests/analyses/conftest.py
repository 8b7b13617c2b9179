"""Fixtures of the analysis tests."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

from analyses.study import CONDITIONS
from tests.analyses.models import STUDY
from training import train


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without shape and type checks, as users run: for errors that the checks would raise first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `STUDY`, its three runs trained in this process, nothing measured yet."""
    folder = tmp_path_factory.mktemp("study") / "tiny"
    for condition in CONDITIONS:
        train(STUDY.configs[condition], folder / condition)
    STUDY.train(folder, workers=1)
    return folder
