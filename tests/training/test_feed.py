"""What steps read: the same examples whoever draws them, from any step on."""

import itertools

import pytest
import torch

from tests.training.tiny import tiny_config
from training.feed import Part, StepExamples, drawn_at, feed, read_at
from training.run_config import mixture_of


def rows_of(read: StepExamples) -> list[list[int]]:
    """The examples that a step reads, token by token, in no order: packed rows, cut where positions begin anew."""
    pieces: list[list[int]] = []
    for part in read.parts:
        for tokens, positions in zip(part.packed.tokens.tolist(), part.packed.positions.tolist(), strict=True):
            for token, position in zip(tokens, positions, strict=True):
                pieces = [*pieces, [token]] if position == 0 else [*pieces[:-1], [*pieces[-1], token]]
    return sorted(piece for piece in pieces if len(piece) > 1)  # what is filled up is pieces of one


def test_a_step_reads_what_was_drawn() -> None:
    config = tiny_config(train={"token_budget": 25})
    mixture = mixture_of(config)
    drawn, read = drawn_at(config, mixture, 3), read_at(config, mixture, 3)
    ends = drawn.batch.scored.long().cumsum(dim=1).argmax(dim=1).tolist()
    assert rows_of(read) == sorted(row[:end] for row, end in zip(drawn.batch.tokens.tolist(), ends, strict=True))
    assert len(read.parts) > 1
    assert read.tokens == sum(ends)
    assert read.scored == int(drawn.batch.scored.sum())
    assert read.examples.tolist() == [int((drawn.task == place).sum()) for place in range(2)]
    targets = torch.cat([part.targets for part in read.parts])
    assert targets.tolist() == drawn.batch.tokens[drawn.batch.scored].tolist()
    tasks = torch.cat([part.task for part in read.parts])
    assert tasks.tolist() == [
        place for place, row in zip(drawn.task.tolist(), drawn.batch.scored, strict=True) for _ in range(int(row.sum()))
    ]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_processes_that_draw_ahead_give_the_steps_in_order_with_the_same_examples() -> None:
    config = tiny_config()
    mixture = mixture_of(config)
    here = list(feed(config, mixture, first=5, device="cpu"))
    ahead = list(itertools.islice(feed(config, mixture, first=5, device="meta"), 7))  # a device, and no GPU
    assert len(here) == len(ahead) == 7  # steps 5 to 11
    for one, other in zip(here, ahead, strict=True):
        assert rows_of(one) == rows_of(other)
        assert [part.targets.tolist() for part in one.parts] == [part.targets.tolist() for part in other.parts]
        for part in other.parts:
            assert part.packed.tokens.shape[0] % 32 == part.packed.tokens.shape[1] % 8 == 0
    assert rows_of(here[0]) != rows_of(here[1])


def test_a_part_moves_with_everything_that_a_step_reads() -> None:
    config = tiny_config()
    part = Part.of(drawn_at(config, mixture_of(config), 0)).to(torch.device("meta"))
    moved = (part.targets, part.task, part.packed.tokens, part.packed.positions, part.packed.predicting)
    assert all(one.device.type == "meta" for one in moved)
