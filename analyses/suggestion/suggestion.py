"""Candidate auxiliaries of a main task, ranked from cheap evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analyses.suggestion.candidates import main_alone
from analyses.suggestion.ranking import RANK_BY, RUN_COLUMNS, check_ranking, suggestion_table
from analyses.suggestion.scores import PARTS, WEIGHTS, Ranking, main_accuracy, mechanistic_scores
from analyses.suggestion.trials import ALONE, Trial, refuse_failed, train_trials
from tasks import Group, InvalidValueError, same_prompts
from training import Preset, Serial, Watcher
from training.conditions import transfer_length
from training.sweep import Cell, Engine

_SERIAL, _SILENT = Serial(), Watcher()


@dataclass(frozen=True)
class Suggestion:
    """Ranks candidate auxiliaries for a main task without training any of them to the end.

    Each pair of the main task and a candidate is trained for a share of the preset's steps, as it would be trained in
    earnest, on every seed; so is the main task alone. The scores (`suggestion.scores`) say how alike that early model
    does the two tasks, at the main task's longest length, which it was trained at in both. Whether such a score tells
    anything of transfer is a question of its own: `SuggestionValidation` answers it.

    Attributes:
        pairs: For each candidate the group of the main task with it as the only auxiliary (`suggestion.candidates`).
        preset: How the pairs are trained in earnest.
        seeds: The seeds; one is enough for a ranking, two for intervals.
        share: The share of the steps after which training is stopped, in (0, 1].
        small: Keys of the preset to replace in the cheap runs only, each `section.key=value`: a smaller model, say.
        n: Test examples for accuracy, a multiple of 8; the mechanistic scores use half as many of each task.
        rank_by: The score that decides the ranking.

    Raises:
        UnknownNameError: No such score, or the preset has a key that does not exist.
        InvalidValueError: Fewer than 2 candidates or one of them twice, groups that are no such pairs, a seed twice or
            none, a share or n that is not possible, or a configuration that contradicts itself.
    """

    pairs: tuple[Group, ...]
    preset: Preset
    seeds: tuple[int, ...] = (0, 1, 2)
    share: float = 0.25
    small: tuple[str, ...] = ()
    n: int = 512
    rank_by: Ranking = RANK_BY

    def __post_init__(self) -> None:
        check_ranking(self.rank_by)
        _check_pairs(self.pairs)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InvalidValueError(f"seeds {', '.join(map(str, self.seeds)) or '(none)'}; name one or more, each once")
        if not 0 < self.share <= 1:
            raise InvalidValueError(f"share = {self.share} of the steps is not possible; allowed is above 0, up to 1")
        if self.n < 16 or self.n % (2 * PARTS):
            lower = max(16, self.n - self.n % (2 * PARTS))
            raise InvalidValueError(
                f"n = {self.n} examples are not possible; allowed are multiples of {2 * PARTS} from 16 on, as {lower}"
            )
        _ = self.trials

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """For each seed the main task alone, and then with each candidate."""
        presets = (self.preset.override(self.small), self.preset)
        return tuple(
            Trial.of(group, seed, presets=presets, share=self.share)
            for seed in self.seeds
            for group in (main_alone(self.pairs[0].main), *self.pairs)
        )

    @property
    def main(self) -> str:
        """The main task's name."""
        return self.pairs[0].main.task.name

    @property
    def transfer_length(self) -> int:
        """The length that transfer is measured at: halfway to the candidates' longest."""
        return transfer_length(self.pairs[0])

    def __call__(
        self,
        folder: Path | str,
        *,
        engine: Engine = _SERIAL,
        watcher: Watcher = _SILENT,
        on_run: Callable[[int, int], object] = lambda *_: None,
    ) -> pd.DataFrame:
        """Trains what is not trained yet, measures what is not measured yet, and ranks: a row per candidate.

        Args:
            folder: Where the runs are kept, those of other suggestions for the same main task among them.
            engine: What trains the runs.
            watcher: Is told what becomes of them.
            on_run: Called with how many runs are measured, and how many there are.

        Returns:
            The table of `suggestion_table`.

        Raises:
            InvalidValueError: A run failed; or the folder holds something else.
        """
        refuse_failed(self.train(folder, engine=engine, watcher=watcher), of=len(self.cells(folder)))
        return suggestion_table(self.measure(folder, on_run=on_run), rank_by=self.rank_by)

    def cells(self, folder: Path | str) -> tuple[Cell, ...]:
        """The runs that the evidence is from: whole ones where they are there and keep the early ones' last step."""
        return tuple(trial.evidence_cell(Path(folder)) for trial in self.trials)

    def train(
        self, folder: Path | str, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT
    ) -> dict[str, Exception]:
        """Trains what is not trained yet.

        Returns:
            For each run that failed, what went wrong.

        Raises:
            InvalidValueError: The folder holds something else.
        """
        return train_trials(self.cells(folder), Path(folder), engine=engine, watcher=watcher)

    def measure(self, folder: Path | str, *, on_run: Callable[[int, int], object] = lambda *_: None) -> pd.DataFrame:
        """The scores of each pair and seed, kept with the runs: a row each, as `suggestion_table` takes them.

        Raises:
            UnknownNameError: A run is not there; `train` makes it.
        """
        groups = {group.auxiliaries[0].task.name: group for group in self.pairs}
        alone, rows = 0.0, []
        for done, trial in enumerate(self.trials, start=1):
            run, step = trial.evidence(Path(folder))
            accuracy = main_accuracy(run, step, length=self.transfer_length, n=self.n, examples="test")[1]
            if trial.candidate == ALONE:  # the first of its seed
                alone = accuracy
            else:
                group = groups[trial.candidate]
                scores = mechanistic_scores(run, step, length=group.main.max_length, n=self.n // 2)
                rows.append(self._row(trial, group, {**scores, "early_accuracy": accuracy - alone}))
            on_run(done, len(self.trials))
        return pd.DataFrame(rows, columns=RUN_COLUMNS)

    def _row(self, trial: Trial, group: Group, scores: dict[str, float]) -> dict[str, object]:
        length = group.main.max_length
        same = same_prompts(group.main.task, group.auxiliaries[0].task, length=length)
        return {
            "main": self.main,
            "candidate": trial.candidate,
            "seed": trial.seed,
            **scores,
            "prompts": float(same),
            "n": self.n,
            "steps": trial.early.train.steps,
            "length": length,
            "transfer_length": self.transfer_length,
            "weights": WEIGHTS,
        }


def _check_pairs(pairs: tuple[Group, ...]) -> None:
    """Raises InvalidValueError unless the groups are pairs of one main task, at one length each, with candidates."""
    for group in pairs:
        if len(group.auxiliaries) != 1:
            raise InvalidValueError(
                f"group {group.name!r} has {len(group.auxiliaries)} auxiliaries; the candidate must be its only one"
            )
        if group.auxiliary_length <= group.main.max_length:
            raise InvalidValueError(
                f"the candidates' longest length {group.auxiliary_length} is not above the main task's "
                f"{group.main.max_length}, so there is no length to transfer to; choose a greater auxiliary length"
            )
    names = [group.auxiliaries[0].task.name for group in pairs]
    if len(names) < 2:
        raise InvalidValueError(f"{len(names)} candidate cannot be ranked ({', '.join(names)}); name 2 or more")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidValueError(f"candidate {twice[0]!r} is named twice; name each one once")
    mains = {(group.main.task.key, group.main.max_length, group.main.lengths) for group in pairs}
    if len(mains) > 1 or len({group.auxiliary_length for group in pairs}) > 1:
        raise InvalidValueError("the pairs differ in the main task or in a length; compare pairs that agree in both")
