"""The labelled tokens that probes are trained and tested on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from analyses.probing.catalogue import list_labels
from analyses.probing.label import Label
from analyses.scopes import Scope
from tasks import Batch, InvalidValueError, Task
from tasks.errors import unknown_name

Types = Literal["token", "position"] | Callable[[Task, Batch], Int[Tensor, "batch pos"]]
"""What the control task gives one label to: each token, each position, or each value of a function of the user's."""

HELD_OUT = 0.25
"""This share of the different examples is for tests."""


@dataclass(frozen=True)
class Tokens:
    """Labelled tokens of some examples.

    Attributes:
        batch: The examples.
        rows: The row of the example that each token belongs to, in ascending order.
        example: The number of that example among the different ones: copies of an example have one number.
        positions: Its position.
        labels: Its class, from 0; -1 for one that no training token has.
        types: Its type, from 0.
        testing: Whether it is for tests. All up to it is then in no training example.
        classes: How many classes the training tokens have.
    """

    batch: Batch
    rows: Int[Tensor, " token"]
    example: Int[Tensor, " token"]
    positions: Int[Tensor, " token"]
    labels: Int[Tensor, " token"]
    types: Int[Tensor, " token"]
    testing: Bool[Tensor, " token"]
    classes: int

    @classmethod
    def of(
        cls, task: Task, batch: Batch, label: Label, *, types: Types, scope: Scope, testing: Bool[Tensor, " batch"]
    ) -> "Tokens":
        """The tokens in the scope that have a label.

        What a model holds at a token is a function of the tokens up to it. So a test token with all of these in a
        training example would be a training token again, and is left out.

        Raises:
            InvalidValueError: No training or no test token has a label, no test token is new, the training tokens have
                one class, or the tokens one type.
        """
        values = torch.where(_in_scope(batch, scope), label.values(task, batch), -1)[:, :-1]
        rows, positions = (values >= 0).nonzero().unbind(dim=1)
        held = testing[rows]
        for kind, count in (("training", int((~held).sum())), ("test", int(held.sum()))):
            if not count:
                raise InvalidValueError(
                    f"label {label.name!r} has no value at any {kind} token of task {task.name!r} in the scope "
                    f"{scope!r}; use more examples, other lengths or another scope"
                )
        fresh = ~held | ~_seen(batch, testing)[rows, positions]
        if not bool(held[fresh].any()):
            raise InvalidValueError(
                f"label {label.name!r}: at each of the {int(held.sum())} test tokens of task {task.name!r} in the "
                f"scope {scope!r}, all tokens up to it stand in a training example too, so none is new to a probe; use "
                "greater lengths, or the scope answer or all"
            )
        rows, positions, held = rows[fresh], positions[fresh], held[fresh]
        example = batch.tokens.unique(dim=0, return_inverse=True)[1][rows]
        found = values[rows, positions]
        known, classes = found[~held].unique(), len(found[~held].unique())
        if classes < 2:
            others = ", ".join(name for name in list_labels(task) if name != label.name)
            raise InvalidValueError(
                f"label {label.name!r} has one class, {int(known[0])}, at all {int((~held).sum())} training tokens of "
                f"task {task.name!r}, so there is nothing to tell apart; use other lengths, another scope, or one of "
                f"{others}"
            )
        place = torch.searchsorted(known, found).clamp(max=classes - 1)
        labels = torch.where(known[place] == found, place, -1)
        kinds = _types(types, task, batch, rows, positions)
        return cls(batch, rows, example, positions, labels, kinds, held, classes)

    @property
    def training(self) -> Int[Tensor, " trained"]:
        """The places of the training tokens."""
        return (~self.testing).nonzero()[:, 0]

    @property
    def tested(self) -> Int[Tensor, " tested"]:
        """The places of the test tokens."""
        return self.testing.nonzero()[:, 0]

    def controls(self, count: int, *, generator: Generator) -> Int[Tensor, "control token"]:
        """Labels of control tasks: each type has one, that of a training token drawn uniformly.

        So a control's classes are about as frequent as the label's own, and only a probe that has learned the types by
        heart is right.
        Source: Hewitt and Liang 2019 (arXiv 1909.03368), section 2.
        """
        own = self.labels[self.training]
        shape = (count, int(self.types.max()) + 1)
        drawn = torch.randint(len(own), shape, generator=generator, device=generator.device).to(own.device)
        return own[drawn][:, self.types]


def sampled(
    task: Task, *, lengths: Sequence[int], n: int, generator: Generator
) -> tuple[Batch, Bool[Tensor, " batch"]]:
    """Examples of the test stream, each of a length drawn uniformly, and which of them are for tests.

    A quarter of the *different* examples is for tests, with all their copies: none is on both sides.

    Raises:
        InvalidValueError: n below 8, a length named twice or that the task cannot make, or one example only.
    """
    if n < 8:
        raise InvalidValueError(f"n = {n} examples cannot be divided for a probe; allowed is 8 or more")
    if not lengths or len(set(lengths)) < len(lengths):
        raise InvalidValueError(f"lengths {tuple(lengths)} must be at least one, each named once")
    for one in lengths:
        task.check_length(one)
    device = generator.device
    chosen = torch.randint(len(lengths), (n,), generator=generator, device=device)
    batch = task.sample(n, length=torch.tensor(lengths, device=device)[chosen], generator=generator, stream="test")
    different, which = batch.tokens.unique(dim=0, return_inverse=True)
    if len(different) < 2:
        raise InvalidValueError(
            f"all {n} examples of task {task.name!r} at length {' '.join(map(str, lengths))} are the same, so none can "
            "be held out; use greater lengths"
        )
    order = torch.randperm(len(different), generator=generator, device=device)
    return batch, (order < max(1, round(HELD_OUT * len(different))))[which]


def check_types(types: Types) -> None:
    """Raises UnknownNameError unless these are types."""
    known = ("token", "position")
    if isinstance(types, str) and types not in known:
        raise unknown_name("types", types, known, listing="they are token, position, or a function")


def check_probe_scope(scope: str) -> None:
    """Raises UnknownNameError unless there is such a scope."""
    if scope not in get_args(Scope):
        raise unknown_name("scope", scope, get_args(Scope), listing="the scopes are all, prompt and answer")


def _in_scope(batch: Batch, scope: Scope) -> Bool[Tensor, "batch pos"]:
    behind = batch.scored.long().cumsum(dim=1) > 0
    return {"all": torch.ones_like(behind), "prompt": ~behind, "answer": behind}[scope]


def _seen(batch: Batch, testing: Bool[Tensor, " batch"]) -> Bool[Tensor, "batch pos"]:
    """Whether all tokens up to each one, itself included, are those of a training example."""
    prefix, seen = torch.zeros_like(batch.tokens[:, 0]), []
    for token in batch.tokens.unbind(dim=1):
        # Prefixes are numbered anew at each token: equal prefixes of equal next tokens get one number.
        prefix = torch.stack((prefix, token), dim=1).unique(dim=0, return_inverse=True)[1]
        seen.append(torch.isin(prefix, prefix[~testing]))
    return torch.stack(seen, dim=1)


def _types(types: Types, task: Task, batch: Batch, rows: Tensor, positions: Tensor) -> Int[Tensor, " token"]:
    if callable(types):
        values = Label("types", "types", types).values(task, batch)[rows, positions]
    else:
        values = batch.tokens[rows, positions] if types == "token" else positions
    different, found = values.unique(return_inverse=True)
    if len(different) < 2:
        what = "" if callable(types) else f" ({types} {_named(types, int(different[0]), task)})"
        raise InvalidValueError(
            f"all {len(rows)} labelled tokens are of one type{what}, so a control task would have one label; give "
            "other types: token, position, or a function"
        )
    return found


def _named(types: str, value: int, task: Task) -> str:
    return repr(task.vocabulary.tokens[value]) if types == "token" else str(value)
