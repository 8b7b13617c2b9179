"""Shuffled targets in training: answers of other prompts, everything else as it is without them, tests true."""

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from scipy.stats import chisquare

from tasks import Batch, Member, get_group, get_task
from tests.training.tiny import COPY, SHIFT, tiny_config
from training import MemberConfig, evaluate, load_run, named_generator, train
from training.mixture import Examples, draw_examples
from training.sweep.cells import cell_name

pytestmark = pytest.mark.usefixtures("one_thread")

GROUP = get_group("copy+shift")  # shift up to 10; copy, and reverse, up to 20; 12 letters
Draw = Literal["example", "batch"]


def mixture(targets: Literal["true", "shuffled"]) -> list[Member]:
    """The main task and two others, the first of which has these targets."""
    copy, reverse = GROUP.auxiliaries[0], GROUP.controls[0]
    return [GROUP.main, Member(copy.task, copy.max_length, targets=targets), reverse]


def draw(members: list[Member], n: int, *, draw: Draw = "example", seed: int = 0) -> Examples:
    return draw_examples(members, n=n, generator=named_generator(seed, "test shuffled"), draw=draw)


def pairs(examples: Examples, place: int) -> list[tuple[str, str]]:
    """Prompts and answers of one task's examples."""
    task = mixture("true")[place].task
    rows = examples.batch.tokens[examples.task == place]
    return [task.prompt_and_answer(task.vocabulary.decode(row)) for row in rows]


@pytest.mark.parametrize("how", ["example", "batch"])
def test_answers_are_those_of_other_prompts_and_the_rest_is_as_without(how: Draw) -> None:
    for seed in range(12 if how == "batch" else 2):
        true, shuffled = (draw(mixture(targets), 96, draw=how, seed=seed) for targets in ("true", "shuffled"))
        assert torch.equal(true.task.bincount(minlength=3), shuffled.task.bincount(minlength=3))
        for place in (0, 2):
            assert pairs(true, place) == pairs(shuffled, place)
        copied = pairs(shuffled, 1)
        assert [prompt for prompt, _ in copied] == [prompt for prompt, _ in pairs(true, 1)]
        assert all(len(answer) == len(prompt) - 1 for prompt, answer in copied)
        task = mixture("true")[1].task
        assert all(task.solve(prompt) == answer for prompt, answer in pairs(true, 1))
        assert not any(task.solve(prompt) == answer for prompt, answer in copied if len(answer) > 5)


@pytest.mark.parametrize("how", ["example", "batch"])
def test_random_numbers_are_drawn_in_one_order(how: Draw) -> None:
    """Tasks, lengths, every task's examples; and only then the other answers of those that are shuffled."""
    members, n = mixture("shuffled"), 48
    generator = named_generator(3, "test shuffled")
    draws = n if how == "example" else 1
    task = torch.randint(3, (draws,), generator=generator)
    quantiles = torch.rand(draws, generator=generator, dtype=torch.float64)
    # 1 to 10 for shift, 1 to 20 for the others, uniformly.
    longest = torch.tensor([10, 20, 20])[task]
    length = (1 + (quantiles * longest).long()).expand(n)
    task = task.expand(n)

    def sample(place: int) -> Batch:
        lengths = length[task == place]
        return members[place].task.sample(len(lengths), length=lengths, generator=generator, stream="train")

    there = [place for place in range(3) if (task == place).any()]
    parts = {place: sample(place) for place in there}
    after_true = generator.get_state()
    answers = sample(1) if 1 in parts else None

    drawing = named_generator(3, "test shuffled")
    draw_examples(mixture("true"), n=n, generator=drawing, draw=how)
    assert torch.equal(drawing.get_state(), after_true)
    drawing = named_generator(3, "test shuffled")
    found = draw_examples(members, n=n, generator=drawing, draw=how)
    assert torch.equal(drawing.get_state(), generator.get_state())
    if answers is not None:
        decode = members[1].task.vocabulary.decode
        words = [decode(row[mask]) for row, mask in zip(answers.tokens, answers.scored, strict=True)]
        assert sorted(answer + "[EOS]" for _, answer in pairs(found, 1)) == sorted(words)


def test_letters_of_answers_keep_their_law_and_say_nothing_of_the_prompt() -> None:
    drawn = pairs(draw(mixture("shuffled"), 6000), 1)
    letters = "".join(answer for _, answer in drawn)
    assert chisquare([letters.count(letter) for letter in "abcdefghijkl"]).pvalue > 0.01
    same = sum(a == b for prompt, answer in drawn for a, b in zip(prompt[:-1], answer, strict=True))
    assert chisquare([same, len(letters) - same], [len(letters) / 12, len(letters) * 11 / 12]).pvalue > 0.01


@pytest.mark.parametrize("name", ["mqar", "reverse_subtract", "dfs_trace"])
def test_tasks_of_every_layout_can_be_shuffled(name: str) -> None:
    member = Member(get_task(name), 9, targets="shuffled")
    found = draw_examples([member], n=64, generator=named_generator(0, "test shuffled"))
    plain = draw_examples([Member(member.task, 9)], n=64, generator=named_generator(0, "test shuffled"))
    parts = [[member.task.prompt_and_answer(member.task.vocabulary.decode(row)) for row in one.batch.tokens]
             for one in (found, plain)]  # fmt: skip
    assert sorted(prompt for prompt, _ in parts[0]) == sorted(prompt for prompt, _ in parts[1])
    assert sum(member.task.solve(prompt) != answer for prompt, answer in parts[0]) > 32


# ------------------------------------------------------------------------------------------------- configurations, runs
def test_a_configuration_says_so_and_the_default_is_not_in_the_digest() -> None:
    (true, _), (shuffled, config) = (
        (member, MemberConfig.of(member)) for member in (mixture("true")[1], mixture("shuffled")[1])
    )
    assert config.targets == "shuffled"
    assert config.member(GROUP.vocabulary) == shuffled != true
    plain, written = tiny_config(), tiny_config(mixture=[SHIFT, {**COPY, "targets": "true"}])
    assert cell_name(plain) == cell_name(written) != cell_name(tiny_config(mixture=[SHIFT, SHUFFLED]))


SHUFFLED = {**COPY, "targets": "shuffled"}


def test_what_is_measured_is_true(tmp_path: Path) -> None:
    run = train(tiny_config(mixture=[SHIFT, SHUFFLED]), tmp_path / "run")
    assert [member.targets for member in load_run(tmp_path / "run").mixture] == ["true", "shuffled"]
    last = run.metrics[(run.metrics["step"] == 12) & (run.metrics["weights"] == "raw")]
    for place, name in enumerate(("shift", "copy")):
        plain = get_task(name, alphabet=4, case="lower").bind(run.mixture[0].task.vocabulary)
        table = evaluate(
            run.model(weights="raw"), plain, lengths=[2, 4], n=8, generator=named_generator(0, "measure", name)
        )
        assert last[last["task"] == name]["nll"].to_list() == pytest.approx(table["nll"].to_list(), rel=1e-4), place


def test_training_on_shuffled_answers_differs_from_the_first_step(tmp_path: Path) -> None:
    runs = [
        train(tiny_config(mixture=[SHIFT, one]), tmp_path / str(place)) for place, one in enumerate((COPY, SHUFFLED))
    ]
    losses = [run.metrics.groupby("task")["loss"].first() for run in runs]
    assert losses[0]["copy"] != losses[1]["copy"]


def test_a_run_of_an_earlier_version_without_the_key_is_read(tmp_path: Path) -> None:
    train(tiny_config(train={"steps": 1}), tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    values = json.loads(file.read_text())
    for member in values["config"]["mixture"]:
        del member["targets"]
    file.write_text(json.dumps(values))
    assert load_run(tmp_path / "run").config == tiny_config(train={"steps": 1})
    assert train(tiny_config(train={"steps": 1}), tmp_path / "run").steps == [1]
