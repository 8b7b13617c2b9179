"""Where a checkpoint is: a folder, or a name on the hub with a revision."""

import re
from pathlib import Path

from tasks import BrokenRunError, InvalidValueError

MAIN = "main"
"""The revision where none is named."""

_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+")
_FILES = ["*.json", "*.safetensors", "tokenizer.model", "*.jinja", "merges.txt"]
_OWNERS = {"SmolLM": "HuggingFaceTB", "Qwen": "Qwen", "Llama-": "meta-llama", "Mistral-": "mistralai"}
"""Who publishes the checkpoints whose names begin so, if the name is given without its owner."""


def split_place(source: str | Path) -> tuple[str, str]:
    """A folder or name, and the revision behind its last `@`, if any; a folder's own path may have an `@` in it."""
    text = str(source)
    if "@" not in text or Path(text).expanduser().is_dir():
        return text, ""
    name, _, revision = text.rpartition("@")
    return name, revision


def find_folder(source: str | Path, *, revision: str = MAIN) -> Path:
    """The folder of a checkpoint, fetched from the hub if it is a name there and not yet in the hub's own cache.

    Args:
        source: A folder, or a name such as `HuggingFaceTB/SmolLM2-360M`; the owner of SmolLM, Qwen2, Llama and Mistral
            checkpoints may be left out. `@` and a revision may follow.
        revision: A branch, tag or commit of the hub; of a folder, the folder in it that has this name.

    Raises:
        InvalidValueError: Two revisions, no such folder, or no such name or revision on the hub.
        BrokenRunError: The hub cannot be reached, and its cache lacks the checkpoint.
    """
    name, named = split_place(source)
    if named and revision not in (MAIN, named):
        raise InvalidValueError(f"{str(source)!r} names revision {named!r}, and {revision!r} was asked for; give one")
    revision, folder = named or revision, Path(name).expanduser()
    if folder.is_dir():
        inner = folder if revision == MAIN else folder / revision
        if inner.is_dir():
            return inner
        raise InvalidValueError(
            f"folder {name!r} has no revision {revision!r}: in a folder, a revision is a folder of that name; "
            f"it has {', '.join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or 'none'}"
        )
    if isinstance(source, Path) or not _NAME.fullmatch(name):
        raise InvalidValueError(f"no folder {name!r}; give a checkpoint's folder, or a name of the hub, 'owner/name'")
    owner = next((owner for start, owner in _OWNERS.items() if name.startswith(start)), "")
    return _fetched(f"{owner}/{name}" if owner and "/" not in name else name, revision)


def _fetched(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except HFValidationError as error:
        raise InvalidValueError(f"no folder {name!r}, and the hub cannot have that name: {error}") from None
    except RevisionNotFoundError:
        raise InvalidValueError(f"{name!r} has no revision {revision!r} on the hub; its page lists them") from None
    except RepositoryNotFoundError:
        raise InvalidValueError(
            f"no folder {name!r}, and the hub has none of that name that you may read; check the spelling, or log in"
        ) from None
    except (OSError, RuntimeError) as error:  # what the hub's client and the layers below it raise without a network
        folder = name.rpartition("/")[2]
        raise BrokenRunError(
            f"{name!r} at revision {revision!r} is neither a folder nor in the hub's cache, and the hub cannot be "
            f"reached ({type(error).__name__}); where there is a network, run\n"
            f"  hf download {name} --revision {revision} --exclude '*.bin' --local-dir {folder}\n"
            "bring that folder here and give its path"
        ) from None
