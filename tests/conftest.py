"""What holds for every test: shapes are checked, no network, no global randomness, reproducible Hypothesis."""

# ruff: noqa: E402 - the import hook must stand before anything that imports our packages.
import os

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

import tests.typechecker  # noqa: F401 - the hook finds it by name, and only once it is loaded.

install_import_hook(["tasks", "training", "analyses", "interp"], "tests.typechecker.check")

import ipaddress
import socket
from collections.abc import Generator, Iterator

import jaxtyping
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # tiny tensors: a second thread costs more than it gives, on a busy machine twentyfold

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

_torch_state = pytest.StashKey[torch.Tensor]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Remember the state of torch's global generator before the test's fixtures run."""
    item.stash[_torch_state] = torch.get_rng_state()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that drew from torch's global generator or seeded it, itself or in its fixtures."""
    result = yield
    if not torch.equal(item.stash[_torch_state], torch.get_rng_state()):
        pytest.fail(
            "torch's global random state changed: pass a torch.Generator. "
            "Where another library draws from it, wrap that call in `with torch.random.fork_rng():`",
            pytrace=False,
        )
    return result


@pytest.fixture(scope="module")
def one_thread() -> Generator[None, None, None]:
    """One thread, for tests that train tiny models: more cost time, and the last bits may depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Generator[None, None, None]:
    """Fail a test that looks up or connects to another machine; loopback and Unix sockets work."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        _refuse_remote(self.family, address)
        connect(self, address)  # pyright: ignore[reportArgumentType]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        _refuse_remote(self.family, address)
        return connect_ex(self, address)  # pyright: ignore[reportArgumentType]

    def guarded_getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        _refuse_remote(socket.AF_INET, (host,))
        return getaddrinfo(host, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def _refuse_remote(family: int, address: object) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if host not in (None, "", "localhost") and not _is_loopback(host):
        # pytest.fail raises a BaseException, so that no library's `except Exception` swallows it.
        pytest.fail(f"a test must not use the network. It tried to reach {host!r}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without shape and type checks, as users run: for errors that the checks would raise first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
