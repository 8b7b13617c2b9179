"""Classes in files of the user's own: `my_file.py:MyTask`."""

import importlib.util
import re
import sys
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from tasks.errors import InterpError, InvalidValueError, unknown_name

_NAMED = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")


def is_file(name: str) -> bool:
    """Whether a name has the form of a class in a file, `my_file.py:MyTask`."""
    return _NAMED.fullmatch(name) is not None


def load_class(name: str) -> object:
    """What stands under that name in that file; the file is executed the first time it is asked for.

    Args:
        name: `my_file.py:MyTask`, the file relative to the working directory.

    Raises:
        InvalidValueError: The name has another form, there is no such file, or executing it fails.
        UnknownNameError: The file defines nothing of that name.
    """
    found = _NAMED.fullmatch(name)
    if not found:
        raise InvalidValueError(f"{name!r} names no class in a file; write it like my_file.py:MyTask")
    path = Path(found["file"])
    if not path.is_file():
        raise InvalidValueError(f"there is no file {str(path)!r} in {str(Path.cwd())!r}; check the path in {name!r}")
    module = _module(path)
    if not hasattr(module, found["name"]):
        defined = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        listing = f"{str(path)!r} defines {', '.join(defined) or 'no class'}"
        raise unknown_name("class", found["name"], defined, listing=listing)
    return getattr(module, found["name"])


def _module(path: Path) -> ModuleType:
    """The file as a module, under a name that its place in the file system makes unique."""
    digest = blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    name = f"interp_own_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidValueError(f"{str(path)!r} is no Python file; write the task in a file that ends with .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # the file may import its neighbours
    try:
        spec.loader.exec_module(module)
    except InterpError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidValueError(f"{str(path)!r} cannot be used: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module
