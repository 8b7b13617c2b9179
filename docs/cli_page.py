"""Writes `docs/cli.md` from what each command's `--help` prints: `python -m docs.cli_page`."""

import contextlib
import io
import os
from pathlib import Path
from unittest.mock import patch

from cyclopts import App

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

Runs and studies live in `runs/` below the working directory; `interp runs` lists them. `RUN` is a name there or a path
to a folder; left out, it is the newest. A study's name stands for its model with the auxiliary. A head is named
layer.head, as in `0.3`, both counted from 0. `interp doctor` checks the environment, and says how to get what is
missing.

**Where things go.** Progress and remarks go to stderr. A table goes to stdout, or, with `--out`, to a file:
`x.parquet`, `x.csv`, or `x.tex` for LaTeX. `--json` prints it to stdout as JSON records, with nothing else there. A
table that is shown has the columns one reads, in the width of the terminal: what all rows share stands above, and
where columns have no room, the table goes on in a second part. Off a terminal nothing is broken, unless `COLUMNS`
says how wide it is. A Parquet, CSV or JSON table has all columns. The same command on the same files writes the same
bytes.

**Completion.** `interp completion bash --install` (or `zsh`, `fish`) lets the shell complete commands, options, their
values and names of runs. Without `--install` it prints the script.

**Removing.** `interp runs remove NAME` removes a run, a study or a sweep, after asking. It refuses whatever else lies
in `runs/`, what lies elsewhere, links, and what another process is training.

**Exit codes.** 0: done. 1: done, but a cell of a sweep failed, and stderr says which, and why; or `interp doctor` found
something broken; or the answer to `interp runs remove` was no. 2: the command line, a name, a value or a file is wrong;
one line on stderr says which value, what is allowed and what to do next, and nothing half-written is left behind. 130:
interrupted; the same command goes on from the last checkpoint.
"""


def commands(app: App, *, inside: tuple[str, ...] = ()) -> list[tuple[list[str], App]]:
    """Every command that does something, with the words by which it is called, those inside of others too."""
    found: list[tuple[list[str], App]] = []
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if command.default_command is not None:
            found.append(([*inside, name], command))
        found += commands(command, inside=(*inside, name))
    return found


def cli_page() -> str:
    """The page as it should be."""
    parts = [INTRODUCTION, _section("interp", [])]
    return "\n".join([*parts, *(_section(f"interp {' '.join(words)}", words) for words, _ in commands(app))])


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
