"""The training stream: how often each task and length comes, and that grouping by length changes nothing."""

import pytest
import torch
from scipy.stats import chisquare

from tasks import Group, Member, get_group
from tasks.streams import in_test_stream, symbol_codes
from tests.training.tiny import tiny_config
from training import HookedTransformer, named_generator
from training.loop import token_losses
from training.mixture import Bucket, draw_buckets
from training.run_config import mixture_of
from training.runs import fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")

GROUP: Group = get_group("copy+shift")
MIXTURE: list[Member] = [GROUP.main, *GROUP.auxiliaries]


def draw(n: int, *, buckets: int = 4, seed: int = 0, mixture: list[Member] | None = None) -> list[Bucket]:
    return draw_buckets(mixture or MIXTURE, n=n, buckets=buckets, generator=named_generator(seed, "test mixture"))


def lengths(bucket: Bucket) -> torch.Tensor:
    """Letters of each word: the answer and [EOS] are scored."""
    return bucket.batch.scored.sum(dim=1) - 1


def test_tasks_are_drawn_uniformly() -> None:
    task = torch.cat([bucket.task for bucket in draw(4000)])
    assert chisquare(task.bincount(minlength=2).numpy()).pvalue > 0.01


@pytest.mark.parametrize("place", [0, 1])
def test_lengths_of_each_task_are_uniform_up_to_its_greatest(place: int) -> None:
    found = torch.cat([lengths(bucket)[bucket.task == place] for bucket in draw(4000)])
    counts = found.bincount()
    assert counts[0] == 0
    assert len(counts) - 1 == MIXTURE[place].max_length
    assert chisquare(counts[1:].numpy()).pvalue > 0.01


def test_a_batch_draw_has_one_task_and_one_length() -> None:
    seen = []
    for seed in range(300):
        generator = named_generator(seed, "test batch draw")
        (bucket,) = draw_buckets(MIXTURE, n=5, buckets=4, generator=generator, draw="batch")
        assert len(bucket.batch) == 5
        assert len(set(bucket.task.tolist())) == len(set(lengths(bucket).tolist())) == 1
        seen.append((int(bucket.task[0]), int(lengths(bucket)[0])))
    task = torch.tensor(seen)[:, 0]
    assert chisquare(task.bincount(minlength=2).numpy()).pvalue > 0.01
    for place, member in enumerate(MIXTURE):
        counts = torch.tensor(seen)[task == place][:, 1].bincount(minlength=member.max_length + 1)
        assert chisquare(counts[1:].numpy()).pvalue > 0.01


def test_examples_are_of_the_training_stream_and_right() -> None:
    checked = 0
    for bucket in draw(800):
        for row, scored, place in zip(bucket.batch.tokens, bucket.batch.scored, bucket.task.tolist(), strict=True):
            task = MIXTURE[place].task
            prompt, answer = task.prompt_and_answer(task.vocabulary.decode(row))
            assert answer == task.solve(prompt)
            assert task.vocabulary.decode(row[scored]) == answer + "[EOS]"
            if len(answer) >= task.divided_from:
                checked += 1
                assert not in_test_stream(symbol_codes(prompt)[None], torch.tensor([len(prompt)]))
    assert checked > 400


def test_buckets_hold_the_same_examples_as_one_padded_batch() -> None:
    (whole,) = draw(64, buckets=1)
    parts = draw(64, buckets=4)

    def rows(bucket: Bucket) -> list[tuple[int, list[int]]]:
        # The scored tokens end the example; what stands behind is padding.
        ends = bucket.batch.scored.long().cumsum(dim=1).argmax(dim=1) + 1
        texts = [row[:end].tolist() for row, end in zip(bucket.batch.tokens, ends.tolist(), strict=True)]
        return list(zip(bucket.task.tolist(), texts, strict=True))

    assert sorted(rows(whole)) == sorted(row for part in parts for row in rows(part))
    assert [len(part.batch) for part in parts] == [16] * 4
    widths = [part.batch.tokens.shape[1] for part in parts]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == whole.batch.tokens.shape[1]
    assert all(part.batch.scored[:, -1].any() for part in parts), "a bucket is as wide as its longest example, no wider"


@pytest.mark.parametrize("task_heads", [1, 2])
def test_gradient_of_the_buckets_is_that_of_the_padded_batch(task_heads: int) -> None:
    config = tiny_config(model={"task_heads": task_heads, "n_layers": 2, "temperature": "log_n"})
    mixture = list(mixture_of(config))

    def gradients(buckets: int) -> dict[str, torch.Tensor]:
        model = fresh_model(config).double()
        for bucket in draw(48, buckets=buckets, mixture=mixture):
            token_losses(model, bucket)[0].sum().backward()
        return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    one, many = gradients(1), gradients(5)
    assert set(one) == {name for name, _ in fresh_model(config).named_parameters()}
    for name, gradient in one.items():
        torch.testing.assert_close(many[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}")


def test_padding_carries_no_score_and_changes_none() -> None:
    config = tiny_config()
    model: HookedTransformer = fresh_model(config).double()
    (bucket,) = draw(32, buckets=1, mixture=list(mixture_of(config)))
    tokens, scored = bucket.batch.tokens, bucket.batch.scored
    behind = scored.flip(1).long().cumsum(dim=1).flip(1) == 0
    assert behind.any()
    assert (tokens[behind] == model.vocabulary.eos).all()
    losses, task = token_losses(model, bucket)
    assert len(losses) == len(task) == int(scored.sum())
    tokens[behind] = 0
    assert torch.equal(token_losses(model, bucket)[0], losses)


def test_same_generator_same_bytes_another_others() -> None:
    def tokens(seed: int) -> list[list[int]]:
        return [row for bucket in draw(16, seed=seed) for row in bucket.batch.tokens.tolist()]

    assert tokens(0) == tokens(0)
    assert tokens(0) != tokens(1)


def test_there_are_never_more_buckets_than_examples() -> None:
    assert [len(bucket.batch) for bucket in draw(3, buckets=8)] == [1, 1, 1]
