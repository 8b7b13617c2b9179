"""One thread for tests that train tiny models: more of them cost time, and the last bits depend on their number."""

from collections.abc import Generator

import pytest
import torch


@pytest.fixture(scope="module")
def one_thread() -> Generator[None, None, None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
