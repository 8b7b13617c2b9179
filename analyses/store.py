"""Results on disk, keyed by all they depend on: asking again reads them, and a changed question is a new file."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from tasks import BrokenRunError
from training import HookedTransformer
from training.files import read_table, write_table


def result_digest(key: Mapping[str, object]) -> str:
    """A digest of what a result depends on: weights, parameters, task versions."""
    text = json.dumps(key, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def weights_digest(model: HookedTransformer) -> str:
    """A digest of a model's weights, whatever device they are on and whether they came from a file."""
    digest = hashlib.blake2b(digest_size=8)
    for name, weight in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def result_path(folder: Path, name: str, key: Mapping[str, object]) -> Path:
    """Where the table of that key is kept."""
    return folder / f"{name}-{result_digest({'name': name, **key})}.parquet"


def stored_table(
    folder: Path, name: str, key: Mapping[str, object], compute: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """The table of that key, read from `folder/name-DIGEST.parquet` if it is there, else computed and written.

    A damaged file is computed anew. The table is the same either way: it is always read back.
    """
    path = result_path(folder, name, key)
    if path.is_file():
        try:
            return read_table(path)
        except BrokenRunError:
            path.unlink()
    write_table(path, compute())
    return read_table(path)
