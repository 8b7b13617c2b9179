"""Which head implements which primitive."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor

from analyses.examples import AT_ONCE, Examples, Running
from analyses.primitives.attention_evidence import attention_evidence, exchanges
from analyses.primitives.causal_evidence import CausalEvidence, Losses, sign_flip_p
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.registry import get_primitive, primitives_of
from analyses.primitives.renaming import Renaming
from analyses.primitives.traces import LayerTrace, traces
from analyses.primitives.verdict import Least, with_verdicts
from analyses.primitives.write_evidence import ReadOut, renamings, write_evidence
from analyses.statistics.errors import standard_errors
from analyses.statistics.resampling import seed_of
from tasks import InvalidValueError, Task
from training import HookedTransformer

COLUMNS = [
    "task", "length", "primitive", "layer", "head", "verdict", "share", "share_stderr", "share_chance", "mass",
    "mass_stderr", "p_attention", "q_attention", "write_tokens", "write_values", "write_chance", "p_write", "q_write",
    "metric", "clean", "effect", "effect_stderr", "cut", "cut_stderr", "answer",
    "answer_stderr", "p_causal", "q_causal", "lens_before",
    "lens_after", "p", "q", "family", "correction", "level", "permutations", "uses", "n", "seed",
]  # fmt: skip

Used = tuple[Primitive, Uses]


@dataclass(frozen=True)
class Primitives:
    """For every head and primitive: does the head look there, does it write that, and does it matter?

    attention   share of the positions where the primitive applies (uses) whose strongest attention is a source, and
                mean attention on the sources (mass).
    write       share of uses where what the head writes from the sources ranks the yielded token first: read off the
                OV circuit (W_E, the norm's weight, W_V W_O, W_U), and off the value that stands at the source.
    causal      drop of the mean log probability of the yielded token (nats) when the head is mean-ablated (effect), and
                when only its attention to the sources is cut, the rest scaled up to 1 (cut). Measured at the output,
                where the token is due there, else by the lens behind the head's attention layer; then the cut must cost
                the answer as well.

    All are means over the uses of an example, then over the examples that have one. Every kind has a null and a p, and
    Benjamini-Hochberg runs over heads x primitives of a call. A head `implements` a primitive if all kinds together are
    significant (p: the greatest of them) and each is as large as `least` asks.
    Source: Task Hinting (the primitives of trained sorters, layer by layer); the tests and nulls are ours.

    Attributes:
        names: The primitives; none named means all that apply to the task and occur in the examples.
        permutations: Draws of each null. With T tests and one true head, q < level needs more than T / level.
        level: The false discovery rate.
        least: How large the evidence must be.

    Raises:
        UnknownNameError: No such primitive.
        InvalidValueError: A primitive named twice, permutations below 1, a level outside 0..1.
    """

    names: tuple[str, ...] = ()
    permutations: int = 5_000
    level: float = 0.05
    least: Least = Least()

    def __post_init__(self) -> None:
        for name in self.names:
            get_primitive(name)
            if self.names.count(name) > 1:
                raise InvalidValueError(f"primitive {name!r} is named twice; name each primitive once")
        if self.permutations < 1:
            raise InvalidValueError(f"permutations = {self.permutations} is not possible; allowed is 1 or more")
        if not 0 < self.level < 1:
            raise InvalidValueError(f"level = {self.level} is not possible; allowed is above 0 and below 1")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 256,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per primitive and head (columns: docs/analyses/primitives.md).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream: 2 or more.
            generator: The source of the examples and then of the nulls' draws.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided and followed.

        Raises:
            InvalidValueError: A primitive that does not apply to the task, or nowhere in the examples; n below 2, no
                such length, a vocabulary without the task's tokens, a model with hooks attached.
        """
        seed, asked = seed_of(generator), primitives_of(task, self.names)
        if n < 2:
            raise InvalidValueError(f"n = {n} examples have no mean to ablate with; allowed is 2 or more")
        examples = Examples.drawn(model, task, length=length, n=n, generator=generator, task_head=task_head)
        examples.check_model(model, before="primitives are located")
        task = task.bind(model.vocabulary)
        used = self._used(model, task, examples, asked, length=length)
        rows = list(self._rows(model, task, examples, used, generator=generator, running=running))
        table = pd.DataFrame(rows).assign(
            task=task.name, length=length, level=self.level, permutations=self.permutations, seed=seed
        )
        table = _with_causal(table, draws=self.permutations, generator=generator)
        table = with_verdicts(table, least=self.least, level=self.level)
        order = {primitive.name: place for place, (primitive, _) in enumerate(used)}
        table = table.sort_values("primitive", key=lambda names: names.map(order), kind="stable", ignore_index=True)
        return table[COLUMNS].astype({"layer": "Int64", "head": "Int64"})

    def _used(
        self, model: HookedTransformer, task: Task, examples: Examples, asked: list[Primitive], *, length: int
    ) -> list[Used]:
        """The primitives and their uses, less those of all that none of the examples has."""
        batch = examples.clean.to(model.device)
        found = [(primitive, primitive.find(task, batch)) for primitive in asked]
        used = [(primitive, uses) for primitive, uses in found if int(uses.examples.sum()) > 1]
        missing = [primitive.name for primitive, uses in found if int(uses.examples.sum()) <= 1]
        if missing and (self.names or not used):
            raise InvalidValueError(
                f"primitive {missing[0]!r} applies in fewer than 2 of {len(examples)} examples of {task.name!r} at "
                f"length {length}; use another length, or more examples"
            )
        return used

    def _rows(
        self,
        model: HookedTransformer,
        task: Task,
        examples: Examples,
        used: list[Used],
        *,
        generator: Generator,
        running: Running,
    ) -> Iterator[dict[str, Any]]:
        losses = Losses.of(model, task, examples, used, running=running)
        symbols = task.vocabulary.ids(task.symbols)
        orders = exchanges(examples.width, draws=self.permutations, generator=generator)
        maps = renamings(symbols, vocab=len(model.vocabulary), draws=self.permutations, generator=generator)
        batch = examples.clean.to(model.device)
        nulls = _Nulls(
            orders,
            maps,
            {one.name: one.renaming(task, batch, uses, maps.to(model.device)) for one, uses in used},
            ReadOut.of(model, task_head=examples.task_head),
        )
        for trace in traces(model, examples, token_budget=running.tokens(model.device)):
            for primitive, uses in used:
                yield from _of_layer(losses, primitive, uses, trace, nulls)


@dataclass(frozen=True)
class _Nulls:
    """What all heads are compared with, exchanges of keys and renamings of tokens; and how tokens are read out."""

    orders: Tensor
    maps: Tensor
    renamings: dict[str, Renaming | None]
    read_out: ReadOut


def _of_layer(
    losses: Losses, primitive: Primitive, uses: Uses, trace: LayerTrace, nulls: _Nulls
) -> Iterator[dict[str, Any]]:
    """The evidence of every head of a layer; the losses of each example stand in `effects` and `cuts`."""
    model = losses.model
    looked = attention_evidence(trace.pattern, uses, orders=nulls.orders, renaming=nulls.renamings[primitive.name])
    written = None
    if uses.yields is not None:
        batch = losses.examples.clean.to(model.device)
        contents = primitive.contents(losses.task, batch, uses)
        renamed = primitive.renamed(losses.task, nulls.maps.to(model.device))
        written = write_evidence(
            model, trace, batch.inputs, uses, read_out=nulls.read_out, contents=contents, renamed=renamed
        )
    before, after = (losses.lens(uses, resid) for resid in (trace.resid_pre, trace.resid_mid))
    for head in range(model.config.n_heads):
        loss = losses.of_head(primitive, uses, trace, head)
        yield {
            "primitive": primitive.name, "layer": trace.layer, "head": head,
            "share": looked.share[head], "share_stderr": looked.share_error[head], "share_chance": looked.chance,
            "mass": looked.mass[head], "mass_stderr": looked.mass_error[head], "p_attention": looked.p[head],
            "write_tokens": written.tokens[head] if written else float("nan"),
            "write_values": written.values[head] if written else float("nan"),
            "write_chance": written.chance[head] if written else float("nan"),
            "p_write": written.p[head] if written else float("nan"),
            "metric": "output" if primitive.name in losses.ablated else "lens",
            "clean": loss.clean.mean().item(),
            "effect": loss.effect.mean().item(), "effect_stderr": standard_errors(loss.effect).item(),
            "cut": loss.cut.mean().item(), "cut_stderr": standard_errors(loss.cut).item(),
            "answer": loss.answer.mean().item(), "answer_stderr": standard_errors(loss.answer).item(),
            "lens_before": before, "lens_after": after,
            "losses": _needed(loss, at_output=primitive.name in losses.ablated),
            "uses": int(uses.applies.sum()), "n": len(loss.clean),
        }  # fmt: skip


def _needed(loss: CausalEvidence, *, at_output: bool) -> Tensor:
    """The losses that must be there; behind a layer also the answer's, else what the head writes might be of no use."""
    return torch.stack((loss.effect, loss.cut) if at_output else (loss.effect, loss.cut, loss.answer))


def _with_causal(table: pd.DataFrame, *, draws: int, generator: Generator) -> pd.DataFrame:
    """The least of the losses that must be there, and the greatest of their p-values."""
    least, p = pd.Series(0.0, index=table.index), pd.Series(1.0, index=table.index)
    for _, part in table.groupby("primitive", sort=False):
        losses = torch.stack(part["losses"].tolist())
        tails = sign_flip_p(losses.flatten(0, 1), draws=draws, generator=generator)
        p[part.index] = tails.reshape(losses.shape[:2]).max(axis=1)
        least[part.index] = losses.mean(dim=-1).amin(dim=-1).numpy()
    return table.assign(least_loss=least, p_causal=p)
