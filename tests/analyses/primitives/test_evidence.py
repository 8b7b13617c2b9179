"""The evidence for a primitive: against numbers worked out by hand, plain loops, exact nulls and real hooks."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from analyses.examples import AT_ONCE, Examples
from analyses.primitives import Primitive, Uses, get_primitive
from analyses.primitives.attention_evidence import attention_evidence, exchanges, strongest
from analyses.primitives.causal_evidence import Losses, sign_flip_p
from analyses.primitives.traces import LayerTrace, traces
from analyses.primitives.write_evidence import NOTHING, ReadOut, renamings, write_evidence
from tasks import Batch, Task, get_task
from tests.analyses.interventions.by_hooks import random_biases
from tests.analyses.models import random_model, seeded
from training import HookedTransformer

COPY = get_task("copy", alphabet=4, case="lower")
SHIFT = get_task("shift", alphabet=4, case="lower")
SORT = get_task("sort", numbers=6)
CARRY = get_task("carry_only")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary, grouped queries": {"n_key_value_heads": 2},
    "learned, LN, all biases": {"positions": "learned", "n_ctx": 20, "mlp": "plain", "biases": "all", "norm": "LN"},
    "none, log_n, tied": {"positions": "none", "temperature": "log_n", "unembedding": "tied"},
}  # fmt: skip


def one_query(width: int, source: set[int], *, examples: int = 1) -> Uses:
    """Uses at the last position alone, with some sources."""
    applies = torch.zeros(examples, width, dtype=torch.bool)
    applies[:, -1] = True
    marks = torch.zeros(examples, width, width, dtype=torch.bool)
    marks[:, -1, list(source)] = True
    return Uses.of(applies, marks, None)


def looking(*rows: list[float]) -> Tensor:
    """A pattern [batch, one head, query, key] whose last query attends as each example's row says."""
    width = len(rows[0])
    pattern = torch.eye(width).repeat(len(rows), 1, 1, 1)
    pattern[:, 0, -1] = torch.tensor(rows)
    return pattern


def test_share_and_mass_by_hand() -> None:
    # Source: key 1. Strongest in the first example (1), tied with one other in the second (1/2): share 3/4, standard
    # error (1 - 1/2) / sqrt(2) / sqrt(2) = 1/4. Mass 0.6 and 0.5, mean 0.55, error 0.05. By chance 1 of 3.
    found = attention_evidence(
        looking([0.3, 0.6, 0.1], [0.0, 0.5, 0.5]),
        one_query(3, {1}, examples=2),
        orders=exchanges(3, draws=10, generator=seeded()),
    )
    values = [found.share[0], found.share_error[0], found.mass[0], found.mass_error[0], found.chance]
    assert values == pytest.approx([0.75, 0.25, 0.55, 0.05, 1 / 3], abs=1e-6)


def test_of_two_groups_the_less_seen_counts_twice() -> None:
    # 0.7 on one group and 0.1 on the other: mass 2 * 0.1, where reading both alike would give 2 * 0.4.
    applies = torch.tensor([[False, False, True]])
    groups = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    groups[0, 0, 2, 0] = groups[1, 0, 2, 1] = True
    orders = exchanges(3, draws=99, generator=seeded())
    found = attention_evidence(looking([0.7, 0.1, 0.2]), Uses.of(applies, tuple(groups), None), orders=orders)
    assert found.mass[0] == pytest.approx(0.2, abs=1e-6)
    assert found.share[0] == 1
    assert found.p[0] == 1  # no exchange gives the second group less than it has


def test_p_of_the_exchanges_is_exact() -> None:
    # One query that sees 4 keys and looks at the source alone: 1 of 4 exchanges of the keys does as well, whatever the
    # number of examples, since all examples are exchanged alike. With two such queries, each for itself: 1 of 16.
    orders = exchanges(4, draws=20_000, generator=seeded(1))
    for examples in (1, 50):
        pattern = looking(*[[0.0, 1.0, 0.0, 0.0]] * examples)
        found = attention_evidence(pattern, one_query(4, {1}, examples=examples), orders=orders)
        assert found.p[0] == pytest.approx(1 / 4, abs=0.01)
    pattern = torch.eye(5)[None, None].clone()
    pattern[0, 0, 3] = pattern[0, 0, 4] = torch.tensor([0.0, 1, 0, 0, 0])
    applies, source = torch.zeros(1, 5, dtype=torch.bool), torch.zeros(1, 5, 5, dtype=torch.bool)
    applies[0, 3:] = source[0, 3:, 1] = True
    orders = exchanges(5, draws=20_000, generator=seeded(2))
    found = attention_evidence(pattern, Uses.of(applies, source, None), orders=orders)
    assert found.p[0] == pytest.approx(1 / 20, abs=0.005)  # 4 keys and 5


def test_exchanges_move_only_what_is_seen() -> None:
    orders = exchanges(4, draws=50, generator=seeded())
    for query, order in itertools.product(range(4), orders):
        assert sorted(order[query, : query + 1].tolist()) == list(range(query + 1))
        assert order[query, query + 1 :].tolist() == list(range(query + 1, 4))
    assert torch.equal(orders, exchanges(4, draws=50, generator=seeded()))


def test_even_attention_is_chance() -> None:
    even = torch.full((1, 1, 4), 0.25)
    assert strongest(even, torch.ones(1, 4, dtype=torch.bool)).tolist() == [[[0.25] * 4]]


def trace_and_uses(
    model: HookedTransformer, task: Task, primitive: Primitive, *, layer: int, length: int = 3
) -> tuple[Batch, Uses, LayerTrace]:
    batch = task.sample(6, length=length, generator=seeded(5))
    *_, trace = itertools.islice(traces(model, Examples(batch), token_budget=30), layer + 1)
    return batch, primitive.find(task, batch), trace


@pytest.mark.parametrize("name", SETTINGS)
def test_write_evidence_is_that_of_plain_loops(name: str) -> None:
    model, primitive = random_model(COPY.vocabulary, **SETTINGS[name]), get_primitive("offset_copy")
    random_biases(model, seeded(7))
    batch, uses, trace = trace_and_uses(model, COPY, primitive, layer=1)
    maps = renamings(COPY.vocabulary.ids(COPY.symbols), vocab=len(COPY.vocabulary), draws=40, generator=seeded())
    assert uses.yields is not None
    contents = primitive.contents(COPY, batch, uses)
    found = write_evidence(
        model, trace, batch.inputs, uses, read_out=ReadOut.of(model, task_head=0), contents=contents, renamed=maps
    )
    _, cache = model.run_with_cache(batch.inputs)
    for head in range(4):
        first, yields = first_tokens(model, cache, batch, uses, head)
        rates = [np.mean([one == yielded for one, yielded in zip(row, yields, strict=True)]) for row in first]
        assert [found.tokens[head], found.values[head]] == pytest.approx(rates)
        nulls = [
            [np.mean([one == int(new[yielded]) for one, yielded in zip(row, yields, strict=True)]) for new in maps]
            for row in first
        ]
        tails = [(sum(n >= rate - 1e-9 for n in null) + 1) / 41 for null, rate in zip(nulls, rates, strict=True)]
        assert found.p[head] == pytest.approx(min(1, 2 * min(tails)))
        assert found.chance[head] == pytest.approx(np.max(nulls, axis=0).mean())


@torch.no_grad()
def first_tokens(
    model: HookedTransformer, cache: dict[str, Tensor], batch: Batch, uses: Uses, head: int
) -> tuple[list[list[int]], list[int]]:
    """The first-ranked token of each use, off the embedding and off the value; every use has one source."""
    attn, norm = model.blocks[1].attn, model.blocks[1].ln1
    group = head // (4 // attn.W_V.shape[0])
    first: list[list[int]] = [[], []]
    yields: list[int] = []
    for example, query in uses.applies.nonzero().tolist():
        (key,) = uses.source[example, query].nonzero().flatten().tolist()
        embedded = model.W_E[int(batch.inputs[example, key])]
        embedded = embedded - embedded.mean() if norm.kind == "LN" else embedded
        embedded = embedded / (embedded.pow(2).mean() + norm.eps).sqrt() * norm.w
        for place, value in enumerate((embedded @ attn.W_V[group], cache["blocks.1.attn.hook_v"][example, key, group])):
            written = value @ attn.W_O[head]
            written = written - written.mean() if norm.kind == "LN" else written
            first[place].append(int((written * model.ln_final.w @ model.W_U).argmax()))
        yields.append(int(uses.yields[example, query]))  # pyright: ignore[reportOptionalSubscript]
    return first, yields


def test_a_head_that_writes_nothing_ranks_nothing_first() -> None:
    out = ReadOut(torch.eye(3))
    assert out.first(torch.tensor([[0.0, 0, 0], [0, 2, 2], [1, 2, 3]])).tolist() == [NOTHING, NOTHING, 2]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    ("task", "primitive"), [(COPY, "offset_copy"), (SHIFT, "offset_copy"), (SORT, "copy"), (CARRY, "previous_token")]
)
def test_losses_are_those_of_real_hooks(name: str, task: Task, primitive: str) -> None:
    model, one = random_model(task.vocabulary, n_layers=2, **SETTINGS[name]), get_primitive(primitive)
    random_biases(model, seeded(7))
    for layer, head in ((0, 1), (1, 2)):
        batch, uses, trace = trace_and_uses(model, task, one, layer=layer)
        losses = Losses.of(model, task, Examples(batch), [(one, uses)], running=AT_ONCE)
        found = losses.of_head(one, uses, trace, head)
        at_output = primitive == "previous_token" or (task is COPY and primitive == "offset_copy")
        wanted = by_hooks(model, batch, uses, layer, head, at_output=at_output)
        for loss, other in zip((found.clean, found.effect, found.cut, found.answer), wanted, strict=True):
            torch.testing.assert_close(loss, other.double()[uses.examples], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def by_hooks(
    model: HookedTransformer, batch: Batch, uses: Uses, layer: int, head: int, *, at_output: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Clean metric, effect, cut and answer, from whole runs with hooks on one head."""

    def mean_z(z: Tensor, hook: object) -> Tensor:
        z[:, :, head] = z[:, :, head].mean(dim=0)  # all examples are read to the last position
        return z

    def cut(pattern: Tensor, hook: object) -> Tensor:
        for example, query in uses.applies.nonzero().tolist():
            row = pattern[example, head, query].masked_fill(uses.source[example, query], 0)
            pattern[example, head, query] = row / row.sum()
        return pattern

    def run(site: str | None, hook: Callable[..., Tensor] | None) -> tuple[Tensor, Tensor]:
        kept: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: object) -> None:
            kept["middle"] = value

        hooks: list[Any] = [(f"blocks.{layer}.hook_resid_mid", keep)]
        if hook is not None:
            hooks.append((f"blocks.{layer}.attn.hook_{site}", hook))
        logits = model.run_with_hooks(batch.inputs, fwd_hooks=hooks)
        scored = mean_log(logits, batch.tokens[:, 1:], batch.predicting)
        if uses.yields is None:
            return scored, scored
        if not at_output:
            logits = model.unembed(model.ln_final(kept["middle"]))
        return mean_log(logits, uses.yields, uses.applies), scored

    (clean, scored), (ablated, _), (without, answer) = run(None, None), run("z", mean_z), run("pattern", cut)
    return clean, clean - ablated, clean - without, scored - answer


def mean_log(logits: Tensor, tokens: Tensor, where: Tensor) -> Tensor:
    logged = logits.double().log_softmax(dim=-1).gather(-1, tokens[..., None])[..., 0]
    return torch.stack(
        [
            row[marks].mean() if marks.any() else torch.zeros(()).double()
            for row, marks in zip(logged, where, strict=True)
        ]
    )


def test_a_cut_of_all_attention_spreads_it_evenly() -> None:
    # The last query attends to key 1 alone; cut off, keys 0 and 2 get one half each: (1 + 4) / 2.
    v = torch.tensor([1.0, 2, 4])[None, :, None, None]
    pattern = looking([0.0, 1.0, 0.0])
    z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
    trace = LayerTrace(0, torch.zeros(1, 3, 1), pattern, v, z, torch.zeros(1, 3, 1))
    assert trace.cut(0, one_query(3, {1}))[0, :, 0].tolist() == [1, 2, 2.5]


def test_sign_flips() -> None:
    # 6 effects of 1: all signs must stay, 1 of 64. 5 of 1 and one of -1: of sums at least 4 there are 1 + 6 of 64.
    effects = torch.tensor([[1.0] * 6, [1.0] * 5 + [-1.0], [0.0] * 6])
    p = sign_flip_p(effects, draws=40_000, generator=seeded())
    assert p == pytest.approx([binom.sf(5, 6, 0.5), binom.sf(4, 6, 0.5), 1], abs=0.004)
