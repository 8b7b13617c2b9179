"""Peak memory of a piece of work, exact and the same on every run: from torch's record of its allocations."""

import json
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks.devices import Device, cuda_peak_bytes


def peak_bytes(work: Callable[[], object], *, device: Device = "cpu") -> int:
    """The most bytes that tensors held at one time on the device during the work, beyond those held before it."""
    if device == "cuda":
        return cuda_peak_bytes(work)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        with quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            work()
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((event for event in events if event.get("name") == "[memory]"), key=lambda event: event["ts"])
    return max(accumulate((event["args"]["Bytes"] for event in changes), initial=0))


@contextmanager
def quiet_profiler() -> Generator[None]:
    """Keeps the profiler's own notes, which it writes past Python, off the terminal."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
