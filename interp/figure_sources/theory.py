"""The data of `interp figure theory`: the constructed sorter over lengths, precisions and noise. It needs no run."""

from analyses import SorterTheory
from analyses.store import stored_table
from interp.asking.figure_options import Asked
from interp.figure_sources.drawn import Drawn
from interp.paper import theory_figure
from tasks import InvalidValueError
from training import named_generator
from training.run_config import ROOT

LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)
PRECISIONS = ("4bit", "6bit", "bfloat16", "float32")


def theory(asked: Asked) -> Drawn:
    """Accuracy and sharpness by length, precision, softmax and noise."""
    if asked.source is not None:
        raise InvalidValueError(
            f"figure 'theory' computes a construction and reads no run, got {asked.source!r}; leave it out"
        )
    asks, special, seed = asked.measure, asked.special, asked.measure.seed or 0
    analysis = SorterTheory(
        special.precisions or PRECISIONS, noises=special.noises or (0.0, 1.0), code=special.code or "absolute"
    )
    lengths, n = asks.lengths or LENGTHS, 8 if asks.n is None else asks.n
    table = stored_table(
        ROOT / "results", "theory", {"analysis": repr(analysis), "lengths": lengths, "n": n, "seed": seed},
        lambda: analysis(lengths=lengths, n=n, generator=named_generator(seed, "theory")),
    )  # fmt: skip
    figure = theory_figure(table, width=asked.look.width or "page")
    columns = (
        "length",
        "precision",
        "temperature",
        "beta",
        "noise",
        "n",
        "accuracy",
        "token_accuracy",
        "mass",
        "entropy",
    )
    title = f"the constructed sorter, code {analysis.code}; mass: attention on the source"
    return Drawn(figure, table, columns, title, ROOT, "")
