"""JupyterLab in a real browser, driven through the DevTools protocol; every address that is asked for is noted."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
TOKEN = "explorer"
PATIENCE = 90.0
"""Seconds that a condition may take, on a machine that is busy with other tests."""


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(condition: Callable[[], Any], what: str, *, patience: float = PATIENCE) -> Any:
    """Asks again and again until the answer is true, and returns it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError, urllib.error.URLError):
            found = condition()
            if found:
                return found
        time.sleep(0.05)
    pytest.fail(f"waited {patience:.0f} s in vain for: {what}")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


@contextlib.contextmanager
def stopped_in_the_end(command: list[str], *, log: Path, env: dict[str, str]) -> Generator[None, None, None]:
    """A process that lives as long as the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@contextlib.contextmanager
def lab(folder: Path, private: Path) -> Generator[str, None, None]:
    """JupyterLab on a folder, with its own settings; yields its address."""
    port = free_port()
    quiet = private / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True, exist_ok=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    places = {f"JUPYTER_{name}_DIR": str(private / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    env = os.environ | places | {
        "PYTHONPATH": str(ROOT), "HOME": str(private), "JUPYTERLAB_SETTINGS_DIR": str(private / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--ServerApp.port_retries=0",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with stopped_in_the_end(command, log=private / "lab.log", env=env):
        until(lambda: _get(f"{address}/api?token={TOKEN}"), "JupyterLab to start")
        yield address


@dataclass
class Browser:
    """A tab; `asked` holds the addresses of its requests."""

    socket: websocket.WebSocket
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _count: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and notes what happens meanwhile."""
        self._count += 1
        self.socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self._count:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(message["params"]["request"]["url"])
        elif message.get("method") == "Network.webSocketCreated":
            self.asked.append(message["params"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:600])

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, expression: str, what: str) -> Any:
        """Waits until an expression is true, and returns it."""
        return until(lambda: self.js(expression), what)

    def click(self, x: float, y: float) -> None:
        """Moves the mouse there and clicks."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def press(self, key: str, code: int) -> None:
        """Presses a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> Path:
        """Writes what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return path

    def remote(self) -> list[str]:
        """Addresses that were asked for outside this machine."""
        parts = [(address, urlsplit(address)) for address in self.asked]
        return [address for address, one in parts if one.scheme not in ("data", "blob") and one.hostname != "127.0.0.1"]


@contextlib.contextmanager
def browser(private: Path, *, width: int = 1400, height: int = 1000) -> Generator[Browser, None, None]:
    """A headless Chromium that finds no address but 127.0.0.1."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed; CI must have it")
        pytest.skip("chromium is not installed")
    port = free_port()
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", f"--remote-debugging-port={port}",
        "--remote-allow-origins=*", f"--user-data-dir={private / 'profile'}", f"--window-size={width},{height}",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank",
    ]  # fmt: skip
    with stopped_in_the_end(command, log=private / "chromium.log", env=dict(os.environ)):
        tabs = until(
            lambda: [tab for tab in _get(f"http://127.0.0.1:{port}/json") if tab["type"] == "page"], "Chromium to start"
        )
        connection = websocket.create_connection(tabs[0]["webSocketDebuggerUrl"], timeout=PATIENCE)
        try:
            tab = Browser(connection)
            for domain in ("Page", "Network", "Runtime"):
                tab.call(f"{domain}.enable")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            tab.call("Emulation.setDeviceMetricsOverride", **size)
            yield tab
        finally:
            connection.close()
