"""The machine: what it is, and how fast it multiplies matrices while the contenders run."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.devices import Device
from benchmarks.rounds import Contender

SIDES: dict[Device, int] = {"cpu": 1024, "cuda": 4096}
"""Side of the square float32 matrices: large enough for the best rate, and small enough for a processor's cache."""

PRODUCTS = 4
"""Products per unit of work."""

MATRIX_PRODUCT = "matrix product"


def matrix_product(device: Device = "cpu") -> Contender:
    """A contender that multiplies matrices and nothing else; the others are measured against its rate."""
    side = SIDES[device]
    left = torch.rand(side, side, generator=torch.Generator().manual_seed(0)).to(device)
    out = torch.empty_like(left)

    def multiply(_: int) -> None:
        for _ in range(PRODUCTS):
            torch.mm(left, left, out=out)

    return Contender(MATRIX_PRODUCT, multiply)


def matrix_product_flops(device: Device = "cpu") -> int:
    """Floating-point operations of one unit of `matrix_product`: 2 n^3 for each product of n x n matrices."""
    return PRODUCTS * 2 * SIDES[device] ** 3


def facts(device: Device = "cpu") -> dict[str, str | int | float]:
    """What a reader needs to judge the numbers."""
    return {
        **({"GPU": torch.cuda.get_device_name()} if device == "cuda" else {}),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "transformer-lens", "nnsight", "pyvene")},
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
