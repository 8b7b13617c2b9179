"""Whether everything is there that the toolkit needs: what `interp doctor` looks at, one finding after the other."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interp.runs.facts import damage
from interp.runs.folders import PARTIAL, ROOT, folders_below

State = Literal["ok", "note", "missing", "broken"]

PYTHON = (3, 11)
"""The oldest that works."""

_LITTLE, _TOO_LITTLE = 2e9, 1e8
"""Bytes of free disk or memory that get a note, and that are too little for anything."""


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        what: The thing.
        state: ok; note: works, but one should know; missing: an extra that is not there; broken: something needed.
        found: What is there.
        wanted: What is needed, or was tested; empty if nothing is.
        advice: The next thing to do; empty if there is nothing.
    """

    what: str
    state: State
    found: str
    wanted: str = ""
    advice: str = ""


def machine() -> Iterator[Finding]:
    """Python, system, cores, memory."""
    oldest = ".".join(map(str, PYTHON))
    yield Finding(
        "python", "ok" if sys.version_info >= PYTHON else "broken", platform.python_version(), f"{oldest} or newer",
        "" if sys.version_info >= PYTHON else f"make a new environment with Python {oldest} or newer",
    )  # fmt: skip
    known = platform.system() in ("Linux", "Darwin")
    advice = "" if known else "tested on Linux and macOS only; on Windows use WSL"
    yield Finding("system", "ok" if known else "note", platform.platform(terse=True), "Linux or macOS", advice)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("cores", "ok", str(cores))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    yield (
        _enough("memory", memory, "close other programs, or train smaller models")
        if memory
        else Finding("memory", "note", "unknown")
    )


def torch_and_devices() -> Iterator[Finding]:
    """PyTorch, its threads, and the devices it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of its own that cannot be loaded
        text = " ".join(str(error).split())
        yield Finding(
            "torch", "broken", text[:200], "can be imported", f"{sys.executable} -m pip install --force-reinstall torch"
        )
        return
    built = "the CPU" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    yield Finding("torch", "ok", f"{torch.__version__}, built for {built}")
    limited = os.environ.get("OMP_NUM_THREADS")
    yield Finding("threads", "ok", f"{torch.get_num_threads()}" + (", from OMP_NUM_THREADS" if limited else ""))
    devices = [
        f"cuda:{place}, {card.name}, {card.total_memory / 1e9:.0f} GB"
        for place, card in enumerate(map(torch.cuda.get_device_properties, range(torch.cuda.device_count())))
    ]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    unused = not devices and shutil.which("nvidia-smi") is not None
    advice = "there is a graphics card, and this torch cannot use it; see pytorch.org for the one to install"
    yield Finding("devices", "note" if unused else "ok", "; ".join(["cpu", *devices]), "", advice if unused else "")


def places() -> Iterator[Finding]:
    """Whether runs can be written, and how much room there is."""
    root = ROOT.absolute()
    there = next(place for place in (root, *root.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
        yield Finding("writing runs", "ok", str(root))
    except OSError as error:
        advice = f"start from a folder that you may write, or mend the rights of {str(there)!r}"
        yield Finding("writing runs", "broken", f"{error.strerror or error}: {there}", "can be written", advice)
    yield _enough("free disk", shutil.disk_usage(there).free, "make room; 'interp runs' shows what each run takes")


def _enough(what: str, size: int, advice: str) -> Finding:
    state: State = "broken" if size < _TOO_LITTLE else "note" if size < _LITTLE else "ok"
    return Finding(
        what, state, f"{size / 1e9:.1f} GB", f"{_LITTLE / 1e9:.0f} GB or more", "" if state == "ok" else advice
    )


def run_folders() -> Iterator[Finding]:
    """The runs that are damaged, and how many are whole."""
    folders = [run for folder in folders_below() for run in folder.runs]
    hurt = [(run, text) for run in folders if (text := damage(run))]
    unfinished = sum(not run.finished for run in folders)
    text = f"{len(folders) - len(hurt)} whole" + (f", {unfinished} of them unfinished" if unfinished else "")
    yield Finding("runs", "ok", text)
    for run, text in hurt:
        name = run.name.removesuffix(PARTIAL)
        yield Finding("run", "broken", f"{name}: {text}", "", f"interp runs remove {_quoted(name)}, and train it again")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name if not name.startswith("-") else str(Path(ROOT) / name))
