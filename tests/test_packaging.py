"""The project's files agree: versions, constraints, packages, file sizes; and the command line starts light."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ["tasks", "training", "analyses", "interp"]
HEAVY = ["torch", "numpy", "pandas", "pyarrow", "scipy", "transformer_lens", "plotly", "matplotlib", "circuitsvis"]
MEBIBYTE = 1 << 20

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DIRECT = [
    Requirement(line) for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
]


def constraint_lines() -> list[str]:
    return [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]


def read_constraints() -> dict[str, str]:
    pairs = [line.split("==") for line in constraint_lines()]
    return {canonicalize_name(name): version for name, version in pairs}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_constraints_satisfy_the_lower_bound(requirement: Requirement) -> None:
    pins = read_constraints()
    name = canonicalize_name(requirement.name)
    assert name in pins, f"{requirement.name} has no line in constraints.txt"
    assert requirement.specifier.contains(pins[name]), f"constraints.txt has {pins[name]}, pyproject.toml {requirement}"


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_dependency_states_a_lower_bound(requirement: Requirement) -> None:
    assert [clause.operator for clause in requirement.specifier] == [">="]


def test_constraints_name_each_project_once() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line) for line in constraint_lines())
    assert len(read_constraints()) == len(constraint_lines())


def test_changelog_begins_with_the_version() -> None:
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("no CHANGELOG.md yet")
    headings = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)", changelog.read_text(), flags=re.MULTILINE)
    assert headings[0] == PROJECT["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_what_it_holds(package: str) -> None:
    for init in (ROOT / package).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text())), f"{init.relative_to(ROOT)} has no docstring"
    assert (ROOT / package / "__init__.py").exists()
    assert (ROOT / package / "py.typed").exists()


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")}
    missing = [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()]
    assert missing == []


def test_no_large_file_is_tracked() -> None:
    large = [
        f"{path.relative_to(ROOT)}: {size} B" for path in tracked_files() if (size := path.stat().st_size) > MEBIBYTE
    ]
    assert large == []


def test_command_line_starts_without_heavy_libraries() -> None:
    code = f"import sys, interp.cli; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert shown.stdout.split() == []
