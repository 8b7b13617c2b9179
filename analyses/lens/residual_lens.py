"""The residual stream after every sub-layer, read in the decoder's basis and in the encoder's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice
from analyses.examples import AT_ONCE, Examples, Running
from analyses.lens.targets import Wanted, check_targets, targets_of, wanted
from analyses.primitives.anatomy import Anatomy
from analyses.statistics.errors import standard_errors
from analyses.statistics.resampling import seed_of
from tasks import Batch, InvalidValueError, Task
from training import HookedTransformer

Basis = Literal["decoder", "encoder", "encoder_cosine"]
"""`decoder`: W_U, the logit lens; `encoder`: dot products with the rows of W_E; `encoder_cosine`: their cosines."""

LensNorm = Literal["final", "none"]
"""Whether the stream goes through the final norm before it is read."""

COLUMNS = [
    "task", "length", "layer", "site", "basis", "norm", "positions", "target", "rank", "rank_stderr", "probability",
    "probability_stderr", "value", "value_stderr", "tokens", "n", "seed",
]  # fmt: skip

CLASSES = ("prompt", "end", "answer")
"""Position classes: the prompt's symbols, the end of the input, and the answer's tokens that are read."""

_SMALL = 1e-12


@dataclass(frozen=True)
class ResidualLens:
    """How the residual stream ranks some tokens, after the embedding, each attention and each MLP.

    A read-out gives every token of the vocabulary a number: with x the stream, perhaps normalised,

        decoder          x W_U + b_U, the logit lens
        encoder          x . W_E[token]
        encoder_cosine   the same, divided by both lengths (0 where one is 0)

    Of each target the table has the rank (1 + tokens with a greater read-out; ties count half), the probability
    (softmax over the vocabulary) and the read-out itself. Of a target of several tokens: the rank of the last of them
    among the tokens that are not of the target (1: all of them come first), the sum of their probabilities, and the
    mean read-out.
    All are means over the positions of a class in an example, then over the examples that have one.
    Source: nostalgebraist 2020, interpreting GPT: the logit lens; Task Hinting (encoder and decoder basis).

    Attributes:
        targets: `same`: the token at the position; `target`: the scored token that follows; for tasks on numbers
            `minimum`: the smallest element seen; `successor`: the next larger element seen; `identity_successor`: the
            element and the next larger one together. None named means all that the task has.
        bases: Which bases.
        norms: With the final norm, without it, or both. The logit lens has it.

    Raises:
        UnknownNameError: No such target, basis or norm.
        InvalidValueError: A target, basis or norm named twice, or no basis or no norm.
    """

    targets: tuple[str, ...] = ()
    bases: tuple[Basis, ...] = get_args(Basis)
    norms: tuple[LensNorm, ...] = get_args(LensNorm)

    def __post_init__(self) -> None:
        check_targets(self.targets)
        for basis in self.bases:
            check_choice("basis", basis, get_args(Basis))
        for norm in self.norms:
            check_choice("norm", norm, get_args(LensNorm))
        for what, kind, names in (("basis", "bases", self.bases), ("norm", "norms", self.norms)):
            if not names:
                raise InvalidValueError(f"{kind} = () reads nothing; name at least one {what}")
            for name in names:
                if names.count(name) > 1:
                    raise InvalidValueError(f"{what} {name!r} is named twice; name each {what} once")

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
        """One row per sub-layer, basis, norm, class of positions and target, where an example has such positions.

        Columns: task, length, layer (missing for the embedding), site (embed, attn, mlp: after what), basis, norm,
        positions (prompt, end, answer), target, rank, probability and value, each with its stderr (over examples),
        tokens (of the vocabulary), n (examples that have such positions), seed (of the generator).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples.
            n: Examples, from the test stream.
            generator: The source of the examples.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided and followed; its journal is not used.

        Raises:
            InvalidValueError: A target that the task does not have or that occurs nowhere, n below 1, no such length, a
                vocabulary without the task's tokens, a model with hooks attached.
        """
        seed, names = seed_of(generator), targets_of(task, self.targets)
        examples = Examples.drawn(model, task, length=length, n=n, generator=generator, task_head=task_head)
        examples.check_model(model, before="the residual stream is read")
        bound, batch = task.bind(model.vocabulary), examples.clean.to(model.device)
        parts = Anatomy.of(bound, batch)
        found = {name: wanted(name, bound, batch, parts) for name in names}
        found = _occurring(found, parts, asked=self.targets, length=length)
        rows = list(self._rows(model, batch, parts, found, task_head=task_head, running=running))
        table = pd.DataFrame(rows).assign(task=task.name, length=length, tokens=len(model.vocabulary), seed=seed)
        return table[COLUMNS].astype({"layer": "Int64"})

    @torch.inference_mode()
    def _rows(
        self,
        model: HookedTransformer,
        batch: Batch,
        parts: Anatomy,
        found: dict[str, Wanted],
        *,
        task_head: int,
        running: Running,
    ) -> Iterator[dict[str, Any]]:
        rows = max(1, running.tokens(model.device) // batch.inputs.shape[1])
        classes = dict(zip(CLASSES, (parts.symbols, parts.end, parts.answer), strict=True))
        sites = 2 * model.config.n_layers + 1
        for done, (layer, site, stream) in enumerate(streams(model, batch.inputs, rows=rows)):
            for basis in self.bases:
                for norm in self.norms:
                    measured = self._measured(model, stream, found, (basis, norm), task_head=task_head, rows=rows)
                    for positions, inside in classes.items():
                        for name, values in measured.items():
                            counted = inside & found[name].defined
                            if bool(counted.any()):
                                about = {"layer": layer, "site": site, "basis": basis, "norm": norm}
                                yield {**about, "positions": positions, "target": name, **_means(values, counted)}
            running.on_done((done + 1) * len(batch), sites * len(batch))

    def _measured(
        self,
        model: HookedTransformer,
        stream: Float[Tensor, "batch pos d_model"],
        found: dict[str, Wanted],
        way: tuple[Basis, LensNorm],
        *,
        task_head: int,
        rows: int,
    ) -> dict[str, Float[Tensor, "measure batch pos"]]:
        """Rank, probability and value of each target at each position."""
        parts: dict[str, list[Tensor]] = {name: [] for name in found}
        for first in range(0, len(stream), rows):
            part = slice(first, first + rows)
            read = read_out(model, stream[part], way, task_head=task_head)
            for name, one in found.items():
                parts[name].append(ranked(read, one.tokens[part]))
        return {name: torch.cat(values, dim=1) for name, values in parts.items()}


def _occurring(found: dict[str, Wanted], parts: Anatomy, *, asked: tuple[str, ...], length: int) -> dict[str, Wanted]:
    """The targets that some position of a class has.

    Raises:
        InvalidValueError: A target that was asked for and that no position has.
    """
    inside = parts.symbols | parts.end | parts.answer
    missing = [name for name, one in found.items() if not bool((inside & one.defined).any())]
    for name in missing:
        if name in asked:
            raise InvalidValueError(
                f"lens target {name!r} occurs at no position at length {length}; use another length or target"
            )
    return {name: one for name, one in found.items() if name not in missing}


def streams(
    model: HookedTransformer, inputs: Int[Tensor, "batch pos"], *, rows: int
) -> Iterator[tuple[Any, str, Float[Tensor, "batch pos d_model"]]]:
    """The residual stream after the embedding (of no layer), after each attention, and after each MLP."""
    parts = [model.start(part) for part in inputs.split(rows)]
    yield pd.NA, "embed", torch.cat(parts)
    for layer, block in enumerate(model.blocks):
        parts = [block.middle(part) for part in parts]
        yield layer, "attn", torch.cat(parts)
        parts = [block.after_attention(part) for part in parts]
        yield layer, "mlp", torch.cat(parts)


def read_out(
    model: HookedTransformer, stream: Float[Tensor, "*batch d_model"], way: tuple[Basis, LensNorm], *, task_head: int
) -> Float[Tensor, "*batch vocab"]:
    """The number that the stream gives every token, in float64."""
    basis, norm = way
    stream = model.ln_final(stream) if norm == "final" else stream
    if basis == "decoder":
        return model.unembed(stream, task=task_head).double()
    dots = stream.double() @ model.W_E.double().T
    if basis == "encoder":
        return dots
    lengths = stream.double().norm(dim=-1, keepdim=True) * model.W_E.double().norm(dim=-1)
    return torch.where(lengths > _SMALL, dots / lengths.clamp(min=_SMALL), 0)


def ranked(read: Float[Tensor, "*batch vocab"], tokens: Int[Tensor, "*batch token"]) -> Float[Tensor, "measure *batch"]:
    """Rank, probability and mean read-out of some tokens at each position."""
    own = read.gather(-1, tokens)
    last = own.amin(dim=-1, keepdim=True)
    others = torch.ones_like(read, dtype=torch.bool).scatter(-1, tokens, value=False)
    above = ((read > last) & others).sum(dim=-1)
    level = ((read == last) & others).sum(dim=-1)
    probability = read.softmax(dim=-1).gather(-1, tokens).sum(dim=-1)
    return torch.stack((1 + above + level / 2, probability, own.mean(dim=-1)))


def _means(values: Float[Tensor, "measure batch pos"], counted: Bool[Tensor, "batch pos"]) -> dict[str, float | int]:
    """Means over an example's positions, then over examples, with standard errors."""
    some = counted.any(dim=1)
    within = torch.where(counted, values, 0).sum(dim=-1)[:, some] / counted.sum(dim=1)[some]
    errors = standard_errors(within)
    names = ("rank", "probability", "value")
    found = {name: within[place].mean().item() for place, name in enumerate(names)}
    return {
        **found,
        **{f"{name}_stderr": errors[place].item() for place, name in enumerate(names)},
        "n": int(some.sum()),
    }
