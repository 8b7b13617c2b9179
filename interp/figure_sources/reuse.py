"""The data of `interp figure reuse`: the tables of a study over seeds."""

from interp.asking.figure_options import Asked
from interp.figure_sources.drawn import Drawn
from interp.paper import reuse_figure
from interp.studies.seeds import read_results
from training.finding import find_sweep
from training.run_config import run_name


def reuse(asked: Asked) -> Drawn:
    """The figure of a study over seeds; its numbers are the associations of all seeds together."""
    folder = find_sweep(asked.source)
    results = read_results(folder)
    table = results.association[results.association["level"] == "pooled"].reset_index(drop=True)
    columns = ("condition", "auxiliary", "quantity", "metric", "outcome", "spearman", "detrended", "p", "q")
    title = f"{folder.name}: reuse and transfer over training"
    return Drawn(
        reuse_figure(results, width=asked.look.width or "page"), table, columns, title, folder, run_name(folder)
    )
