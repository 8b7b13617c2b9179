"""Row 8: linear probes, all at once, against a loop of scikit-learn's LogisticRegression."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from torch import Generator, Tensor

from analyses.probing import get_label
from analyses.probing.activations import ProbeSite, activations, places, standardised
from analyses.probing.fit import Fitting
from analyses.probing.logistic import fit_probes
from benchmarks.rounds import Contender, Spread, run_rounds
from tasks import get_task
from training import HookedTransformer, ModelConfig, named_generator

PROBES, EXAMPLES, FEATURES, CLASSES = 64, 3_000, 64, 10

SITES: tuple[ProbeSite, ...] = ("attn_out", "resid_mid", "mlp_out", "resid_post")

LENGTH = 10
"""Numbers in a sequence: 11 tokens of each example have a label."""

FITTING = Fitting()
"""Ours: lambda 1 and tolerance 1e-4, as scikit-learn's defaults, C = 1 and tol = 1e-4, are."""

TIGHT = 1e-6
"""The other tolerance that scikit-learn is timed at."""

Features = Float[Tensor, "probe batch d"]
Labels = Int[Tensor, "probe batch"]


@dataclass(frozen=True)
class Probed:
    """One kind of features.

    Attributes:
        kind: `activations`: what the sites of a model with fresh weights hold of sequences of numbers, to be told the
            smallest number so far. `noise`: all directions vary alike, and labels depend on them linearly, with chance:
            as easy for any solver as can be.
        seconds: Of ours: all probes.
        default: Of scikit-learn at its own tolerance.
        tight: Of scikit-learn at `TIGHT`.
        over_default: How many times faster ours is than the first.
        over_tight: The same for the second.
        difference: The greatest difference between both accuracies of a probe, on other examples.
    """

    kind: str
    seconds: Spread
    default: Spread
    tight: Spread
    over_default: Spread
    over_tight: Spread
    difference: float


@dataclass(frozen=True)
class Probes:
    """What probes cost.

    Attributes:
        kinds: Each kind of features.
    """

    kinds: tuple[Probed, ...]

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        sizes = {"probes": PROBES, "examples": EXAMPLES, "features": FEATURES, "classes": CLASSES}
        return {"title": "probing", **sizes, **asdict(self)}


def measure_probing(*, seconds: float) -> Probes:
    """Checks that both find probes of one accuracy, then times both."""
    return Probes(tuple(_measure(kind, seconds=seconds / 2) for kind in ("activations", "noise")))


def _measure(kind: str, *, seconds: float) -> Probed:
    features, labels = drawn(kind)
    train, test = ((features[:, part], labels[:, part]) for part in (slice(EXAMPLES), slice(EXAMPLES, None)))
    difference = check_equal(train, test)
    ways: dict[str, Callable[[int], object]] = {
        "ours": lambda _unit: fit_probes(*train, classes=CLASSES, fitting=FITTING),
        "default": partial(scikit_loop, *train, FITTING.tolerance),
        "tight": partial(scikit_loop, *train, TIGHT),
    }
    rounds = run_rounds([Contender(name, work) for name, work in ways.items()], seconds=seconds)
    spent = {name: Spread.of(rounds.seconds[name]) for name in ways}
    default, tight = (rounds.ratio("ours", over=name) for name in ("default", "tight"))
    return Probed(kind, spent["ours"], spent["default"], spent["tight"], default, tight, difference)


def drawn(kind: str) -> tuple[Features, Labels]:
    """Examples to train and, behind them, as many to test on; each coordinate is standardised, as probes get them."""
    generator = named_generator(0, "probing", kind)
    if kind == "activations":
        return _activations(generator)
    features = torch.randn(PROBES, 2 * EXAMPLES, FEATURES, generator=generator)
    logits = features @ torch.randn(PROBES, FEATURES, CLASSES, generator=generator)
    logits *= 2.5 / logits.std(dim=(1, 2), keepdim=True)
    chance = -torch.empty_like(logits).exponential_(generator=generator).log()
    return features, (logits + chance).argmax(dim=2)


def _activations(generator: Generator) -> tuple[Features, Labels]:
    task = get_task("sort", numbers=CLASSES)
    config = ModelConfig.read(
        {
            "d_vocab": len(task.vocabulary), "n_layers": -(-PROBES // len(SITES)), "n_heads": 4, "d_model": FEATURES,
            "d_mlp": 2 * FEATURES, "initializer_range": 0.2,
        }
    )  # fmt: skip
    model = HookedTransformer(config, vocabulary=task.vocabulary, generator=generator)
    batch = task.sample(2 * EXAMPLES // LENGTH, length=LENGTH, generator=generator)
    labels = get_label("minimum").values(task, batch)[:, :-1]
    rows, positions = (part[: 2 * EXAMPLES] for part in (labels > 0).nonzero().unbind(dim=1))
    chosen = places(SITES, config, of_heads=False)[:PROBES]
    held = activations(model, batch, chosen, rows=rows, positions=positions, token_budget=4096)
    features = standardised(held, training=torch.arange(EXAMPLES))
    return features, (labels[rows, positions] - 1).expand(PROBES, -1)


def scikit_loop(features: Features, labels: Labels, tolerance: float, _unit: int = 0) -> list[LogisticRegression]:
    """One probe after the other."""
    settings: dict[str, Any] = {"C": 1 / FITTING.l2, "tol": tolerance, "max_iter": 10_000}
    pairs = zip(features.numpy(), labels.numpy(), strict=True)
    return [LogisticRegression(**settings).fit(one, classes) for one, classes in pairs]


def check_equal(train: tuple[Features, Labels], test: tuple[Features, Labels]) -> float:
    """The greatest difference in accuracy; raises RuntimeError for half a point, or a probe without an end."""
    ours = fit_probes(*train, classes=CLASSES, fitting=FITTING)
    if not bool(ours.converged.all()):
        raise RuntimeError("a probe has not converged")
    right = (ours.logits(test[0]).argmax(dim=2) == test[1]).double().mean(dim=1)
    greatest = 0.0
    for tolerance in (FITTING.tolerance, TIGHT):
        for place, peer in enumerate(scikit_loop(*train, tolerance)):
            score = float(peer.score(test[0][place].numpy(), test[1][place].numpy()))
            greatest = max(greatest, abs(score - float(right[place])))
    if greatest >= 0.005:
        raise RuntimeError(f"accuracies differ by {greatest:.4f}")
    return greatest


def print_probing(console: Console, found: Probes) -> None:
    """One table."""
    sizes = f"{PROBES} probes of {EXAMPLES:,} x {FEATURES}, {CLASSES} classes"
    table = Table(title=f"linear probes: {sizes}", title_justify="left")
    headings = ("features", "ours, s", "scikit-learn, s", f"tol {TIGHT:g}, s", "faster by", f"than tol {TIGHT:g} by")
    for heading in (*headings, "accuracies differ by"):
        table.add_column(heading, justify="left" if heading == "features" else "right")
    for one in found.kinds:
        seconds = [f"{spent.median:.2g}" for spent in (one.seconds, one.default, one.tight)]
        ratios = [
            f"{ratio.median:.1f}x ({ratio.low:.1f}-{ratio.high:.1f})" for ratio in (one.over_default, one.over_tight)
        ]
        table.add_row(one.kind, *seconds, *ratios, f"{one.difference:.4f}")
    console.print(table)
