"""The packages that the toolkit needs, and those of its extras: what is installed, what is needed, what was tested."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from interp.doctor.checkup import Finding

NAME = "interp-toolkit"
CHECKOUT = Path(__file__).parents[2]
"""Where the sources are, if the toolkit was not installed from a wheel."""

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:>=\s*(?P<oldest>[\w.]+))?\s*(?:;\s*extra\s*==\s*['\"](?P<extra>\w+)['\"])?"
)


@dataclass(frozen=True)
class Requirement:
    """A package that is needed.

    Attributes:
        name: Its name in the package index.
        oldest: The oldest version that works; empty if any does.
    """

    name: str
    oldest: str

    @property
    def installed(self) -> str:
        """The version that is there; empty if there is none."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return ""

    @property
    def works(self) -> bool:
        """Whether it is there, and new enough."""
        return bool(self.installed) and _numbers(self.installed) >= _numbers(self.oldest)


def packages() -> Iterator[Finding]:
    """Every package that is needed, its version beside the one that was tested."""
    needed, _ = requirements()
    tested = _tested()
    for one in needed:
        exact = tested.get(_plain(one.name), "")
        wanted = f"{one.oldest} or newer" + (f", tested {exact}" if exact else "")
        if not one.works:
            yield Finding(f"package {one.name}", "broken", one.installed or "not there", wanted, _install(""))
        elif exact and one.installed.split("+")[0] != exact:
            advice = f"newer or older than tested: {_install('')} gives the tested one"
            yield Finding(f"package {one.name}", "note", one.installed, wanted, advice)
        else:
            yield Finding(f"package {one.name}", "ok", one.installed, wanted)


def extras() -> Iterator[Finding]:
    """Every extra: whether its packages are there, and the command that gets them."""
    _, found = requirements()
    for name, parts in found.items():
        lacking = [part.name for part in parts if not part.works]
        if lacking:
            yield Finding(f"extra {name}", "missing", f"lacks {', '.join(lacking)}", "", _install(name))
        else:
            yield Finding(f"extra {name}", "ok", f"{len(parts)} of {len(parts)} packages")


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What is needed, and what each extra needs: from the sources where they are, else from what was installed."""
    file = CHECKOUT / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras: Mapping[str, list[str]] = project["optional-dependencies"]
        texts = [*project["dependencies"], *(f"{one}; extra == '{name}'" for name in extras for one in extras[name])]
    else:
        texts = requires(NAME) or []
    needed: list[Requirement] = []
    found: dict[str, list[Requirement]] = {}
    for text in texts:
        match = _REQUIREMENT.match(text)
        if match is not None:
            one = Requirement(match["name"], match["oldest"] or "")
            (needed if match["extra"] is None else found.setdefault(match["extra"], [])).append(one)
    return needed, found


def _tested() -> dict[str, str]:
    """The exact versions that the tests run on, where the sources are."""
    file = CHECKOUT / "constraints.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {_plain(name): exact.strip() for name, exact in pairs}


def _install(extra: str) -> str:
    """The command that installs what is needed, or an extra."""
    part = f"[{extra}]" if extra else ""
    command = [sys.executable, "-m", "pip", "install"]
    if (CHECKOUT / "pyproject.toml").is_file():
        limits = CHECKOUT / "constraints.txt"
        return shlex.join([*command, *(["-c", str(limits)] if limits.is_file() else []), "-e", f"{CHECKOUT}{part}"])
    return shlex.join([*command, "--upgrade", f"{NAME}{part}"])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(text: str) -> tuple[int, ...]:
    found = [int(part) for part in re.findall(r"\d+", text.partition("+")[0])][:3]
    return tuple(found + [0] * (3 - len(found)))
