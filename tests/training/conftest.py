"""The tiny run, trained once for each file of tests."""

import pytest

from tests.training.tiny import tiny_config
from training import Run, train


@pytest.fixture(scope="module")
def whole(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny run, never interrupted."""
    return train(tiny_config(), tmp_path_factory.mktemp("whole") / "run")
