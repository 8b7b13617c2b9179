"""The data of `interp figure attention`: patterns of heads on one prompt of each task."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyses import Head
from analyses.heads import check_heads
from analyses.reuse.shared_heads import attention_example, top_shared_heads
from analyses.transfer.study_results import AttentionExample
from interp.asking.figure_options import Asked
from interp.figure_sources.drawn import Drawn, asked_run, effects_of, length_of, tasks_of, which
from interp.paper import attention_figure
from tasks import InvalidValueError
from training import Run, named_generator

_SHARED = 3


def attention(asked: Asked) -> Drawn:
    """Patterns of chosen heads; tasks that read the same prompts show the same one."""
    run = asked_run(asked)
    names, length, measured = tasks_of(asked, run, most=2), length_of(asked, run), which(asked, n=512)
    heads = [Head.parse(text) for text in asked.special.heads] or _needed(asked, run, names)
    check_heads(heads, run.config.model)
    model, examples = run.model(measured.step, weights=measured.weights), []
    for head in heads:
        for name in names:
            generator = named_generator(measured.seed, "attention")
            batch = run.task(name).sample(1, length=length, generator=generator, stream="test")
            examples.append(attention_example(model, run.task(name), batch, head))
    width = asked.look.width or ("page" if len(heads) > 2 else "column")
    title = f"{run.name}: attention on one prompt of length {length}; each query's weights sum to 1"
    table = _weights(examples)
    columns = ("task", "layer", "head", "query", "query_token", "key", "key_token", "weight")
    return Drawn(attention_figure(examples, width=width), table, columns, title, run.path, run.name)


def _needed(asked: Asked, run: Run, names: list[str]) -> list[Head]:
    """The heads that two tasks need most, by the loss."""
    if len(names) != 2:
        raise InvalidValueError(
            f"heads shared by {len(names)} tasks are not searched for; name heads, as in --heads 0.3 2.1"
        )
    both = effects_of(run, names, which(asked, n=512), length=length_of(asked, run), metric="nll")
    found = top_shared_heads(*both, k=_SHARED)
    if not found:
        raise InvalidValueError(
            f"no head of {run.name!r} helps both {names[0]} and {names[1]}; name heads to show, as in --heads 0.3 2.1"
        )
    return found


def _weights(examples: Sequence[AttentionExample]) -> pd.DataFrame:
    """A row for each query and key, the future left out."""
    rows = [
        {
            "task": one.task, "layer": one.layer, "head": one.head, "query": int(query),
            "query_token": one.tokens[query], "key": int(key), "key_token": one.tokens[key],
            "weight": float(one.pattern[query, key]),
        }
        for one in examples
        for query, key in np.argwhere(np.tril(np.ones(one.pattern.shape)))
    ]  # fmt: skip
    return pd.DataFrame(rows)
