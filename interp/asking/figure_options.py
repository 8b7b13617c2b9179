"""The options of `interp figure`, and which of them go with which figure."""

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Flag, Many, Tasks

Name = Literal[
    "accuracy-by-length",
    "gap-grid",
    "ablation-maps",
    "overlap",
    "reuse",
    "attention",
    "circuit",
    "primitives",
    "theory",
]


@Parameter(name="*")
@dataclass(frozen=True)
class Look:
    """How the figure looks, and where it goes."""

    format: Literal["svg", "pdf", "png", "pgf"] = "svg"
    """Vector (svg, pdf), pixels (png, 300 per inch), or pgf, which LaTeX reads and sets in the document's font."""

    width: Literal["column", "page"] | None = None
    """One column of a two-column paper (3.3 inches), or both (6.9); what suits the figure if left out."""

    out: Path | None = None
    """The file; SOURCE/figures/NAME.FORMAT if left out. The numbers go beside it."""

    json: Annotated[bool, Flag] = False
    """Print the numbers to stdout as JSON records, too."""


@Parameter(name="*")
@dataclass(frozen=True)
class Measure:
    """What is measured, where the figure's own way is not wanted."""

    tasks: Annotated[tuple[str, ...], Tasks] = ()
    """The tasks; the run's own if left out (overlap, attention and circuit: its first two)."""

    length: int | None = None
    """The length of all examples; halfway between the tasks' longest trained lengths if left out."""

    lengths: Annotated[tuple[int, ...], Many] = ()
    """Of accuracy-by-length and theory: the lengths."""

    metric: str | None = None
    """accuracy, token_accuracy, nll, logit_difference or kl."""

    n: int | None = None
    """Examples per task and length."""

    seed: int | None = None
    """Seeds the examples (and shuffles); 0 if left out."""

    weights: str | None = None
    """averaged, raw, or averaged-DECAY; averaged if left out."""

    step: int | None = None
    """The checkpoint's step; the last one if left out."""


@Parameter(name="*")
@dataclass(frozen=True)
class Special:
    """What single figures take."""

    heads: Annotated[tuple[str, ...], Many] = ()
    """Of attention: the heads, as 0.3 2.1; the three that both tasks need most if left out."""

    edges: Literal["EAP-IG", "paths"] | None = None
    """Of circuit: edges weighed by EAP-IG (fast, the default), or by path patching (exact)."""

    size: float | None = None
    """Of circuit: its share of the model's edges; so many that about 40 are drawn if left out."""

    paper: Annotated[bool, Flag] = False
    """Of gap-grid: show the first paper's table beside."""

    precisions: Annotated[tuple[str, ...], Many] = ()
    """Of theory: the precisions, as float32 bfloat16 4bit."""

    noises: Annotated[tuple[float, ...], Many] = ()
    """Of theory: standard deviations of noise on the attention logits."""

    code: Literal["relative", "absolute"] | None = None
    """Of theory: how a head weighs number y at number x: by y - x, or by y alone (the default)."""


_HEADS = ("tasks", "length", "metric", "n", "seed", "weights", "step")

GOES: dict[str, tuple[str, ...]] = {
    "accuracy-by-length": ("tasks", "lengths", "n", "seed", "weights", "step"),
    "gap-grid": ("n", "weights", "paper"),
    "ablation-maps": _HEADS,
    "overlap": _HEADS,
    "reuse": (),
    "attention": ("tasks", "length", "seed", "weights", "step", "heads"),
    "circuit": (*_HEADS, "edges", "size"),
    "primitives": ("tasks", "length", "n", "seed", "weights", "step"),
    "theory": ("lengths", "n", "seed", "precisions", "noises", "code"),
}
"""The options of each figure, besides those of its look."""


@dataclass(frozen=True)
class Asked:
    """A figure as it was asked for.

    Attributes:
        name: The figure.
        source: The run, study or sweep as it was named; None is the newest.
        look: How it looks.
        measure: What is measured.
        special: What this figure alone takes.
    """

    name: Name
    source: str | None
    look: Look
    measure: Measure
    special: Special

    def check(self) -> None:
        """Raises InvalidValueError for an option that the figure has not."""
        from tasks import InvalidValueError

        for name in self._given():
            if name not in GOES[self.name]:
                others = ", ".join(figure for figure, options in GOES.items() if name in options)
                raise InvalidValueError(
                    f"--{name} goes with {others}; figure {self.name!r} has no such option: leave it out"
                )

    def command(self, source: str) -> str:
        """The command that draws the same figure from a source that is named."""
        words = ["interp", "figure", self.name, *([source] if source else [])]
        given = {**self._given(), "format": self.look.format, "width": self.look.width}
        for name, value in given.items():
            if isinstance(value, tuple):
                words += [f"--{name}", *map(str, value)]
            elif value is not None:
                words += [f"--{name}", *([] if value is True else [str(value)])]
        return shlex.join([*words, *(["--out", str(self.look.out)] if self.look.out else [])])

    def _given(self) -> dict[str, object]:
        """The options that were given, in their order."""
        return {
            field.name: value
            for group in (self.measure, self.special)
            for field in fields(group)
            if (value := getattr(group, field.name)) != field.default
        }
