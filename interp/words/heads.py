"""Which heads matter to which task, in plain words and as rows of a table."""

from collections.abc import Sequence

import numpy as np

from interp.figures.heads import HeadMap, head_names
from interp.words.tables import DataTable
from interp.words.verdict import quoted

_MOST_NAMED = 12


def shared_heads(main: HeadMap, auxiliary: HeadMap) -> list[str]:
    """The heads, as "layer.head", without which both tasks do clearly worse."""
    return head_names(main.helps() & auxiliary.helps())


def heads_sentence(main: HeadMap, auxiliary: HeadMap) -> str:
    """How many heads help each task, and which help both."""
    measured = int((np.isfinite(main.effect) & np.isfinite(auxiliary.effect)).sum())
    shared = shared_heads(main, auxiliary)
    helps = "helps" if int(main.helps().sum()) == 1 else "help"
    counts = (
        f"Removed one at a time, {int(main.helps().sum())} of {measured} heads {helps} {quoted([main.task])}, "
        f"{int(auxiliary.helps().sum())} {quoted([auxiliary.task])}"
    )
    if not shared:
        return f"{counts}, and none helps both."
    names = ", ".join(shared[:_MOST_NAMED]) + (" …" if len(shared) > _MOST_NAMED else "")
    return f"{counts}, and {len(shared)} both: {names}."


def heads_table(maps: Sequence[HeadMap]) -> DataTable:
    """One row per head that matters to any task: the effect of removing it on each, largest first."""
    where = np.any([one.matters() for one in maps], axis=0)
    sizes = np.nan_to_num(np.max([np.abs(one.effect) for one in maps], axis=0))
    heads = sorted(map(tuple, np.argwhere(where).tolist()), key=lambda head: -sizes[head])
    return DataTable(
        headers=("head", *(quoted([one.task]) for one in maps)),
        rows=tuple((f"{layer}.{head}", *(_cell(one, (layer, head)) for one in maps)) for layer, head in heads),
    )


def _cell(one: HeadMap, head: tuple[int, int]) -> str:
    effect, stderr = one.effect[head], one.stderr[head]
    if np.isnan(effect):
        return "not defined"
    text = f"{effect:+.3f} ± {stderr:.3f}" if np.isfinite(stderr) else f"{effect:+.3f}"
    return text.replace("-", "−")
