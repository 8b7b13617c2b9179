"""Whether cheap scores predict which auxiliary helps: the pairs trained to the end, and the gains compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Generator

from analyses.suggestion.scores import main_accuracy
from analyses.suggestion.suggestion import Suggestion
from analyses.suggestion.trials import ALONE, refuse_failed, train_trials
from analyses.suggestion.validation_table import GAINED_COLUMNS, check_candidates, check_draws, validation_table
from training import Serial, Watcher, load_run
from training.sweep import Cell, Engine

_SERIAL, _SILENT = Serial(), Watcher()


@dataclass(frozen=True)
class SuggestionValidation:
    """Trains all pairs of a suggestion to the end, and tells how well each cheap score predicted what they gained.

    The gain of a candidate is the exact match of the main task at the transfer length, trained with the candidate, less
    that of the main task trained alone with the same seed: averaged weights, `suggestion.n` test examples, others than
    those of the scores. The main task alone has a vocabulary without the candidate's tokens; it is one run per seed,
    the same for all candidates. A seed's gains are compared with what the other seeds' runs say (`validation_table`).

    Where the end of an early run is a checkpoint of the whole one (`suggestion.early`), the evidence is read from
    there. So the validation costs what the whole runs cost.

    Attributes:
        suggestion: What is validated.
        bootstraps: Bootstrap samples of the candidates, and of the seeds.
        permutations: Orders of the candidates that are drawn where there are more than 8 candidates.

    Raises:
        InvalidValueError: Fewer than 3 candidates, fewer than 2 bootstrap samples, or no permutation.
    """

    suggestion: Suggestion
    bootstraps: int = 2_000
    permutations: int = 10_000

    def __post_init__(self) -> None:
        check_candidates(len(self.suggestion.pairs))
        check_draws(self.bootstraps, self.permutations)

    def __call__(
        self,
        folder: Path | str,
        *,
        generator: Generator,
        engine: Engine = _SERIAL,
        watcher: Watcher = _SILENT,
        on_run: Callable[[int, int], object] = lambda *_: None,
    ) -> pd.DataFrame:
        """Trains what is not trained yet, measures what is not measured yet, and compares: a row per score.

        Args:
            folder: Where the runs are kept; the suggestion's own folder will do.
            generator: Draws bootstrap samples, and orders of the candidates.
            engine: What trains the runs.
            watcher: Is told what becomes of them.
            on_run: Called with how many runs are measured, and how many there are.

        Returns:
            The table of `validation_table`.

        Raises:
            InvalidValueError: A run failed; or the folder holds something else.
        """
        refuse_failed(self.train(folder, engine=engine, watcher=watcher), of=len(self.cells(folder)))
        return self.table(self.measure(folder, on_run=on_run), generator=generator)

    def table(self, runs: pd.DataFrame, *, generator: Generator) -> pd.DataFrame:
        """The comparison, from what was measured."""
        return validation_table(runs, bootstraps=self.bootstraps, permutations=self.permutations, generator=generator)

    def cells(self, folder: Path | str) -> tuple[Cell, ...]:
        """All whole runs, and those early ones whose end no whole run keeps; the folder does not matter."""
        trials = self.suggestion.trials
        early = [trial.early_cell for trial in trials if not trial.is_kept]
        return (*(trial.whole_cell for trial in trials), *early)

    def train(
        self, folder: Path | str, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT
    ) -> dict[str, Exception]:
        """Trains what is not trained yet, as `Suggestion.train` does."""
        return train_trials(self.cells(folder), Path(folder), engine=engine, watcher=watcher)

    def measure(self, folder: Path | str, *, on_run: Callable[[int, int], object] = lambda *_: None) -> pd.DataFrame:
        """Scores and gains of each pair and seed: a row each, as `validation_table` takes them.

        Raises:
            UnknownNameError: A run is not there; `train` makes it.
        """
        asked = self.suggestion
        accuracy: dict[tuple[str, int], float] = {}
        for trial in asked.trials:
            run = load_run(Path(folder) / trial.whole_cell.name)
            found = main_accuracy(run, run.steps[-1], length=asked.transfer_length, n=asked.n, examples="gain")
            accuracy[trial.candidate, trial.seed] = found[0]
        runs = asked.measure(folder, on_run=on_run)
        runs["accuracy"] = [accuracy[key] for key in zip(runs["candidate"], runs["seed"], strict=True)]
        runs["alone"] = [accuracy[ALONE, seed] for seed in runs["seed"]]
        runs["gain"] = runs["accuracy"] - runs["alone"]
        runs["whole_steps"] = asked.trials[0].whole.train.steps
        return runs[GAINED_COLUMNS]
