"""One step of training: its examples, its loss, its gradient."""

from pathlib import Path

import pytest
import torch

from benchmarks.memory import peak_bytes
from tests.training.tiny import COPY, tiny_config
from training import TrainConfig, train
from training.feed import Part, drawn_at, read_at
from training.loop import Training, token_losses
from training.mixture import Examples, draw_examples
from training.randomness import named_generator
from training.run_config import mixture_of
from training.runs import fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")


def heads_config() -> TrainConfig:
    return tiny_config(model={"task_heads": 2})


def test_every_task_trains_its_own_unembedding(tmp_path: Path) -> None:
    run = train(heads_config(), tmp_path / "run")
    assert [run.task_head(name) for name in ("shift", "copy")] == [0, 1]
    moved = (run.model(weights="raw").W_U - fresh_model(run.config).W_U).abs().amax(dim=(1, 2))
    assert (moved > 1e-3).all()


def test_losses_of_separate_unembeddings_by_hand() -> None:
    config = heads_config()
    model = fresh_model(config)
    drawn = draw_examples(mixture_of(config), n=16, generator=named_generator(0, "x"))
    losses, task = token_losses(model, Part.of(drawn))
    expected: dict[int, list[float]] = {0: [], 1: []}
    for row, scored, place in zip(drawn.batch.tokens, drawn.batch.scored, drawn.task.tolist(), strict=True):
        logits = model(row[None], task=place)[0].log_softmax(dim=-1)
        positions = scored.nonzero()[:, 0]
        expected[place] += (-logits[positions - 1, row[positions]]).tolist()
    for place, values in expected.items():
        assert losses[task == place].tolist() == pytest.approx(values, rel=1e-5)


def test_loss_is_the_mean_over_the_scored_tokens_since_the_last_checkpoint(tmp_path: Path) -> None:
    told: list[float] = []
    config = tiny_config(mixture=[COPY])
    run = train(config, tmp_path / "run", on_step=lambda progress: told.append(progress.loss))
    counts = []
    for step in range(12):
        generator = named_generator(0, "train", step)
        counts.append(int(draw_examples(mixture_of(config), n=8, generator=generator).batch.scored.sum()))
    for first, step in ((0, 4), (4, 8), (8, 12)):
        loss = run.metrics.loc[run.metrics["step"] == step, "loss"].iloc[0]
        part = slice(first, step)
        weighted = sum(loss * count for loss, count in zip(told[part], counts[part], strict=True))
        assert loss == pytest.approx(weighted / sum(counts[part]), rel=1e-5)


def test_a_task_that_was_not_drawn_has_no_loss(tmp_path: Path) -> None:
    run = train(tiny_config(train={"draw": "batch", "steps": 1}), tmp_path / "run")
    loss = run.metrics.groupby("task")["loss"].first()
    assert sorted(loss.isna()) == [False, True]
    assert (loss.dropna() > 0).all()


def test_one_data_seed_and_several_seeds_differ_in_the_initial_weights_only() -> None:
    first, second, plain = (
        Training(tiny_config().model_copy(update=seeds))
        for seeds in ({"seed": 1, "data_seed": 7}, {"seed": 2, "data_seed": 7}, {"seed": 7})
    )
    assert not torch.equal(first.model.W_E, second.model.W_E)

    def drawn(training: Training) -> Examples:
        return drawn_at(training.config, training.mixture, 3)

    for one, other in ((first, second), (first, plain)):
        assert torch.equal(drawn(one).batch.tokens, drawn(other).batch.tokens)


def test_a_token_budget_divides_the_work_and_not_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = Training(tiny_config()), Training(tiny_config(train={"token_budget": 25}))
    for one in (whole, parts):  # the gradient stays as it is
        monkeypatch.setattr(one.optimizer, "step", lambda: None)
        monkeypatch.setattr(one.optimizer, "zero_grad", lambda **_: None)
    assert len(read_at(parts.config, parts.mixture, 0).parts) > 1
    (losses, norm), (same, also) = whole.step(0), parts.step(0)
    torch.testing.assert_close(same, losses)
    torch.testing.assert_close(also, norm)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-7)
        assert one.grad is not None


def test_peak_memory_of_a_step_follows_the_token_budget() -> None:
    big = {"batch_size": 512}
    shape = {"d_model": 64, "d_mlp": 256}
    peaks = []
    for budget in (65_536, 1024):
        training = Training(tiny_config(train={**big, "token_budget": budget}, model=shape))
        peaks.append(peak_bytes(lambda training=training: training.step(0)))
    assert peaks[1] < 0.35 * peaks[0], "512 examples of some 12 tokens, read 1,024 tokens at a time: a sixth, and more"


def test_bfloat16_keeps_weights_moments_and_loss_in_float32() -> None:
    exact, half = Training(tiny_config()), Training(tiny_config(train={"precision": "bfloat16"}))
    (losses, norm), (close, also) = exact.step(0), half.step(0)
    assert losses.dtype == close.dtype == torch.float32
    assert not torch.equal(losses, close), "something was really computed in bfloat16"
    torch.testing.assert_close(close, losses, rtol=1e-2, atol=0)
    torch.testing.assert_close(also, norm, rtol=5e-2, atol=0)
    assert {tensor.dtype for name, tensor in half.state().items() if name != "step"} == {torch.float32}


def test_bfloat16_learns_what_float32_learns(tmp_path: Path) -> None:
    settings = {"steps": 60, "batch_size": 32}
    losses = {}
    for precision in ("float32", "bfloat16"):
        told: list[float] = []
        config = tiny_config(mixture=[COPY], train={**settings, "precision": precision}, measure={"checkpoints": 1})
        train(config, tmp_path / precision, on_step=lambda progress, told=told: told.append(progress.loss))
        losses[precision] = sum(told[-10:]) / 10
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["float32"] < 1.2
