"""The training stream: how often each task and length comes, and that packing them changes nothing."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from tasks import Group, Member, get_group
from tasks.streams import in_test_stream, symbol_codes
from tests.training.tiny import tiny_config
from training import HookedTransformer, named_generator
from training.feed import Part
from training.loop import token_losses
from training.mixture import Examples, draw_examples
from training.run_config import mixture_of
from training.runs import fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")

GROUP: Group = get_group("copy+shift")
MIXTURE: list[Member] = [GROUP.main, *GROUP.auxiliaries]


def draw(n: int, *, seed: int = 0, mixture: list[Member] | None = None) -> Examples:
    return draw_examples(mixture or MIXTURE, n=n, generator=named_generator(seed, "test mixture"))


def lengths(examples: Examples) -> torch.Tensor:
    """Letters of each word: the answer and [EOS] are scored."""
    return examples.batch.scored.sum(dim=1) - 1


def test_tasks_are_drawn_uniformly() -> None:
    assert chisquare(draw(4000).task.bincount(minlength=2).numpy()).pvalue > 0.01


@pytest.mark.parametrize("place", [0, 1])
def test_lengths_of_each_task_are_uniform_up_to_its_greatest(place: int) -> None:
    drawn = draw(4000)
    counts = lengths(drawn)[drawn.task == place].bincount()
    assert counts[0] == 0
    assert len(counts) - 1 == MIXTURE[place].max_length
    assert chisquare(counts[1:].numpy()).pvalue > 0.01


def test_a_batch_draw_has_one_task_and_one_length() -> None:
    seen = []
    for seed in range(300):
        generator = named_generator(seed, "test batch draw")
        drawn = draw_examples(MIXTURE, n=5, generator=generator, draw="batch")
        assert len(drawn.batch) == 5
        assert len(set(drawn.task.tolist())) == len(set(lengths(drawn).tolist())) == 1
        seen.append((int(drawn.task[0]), int(lengths(drawn)[0])))
    task = torch.tensor(seen)[:, 0]
    assert chisquare(task.bincount(minlength=2).numpy()).pvalue > 0.01
    for place, member in enumerate(MIXTURE):
        counts = torch.tensor(seen)[task == place][:, 1].bincount(minlength=member.max_length + 1)
        assert chisquare(counts[1:].numpy()).pvalue > 0.01


def test_examples_are_of_the_training_stream_and_right() -> None:
    checked, drawn = 0, draw(800)
    for row, scored, place in zip(drawn.batch.tokens, drawn.batch.scored, drawn.task.tolist(), strict=True):
        task = MIXTURE[place].task
        prompt, answer = task.prompt_and_answer(task.vocabulary.decode(row))
        assert answer == task.solve(prompt)
        assert task.vocabulary.decode(row[scored]) == answer + "[EOS]"
        if len(answer) >= task.divided_from:
            checked += 1
            assert not in_test_stream(symbol_codes(prompt)[None], torch.tensor([len(prompt)]))
    assert checked > 400


def written(examples: Examples) -> list[tuple[int, list[int]]]:
    """Each example's task and tokens, without what stands behind the last scored one."""
    ends = examples.batch.scored.long().cumsum(dim=1).argmax(dim=1) + 1
    texts = [row[:end].tolist() for row, end in zip(examples.batch.tokens, ends.tolist(), strict=True)]
    return list(zip(examples.task.tolist(), texts, strict=True))


def test_examples_come_from_short_to_long_and_their_tokens_are_counted() -> None:
    drawn = draw(64)
    widths = [len(row) for _, row in written(drawn)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == drawn.batch.tokens.shape[1]
    assert drawn.tokens == sum(widths) - 64, "the last token of an example is predicted, not read"


@pytest.mark.parametrize("budget", [1, 40, 300, 10_000])
def test_parts_hold_the_same_examples_within_the_budget(budget: int) -> None:
    whole = draw(64)
    parts = whole.within(budget)
    assert [row for part in parts for row in written(part)] == written(whole)
    for part in parts:
        assert part.batch.inputs.numel() <= budget or len(part.batch) == 1
        assert part.batch.scored[:, -1].any(), "as wide as its longest example, no wider"
    for part, following in itertools.pairwise(parts):
        wider = max(part.batch.inputs.shape[1], len(written(following)[0][1]) - 1)
        assert (len(part.batch) + 1) * wider > budget, "no part ends before it has to"


@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
@pytest.mark.parametrize("task_heads", [1, 2])
def test_losses_and_gradient_of_packed_parts_are_those_of_the_padded_batch(task_heads: int, positions: str) -> None:
    shape = {"task_heads": task_heads, "n_layers": 2, "temperature": "log_n", "positions": positions}
    config = tiny_config(model=shape | ({"n_ctx": 16} if positions == "learned" else {}))
    drawn = draw(48, mixture=list(mixture_of(config)))

    padded = fresh_model(config).double()
    heads = range(task_heads)
    every = torch.stack([padded(drawn.batch.inputs, task=head) for head in heads])  # head, batch, pos, vocab
    logits = every[drawn.task % task_heads, torch.arange(48)][drawn.batch.predicting]
    expected = F.cross_entropy(logits, drawn.batch.targets, reduction="none")
    expected.sum().backward()

    packed, losses = fresh_model(config).double(), []
    for part in drawn.within(60):
        losses.append(token_losses(packed, Part.of(part))[0])
        losses[-1].sum().backward()
    assert len(losses) > 3
    torch.testing.assert_close(torch.cat(losses).sort().values, expected.sort().values)
    for (name, one), other in zip(padded.named_parameters(), packed.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-9, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}")


def test_padding_carries_no_score_and_changes_none() -> None:
    config = tiny_config()
    model: HookedTransformer = fresh_model(config).double()
    drawn = draw(32, mixture=list(mixture_of(config)))
    tokens, scored = drawn.batch.tokens, drawn.batch.scored
    behind = scored.flip(1).long().cumsum(dim=1).flip(1) == 0
    assert behind.any()
    assert (tokens[behind] == model.vocabulary.eos).all()
    losses, task = token_losses(model, Part.of(drawn))
    assert len(losses) == len(task) == int(scored.sum())
    tokens[behind] = 0
    assert torch.equal(token_losses(model, Part.of(drawn))[0], losses)


def test_same_generator_same_bytes_another_others() -> None:
    assert torch.equal(draw(16).batch.tokens, draw(16).batch.tokens)
    assert draw(16).batch.tokens.tolist() != draw(16, seed=1).batch.tokens.tolist()
