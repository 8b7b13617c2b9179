"""Writes `docs/cli.md` from what each command's `--help` prints: `python -m docs.cli_page`."""

import contextlib
import io
import os
from pathlib import Path
from unittest.mock import patch

from interp.cli import app, run

PAGE = Path(__file__).with_name("cli.md")

INTRODUCTION = """\
# The command line

<!-- Made by `python -m docs.cli_page`; a test compares it with what the commands print. -->

Two commands on a fresh machine lead from nothing to a page that shows transfer and shared heads:

```console
$ make demo                            # or, installed: interp demo
$ interp study copy+shift --seed 1     # the same with another seed, or another group
```

Runs and studies live in `runs/` below the working directory. `RUN` is a name there or a path to a folder; left out, it
is the newest. A study's name stands for its model with the auxiliary.

**Where things go.** Progress and remarks go to stderr. A table goes to stdout, or, with `--out x.parquet` or
`--out x.csv`, to a file; `--json` prints it to stdout as JSON records, with nothing else there. A table that is shown
has the columns one reads; a written one has all of them. The same command on the same files writes the same bytes.

**Exit codes.** 0: done. 1: done, but a cell of a sweep failed; stderr says which, and why. 2: the command line, a name,
a value or a file is wrong; one line on stderr says which value, what is allowed and what to do next, and nothing
half-written is left behind. 130: interrupted; the same command goes on from the last checkpoint.
"""


def cli_page() -> str:
    """The page as it should be."""
    commands = [name for name in app if not name.startswith("-")]
    parts = [INTRODUCTION, _section("interp", [])]
    return "\n".join([*parts, *(_section(f"interp {name}", [name]) for name in commands)])


def _section(title: str, arguments: list[str]) -> str:
    shown = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "100"}), contextlib.redirect_stdout(shown):
        code = run([*arguments, "--help"])
    if code != 0:
        raise RuntimeError(f"{title} --help ended with exit code {code}")
    lines = "\n".join(line.rstrip() for line in shown.getvalue().strip().splitlines())
    return f"## `{title}`\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
