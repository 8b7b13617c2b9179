"""Writing files so that a reader finds the old one, the new one or none, never half of one."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError

AGAIN = "remove the folder and train it again"
ELSEWHERE = "; choose another place"


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Calls `write` with a temporary name beside `path`, then renames; a failed write leaves nothing.

    Raises:
        InvalidValueError: The place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidValueError(f"cannot write {str(path)!r}: {reason}{ELSEWHERE}") from None
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
    return path


def remove_parts(folder: Path) -> None:
    """Removes what a writer that was killed left in a folder."""
    for part in folder.rglob(".*"):
        if part.is_file():
            part.unlink()


def write_json(path: Path, values: Mapping[str, Any]) -> Path:
    """Writes JSON, keys in their order, a new line at the end."""
    return write_whole(path, lambda part: part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BrokenRunError: The file is missing, or not a whole JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenRunError(f"{str(path)!r} is missing: the run is not whole; {AGAIN}") from None
    except (OSError, ValueError) as error:
        raise BrokenRunError(f"{str(path)!r} cannot be read ({error}); {AGAIN}") from None
    if not isinstance(values, dict):
        raise BrokenRunError(f"{str(path)!r} holds no JSON object; {AGAIN}")
    return values


def write_table(path: Path, table: pd.DataFrame) -> Path:
    """Writes a table as Parquet."""
    return write_whole(path, lambda part: table.to_parquet(part, index=False))


def read_table(path: Path) -> pd.DataFrame:
    """Reads a Parquet table.

    Raises:
        BrokenRunError: The file is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise BrokenRunError(f"{str(path)!r} is missing: the run is not whole; {AGAIN}") from None
    except (OSError, ValueError) as error:
        raise BrokenRunError(f"{str(path)!r} is damaged ({str(error).splitlines()[0]}); {AGAIN}") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Writes tensors as safetensors."""
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return write_whole(path, lambda part: save_file(whole, part))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads safetensors.

    Raises:
        BrokenRunError: The file is missing, truncated or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise BrokenRunError(f"{str(path)!r} is missing: the run is not whole; {AGAIN}") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise BrokenRunError(f"{str(path)!r} is damaged ({error}); {AGAIN}") from None
