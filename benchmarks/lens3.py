"""TransformerLens 3.9 as a contender: its own virtual environment, its own process, the same batches by a pipe."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from benchmarks.lens3_worker import packed

VERSION = "3.9.*"

ROOT = Path(__file__).parents[1]

FOLDER = ROOT / "build" / "transformer-lens-3.9"
"""The environment; git ignores `build`, and `make clean` removes it."""


class Unavailable(Exception):  # noqa: N818 - no failure of ours
    """TransformerLens 3.9 cannot be had here; the text says why."""


def environment(folder: Path = FOLDER, *, requirements: Sequence[str] = ()) -> Path:
    """The environment's Python, after the packages were installed if they were not: some minutes, and 1.6 GB.

    Raises:
        Unavailable: The packages cannot be installed.
    """
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(requirements or [f"transformer-lens=={VERSION}", _pinned("torch")])
    if done.exists() and done.read_text() == wanted:
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted.split("\n")],
    ):
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode:
            said = (tried.stderr or tried.stdout).strip().splitlines() or ["no reason was given"]
            raise Unavailable(next((line for line in said if line.startswith("ERROR")), said[-1]))
    done.write_text(wanted)
    return python


def _pinned(package: str) -> str:
    """The package with the exact version that this project is tested with."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


class Worker:
    """The other process.

    Args:
        command: What starts it; it reads and writes the lines that `lens3_worker.serve` does.
        settings: The settings that it starts with.

    Raises:
        Unavailable: It did not start.
    """

    def __init__(self, command: Sequence[str], settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.parameters: int = self._ask(settings)["ready"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def step(self, inputs: Tensor, targets: Tensor, learning_rate: float) -> float:
        """One training step; returns its loss."""
        return self._ask(_batch(inputs, targets, learning_rate, peak=False))["loss"]

    def peak(self, inputs: Tensor, targets: Tensor, learning_rate: float) -> int:
        """Peak memory of a training step, in bytes."""
        return self._ask(_batch(inputs, targets, learning_rate, peak=True))["peak"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.communicate()
            raise Unavailable(f"its process ended with exit code {self._process.returncode}")
        return json.loads(answer)


def _batch(inputs: Tensor, targets: Tensor, learning_rate: float, *, peak: bool) -> dict[str, Any]:
    return {"inputs": packed(inputs), "targets": packed(targets), "learning_rate": learning_rate, "peak": peak}
