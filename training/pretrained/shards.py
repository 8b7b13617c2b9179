"""A checkpoint's weights: safetensors in one file or several, checked by their headers, read one tensor at a time."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError
from training.pretrained.fields import FETCH_AGAIN, Fields

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_GREATEST_HEADER = 100_000_000
"""What safetensors itself allows; a greater number means that the file is something else."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor stands.

    Attributes:
        file: The file.
        shape: The tensor's shape.
        dtype: Its type, as safetensors names it.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Shards:
    """Every tensor of a checkpoint, by name; nothing is read before it is asked for.

    Attributes:
        folder: The checkpoint's folder.
        entries: Where each tensor stands.
    """

    folder: Path
    entries: Mapping[str, Entry]

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Reads the headers of all files, and holds them against the files' sizes and the index.

        Raises:
            BrokenRunError: A file is missing, truncated or no safetensors, or the index names what is not there.
            InvalidValueError: The weights are pickled, quantised, or outside the folder.
        """
        if (folder / WHOLE).is_file():
            return cls(folder, _header(folder / WHOLE))
        if not (folder / INDEX).is_file():
            raise _no_weights(folder)
        fields = Fields.read(folder / INDEX)
        places = fields.inner("weight_map")[1]
        names = sorted({str(name) for name in places.values()})
        outside = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
        if outside or not names:
            raise fields.refused(
                "weight_map", f"names of .safetensors files in the folder are needed, not {outside[:1]}"
            )
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise BrokenRunError(
                f"{str(folder / missing[0])!r} is missing, one of the {len(names)} shards that {INDEX} names; "
                f"{FETCH_AGAIN}"
            )
        entries = {name: entry for file in names for name, entry in _header(folder / file).items()}
        for name, file in places.items():
            if name not in entries or entries[name].file.name != file:
                raise BrokenRunError(
                    f"{str(folder / file)!r} lacks {name!r}, which {INDEX} places there; {FETCH_AGAIN}"
                )
        return cls(folder, entries)

    def tensor(self, name: str) -> Shaped[Tensor, "..."]:
        """One tensor, in the file's type, read from the file as it is used.

        Raises:
            BrokenRunError: The file is gone, or damaged in a way that its header's size does not show.
        """
        path = self.entries[name].file
        try:
            with safe_open(path, framework="pt") as file:  # opened anew, so that nothing stays mapped
                return file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise BrokenRunError(f"{str(path)!r} cannot be read ({error}); {FETCH_AGAIN}") from None


def _header(file: Path) -> dict[str, Entry]:
    """Where the tensors of a file stand."""
    header = _read_header(file)
    entries = {}
    for name, values in header.items():
        shape, dtype = tuple(values["shape"]), values["dtype"]
        if dtype not in _BYTES:
            raise InvalidValueError(
                f"{str(file)!r}: weight {name!r} has type {dtype}: quantised weights cannot be loaded; allowed are "
                f"{', '.join(_BYTES)}; choose a checkpoint that is not quantised"
            )
        entries[name] = Entry(file, shape, dtype)
    return entries


def _read_header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: 8 bytes that tell its length, then JSON; then come the tensors."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(b"version "):
            raise BrokenRunError(f"{str(file)!r} is a Git LFS pointer, not the weights; run 'git lfs pull' there")
        if len(start) < 8 or not 2 <= length <= _GREATEST_HEADER:
            raise BrokenRunError(f"{str(file)!r} is no safetensors file ({size:,} bytes); {FETCH_AGAIN}")
        text = opened.read(length)
    if len(text) < length:
        raise _truncated(file, size, 8 + length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        wrong = [name for name, entry in header.items() if not _fits(entry)]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise BrokenRunError(f"{str(file)!r} has no safetensors header; {FETCH_AGAIN}") from None
    if size < 8 + length + end:
        raise _truncated(file, size, 8 + length + end)
    if wrong:
        raise BrokenRunError(f"{str(file)!r}: weight {wrong[0]!r} has another size than its shape says; {FETCH_AGAIN}")
    return header


def _fits(entry: Mapping[str, Any]) -> bool:
    first, last = entry["data_offsets"]
    each = _BYTES.get(entry["dtype"])
    return each is None or last - first == math.prod(entry["shape"]) * each


def _truncated(file: Path, size: int, needed: int) -> BrokenRunError:
    return BrokenRunError(f"{str(file)!r} is truncated: {size:,} bytes of {needed:,}; {FETCH_AGAIN}")


def _no_weights(folder: Path) -> BrokenRunError | InvalidValueError:
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        return InvalidValueError(
            f"{str(folder / pickled[0])!r} is pickled, and unpickling can run any code, so it is never read; "
            "fetch or convert the checkpoint as safetensors"
        )
    return BrokenRunError(f"{str(folder)!r} has neither {WHOLE} nor {INDEX}, so no weights; {FETCH_AGAIN}")
