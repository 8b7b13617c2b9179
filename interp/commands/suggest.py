"""`interp suggest`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from interp.asking.engines import Engines, chosen_engine
from interp.asking.options import Flag, Form, Many, Output, Settings
from interp.terminal.console import check_output, counting, emit, say, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyses import Suggestion, SuggestionValidation
    from tasks import Group, Member, Task
    from training.sweep import Cell

SCORES = ("combined", "map_cosine", "map_spearman", "attention", "representation", "gradient", "early_accuracy",
          "prompts")  # fmt: skip
"""What candidates can be ranked by."""

COLUMNS = ("rank", "candidate", *SCORES)
"""What a person sees of the candidates."""

GAIN_COLUMNS = ("accuracy", "alone", "gain", "gain_low", "gain_high")
"""What a person sees of what they gained."""

VALIDATION_COLUMNS = (
    "score", "kind", "spearman", "low", "high", "p", "q", "spearman_same_seed", "choice", "choice_gain", "regret",
    "regret_low", "regret_high",
)  # fmt: skip
"""What a person sees of how well the scores predicted it."""


@Parameter(name="*")
@dataclass(frozen=True)
class Pool:
    """Which tasks are candidates."""

    among: str | None = None
    """A group: its tasks but the main one. Or all: every task of the main task's family, with at least half of its
    symbols. Candidates get those of the main task's parameters that they have."""

    candidates: Annotated[tuple[str, ...], Many] = ()
    """The candidates by name, in the place of --among; with parameters in brackets one is taken as it is."""


@Parameter(name="*")
@dataclass(frozen=True)
class Evidence:
    """The cheap runs, and what is made of them."""

    seeds: int = 3
    """How many seeds each pair is trained with."""

    first_seed: int = 0
    """The first of them."""

    share: float = 0.25
    """The share of the preset's steps after which a cheap run is stopped."""

    small: Annotated[tuple[str, ...], Many] = ()
    """Keys of the preset to replace in the cheap runs only, as section.key=value: a smaller model, say."""

    n: int = 512
    """Test examples for accuracy, a multiple of 8; the mechanistic scores use half as many."""

    rank_by: Literal[
        "combined", "map_cosine", "map_spearman", "attention", "representation", "gradient", "early_accuracy", "prompts"
    ] = "early_accuracy"
    """The score that decides the ranking."""


def suggest(
    main: str,
    /,
    *,
    validate: Annotated[bool, Flag] = False,
    preset: str = "small",
    set_: Annotated[tuple[str, ...], Settings] = (),
    name: str | None = None,
    pool: Pool = Pool(),
    evidence: Evidence = Evidence(),
    form: Form = Form(),
    engines: Engines = Engines(),
    output: Output = Output(),
) -> int:
    """Rank candidate auxiliaries for a main task from short training runs, and tell how well that predicts transfer.

    Two examples:

    - `interp suggest shift --among copy+shift`
    - `interp suggest 'shift(alphabet=12)' --among all --validate`

    Args:
        main: The main task, with parameters in brackets if wanted. Named plainly, and the main task of the group in
            --among, it has the group's parameters; and the group's lengths in any case.
        validate: Train every pair to the end, and compare each score with what the main task gained.
        preset: A preset's name, or a TOML file.
        set_: Keys of the preset to replace, as section.key=value.
        name: The folder under `runs`; suggest-MAIN-PRESET if left out.

    Returns:
        The exit code: 1 if a run failed.
    """
    check_output(output)
    from analyses import Suggestion, SuggestionValidation
    from interp.terminal.sweep_table import SweepMonitor
    from training import load_preset
    from training.run_config import ROOT

    pairs, left_out = _pairs(main, pool, form)
    seeds = tuple(range(evidence.first_seed, evidence.first_seed + evidence.seeds))
    settings = load_preset(preset).override(set_)
    suggestion = Suggestion(pairs, settings, seeds, evidence.share, evidence.small, evidence.n, evidence.rank_by)
    asked = SuggestionValidation(suggestion) if validate else suggestion
    folder = ROOT / (name or f"suggest-{suggestion.main}-{Path(preset).stem}")
    engine, cells = chosen_engine(engines), asked.cells(folder)
    monitor = SweepMonitor(cells, folder.name)
    with monitor.running():
        errors = asked.train(folder, engine=engine, watcher=monitor)
    for task, reason in left_out.items():
        say(f"no candidate: {task}: {reason}")
    if _told(errors, cells, folder):
        return 1
    with counting() as bar:
        runs = asked.measure(folder, on_run=bar("runs measured"))
    if isinstance(asked, SuggestionValidation):
        _emit_validation(asked, runs, output)
    else:
        _emit_suggestion(suggestion, runs, output)
    return 0


def _pairs(main: str, pool: Pool, form: Form) -> "tuple[tuple[Group, ...], dict[str, str]]":
    """The main task with each candidate; and which related tasks are no candidates, and why."""
    from analyses.suggestion.candidates import named_tasks, pairs_of, related_tasks
    from interp.asking.groups import chosen_group
    from tasks import InvalidValueError

    if (pool.among is None) == (not pool.candidates):
        raise InvalidValueError(
            "name the candidates in one way: --among GROUP, --among all, or --candidates with their names"
        )
    group = None if pool.among in (None, "all") else chosen_group(pool.among, form)
    member, length = _main(main, group, form)
    left_out: dict[str, str] = {}
    if group is not None:
        tasks = named_tasks(group, member.task)
    elif pool.candidates:
        tasks = tuple(_candidate(text, member.task) for text in pool.candidates)
    else:
        tasks, left_out = related_tasks(member, length=length)
    return pairs_of(member, tasks, length=length), left_out


def _main(text: str, group: "Group | None", form: Form) -> "tuple[Member, int]":
    """The main task at its lengths, and the candidates' longest length."""
    from interp.asking.groups import AUXILIARY_LENGTH, MAIN_LENGTH, chosen_task
    from tasks import Member

    task = chosen_task(text)
    if form.marking is not None:
        task = dataclasses.replace(task, marking=form.marking)
    if group is not None and group.main.task.name == task.name:
        named = group.main.task if _is_plain(text) else task
        return dataclasses.replace(group.main, task=named), group.auxiliary_length
    own = MAIN_LENGTH if form.main_length is None else form.main_length
    return Member(task, own), AUXILIARY_LENGTH if form.auxiliary_length is None else form.auxiliary_length


def _candidate(text: str, main: "Task") -> "Task":
    """A candidate as it is named; with the main task's parameters, unless it is named with its own."""
    from analyses.suggestion.candidates import adapted
    from interp.asking.groups import chosen_task

    task = chosen_task(text)
    return adapted(task, main) if _is_plain(text) else dataclasses.replace(task, marking=main.marking)


def _is_plain(text: str) -> bool:
    return "(" not in text


def _told(errors: "Mapping[str, Exception]", cells: "Sequence[Cell]", folder: Path) -> bool:
    """Says how the runs ended; whether one of them failed."""
    from training.sweep.table import error_text

    for title, error in errors.items():
        say(f"failed: {title}: {error_text(error)}")
    failed = f", {len(errors)} failed" if errors else ""
    say(f"runs: {folder} ({len(cells) - len(errors)} finished{failed})")
    if errors:
        say("nothing is ranked, since that needs all runs; start the same command again to train what is missing")
    return bool(errors)


def _emit_suggestion(suggestion: "Suggestion", runs: "pd.DataFrame", output: Output) -> None:
    from analyses import suggestion_table

    table = suggestion_table(runs, rank_by=suggestion.rank_by)
    say(f"ranked by {suggestion.rank_by}; how well that predicts transfer: the same command with --validate")
    emit(table, output, columns=COLUMNS, title=_title(suggestion))


def _emit_validation(validation: "SuggestionValidation", runs: "pd.DataFrame", output: Output) -> None:
    from analyses import suggestion_table
    from analyses.suggestion.validation_table import gains_table
    from training import named_generator

    suggestion = validation.suggestion
    table = validation.table(runs, generator=named_generator(suggestion.seeds[0], "validation"))
    first = table.iloc[0]
    if not output.json and output.out is None:
        candidates = suggestion_table(runs, rank_by=suggestion.rank_by).merge(gains_table(runs), on="candidate")
        show(candidates, columns=(*COLUMNS, *GAIN_COLUMNS), title=_title(suggestion))
    say(
        f"ranked by {suggestion.rank_by}; gain: exact match at length {first['transfer_length']} after "
        f"{first['whole_steps']} steps, with the candidate less alone"
    )
    say(
        f"p: {first['null']} of {first['candidates']} candidates ({first['permutations']}), so never below "
        f"{first['smallest_p']:.2g}; q: over the scores"
    )
    say(_yardsticks(first))
    title = f"{suggestion.main}: how well each score predicted the gain, over {first['candidates']} candidates"
    emit(table, output, columns=VALIDATION_COLUMNS, title=title)


def _yardsticks(row: "pd.Series[Any]") -> str:
    """Which runs score and gain are of, and between what a regret lies."""
    chance = f"{row['random_regret']:.3f} if chance chooses"
    if row["seeds"] == 1:
        return f"one seed, so score and gain are of the same runs; regret: {chance}"
    return (
        f"the gains of each seed are compared with the scores of the others; regret: {row['oracle_regret']:.3f} if the "
        f"others' gains choose, {chance}"
    )


def _title(suggestion: "Suggestion") -> str:
    early, whole = (getattr(suggestion.trials[0], run).train.steps for run in ("early", "whole"))
    seeds = f"{len(suggestion.seeds)} seed{'s' if len(suggestion.seeds) > 1 else ''}"
    length = suggestion.pairs[0].main.max_length
    return (
        f"{suggestion.main}: candidates ranked by {suggestion.rank_by}, at length {length} after {early} of {whole} "
        f"steps, {seeds}"
    )
