"""Grids of cells that train in a fraction of a second, and a watcher that remembers."""

from pathlib import Path
from typing import Any

from training import Grid, Progress, Watcher

PRESET = """
[model]
n_layers = 1
n_heads = 2
d_model = 16
d_mlp = 16

[train]
steps = 12
batch_size = 8
warmup = 2
learning_rate = 1e-2

[measure]
checkpoints = 3
lengths = [2]
n = 8
"""


def quick_grid(
    folder: Path, *, axes: dict[str, Any], fixed: dict[str, Any] | None = None, impossible: str = "refuse"
) -> Grid:
    """A grid of `copy+shift`, up to 3 and 5 letters unless told otherwise; its preset is written to the folder."""
    preset = folder / "quick.toml"
    preset.write_text(PRESET)
    common = {"preset": str(preset), "group": "copy+shift", "main_length": 3, "auxiliary_length": 5}
    common = {key: value for key, value in {**common, **(fixed or {})}.items() if key not in axes}
    return Grid.read({"name": "quick", "impossible": impossible, "fixed": common, "axes": axes})


class Notes(Watcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.starts: list[str] = []
        self.steps: list[tuple[str, Progress]] = []
        self.ends: list[tuple[str, str]] = []

    def started(self, name: str) -> None:
        self.starts.append(name)

    def progressed(self, name: str, progress: Progress) -> None:
        self.steps.append((name, progress))

    def ended(self, name: str, error: Exception | None) -> None:
        self.ends.append((name, str(error or "")))
