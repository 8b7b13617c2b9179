"""The examples of an analysis, and how its work is divided: results and memory for a token budget."""

import itertools
from collections.abc import Callable

import pytest
import torch

from analyses import ActivationPatching, HeadAblation, PathPatching, ablate
from analyses.examples import AT_ONCE, TOKEN_BUDGET, Examples, Running
from analyses.graph import Receiver
from analyses.heads import all_heads
from benchmarks.memory import peak_bytes
from tasks import Batch, InvalidValueError, Pair, get_task
from tests.analyses.models import hand_batch, random_model, seeded
from training import HookedTransformer, ModelConfig

TASK = get_task("shift", alphabet=4, case="lower")


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return random_model(TASK.vocabulary, n_layers=2)


def pair_of(n: int, *, length: int = 3) -> Pair:
    generator = seeded(3)
    return TASK.counterfactual(TASK.sample(n, length=length, generator=generator), generator=generator)


def test_examples_of_a_pair() -> None:
    pair = pair_of(5)
    examples = Examples.of_pair(pair, task_head=2)
    assert (examples.clean, examples.counterfactual, examples.task_head) == (pair.clean, pair.counterfactual, 2)
    assert len(examples) == 5
    assert examples.width == 8  # [shift] a b l = b c a, and [EOS] is not read


def test_drawn_are_the_task_s_test_examples(model: HookedTransformer) -> None:
    drawn = Examples.drawn(model, TASK, length=3, n=6, generator=seeded(1), task_head=0)
    wanted = TASK.sample(6, length=3, generator=seeded(1), stream="test")
    assert torch.equal(drawn.clean.tokens, wanted.tokens)
    assert drawn.counterfactual is None


def test_counterfactuals_are_drawn_behind_the_examples(model: HookedTransformer) -> None:
    generator = seeded(1)
    wanted = TASK.sample(6, length=3, generator=generator, stream="test")
    pair = TASK.counterfactual(wanted, generator=generator)
    drawn = Examples.drawn_in_pairs(model, TASK, length=3, n=6, generator=seeded(1), task_head=1)
    assert drawn.counterfactual is not None
    assert torch.equal(drawn.clean.tokens, pair.clean.tokens)
    assert torch.equal(drawn.counterfactual.tokens, pair.counterfactual.tokens)
    assert drawn.task_head == 1


def test_drawn_speak_the_model_s_vocabulary() -> None:
    larger = TASK.vocabulary.union(get_task("copy", alphabet=6, case="lower").vocabulary)
    drawn = Examples.drawn(random_model(larger), TASK, length=3, n=4, generator=seeded(), task_head=0)
    assert (drawn.clean.tokens[:, 0] == larger.encode("[shift]").item()).all()


# ------------------------------------------------------------------------------------------------- token budget, memory
def test_ablations_do_not_depend_on_the_token_budget(model: HookedTransformer) -> None:
    found = [
        HeadAblation(kind="resample", metric="nll").effects(
            model, TASK, length=3, n=7, generator=seeded(), running=Running(token_budget=budget)
        )[0].effects
        for budget in (1, 20, 100, TOKEN_BUDGET)
    ]  # fmt: skip
    assert found[0].abs().max() > 1e-2
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("budget", [1, 40, 100, TOKEN_BUDGET])
def test_no_run_takes_more_tokens_than_the_budget(
    model: HookedTransformer, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    seen: list[int] = []
    for block in model.blocks:
        monkeypatch.setattr(block.mlp, "forward", _counted(block.mlp.forward, seen))
    ablate(model, Examples(pair_of(9).clean), [(head,) for head in all_heads(model.config)], kind="zero",
           running=Running(token_budget=budget))  # fmt: skip
    assert seen
    assert max(seen) <= max(budget, 8)  # one example at least


def _counted(forward: Callable[[torch.Tensor], torch.Tensor], seen: list[int]) -> Callable[..., torch.Tensor]:
    def counting(x: torch.Tensor) -> torch.Tensor:
        seen.append(x[..., 0].numel())
        return forward(x)

    return counting


@pytest.mark.slow
@pytest.mark.parametrize("work", ["ablation", "patching", "by position", "pairs at the last position", "paths there"])
def test_a_sweep_takes_at_most_twice_the_memory_of_a_forward_pass_of_the_budget(work: str) -> None:
    config = ModelConfig.read({"n_layers": 2, "n_heads": 4, "d_model": 128, "d_vocab": len(TASK.vocabulary)})
    model = HookedTransformer(config, vocabulary=TASK.vocabulary, generator=seeded())
    pair, running = pair_of(32, length=30), Running(token_budget=1024)
    rows, last = 1024 // pair.clean.inputs.shape[1], (pair.clean.inputs.shape[1] - 1,)

    @torch.inference_mode()
    def forward_pass() -> object:
        batch = TASK.sample(rows, length=30, generator=seeded())
        return model.scored_logits(batch.inputs, batch.predicting)

    by_position = ActivationPatching(site="z", by="layer_position", positions=(1, 30, *last))
    paths = PathPatching(receivers=(Receiver(1, "q", 0), Receiver(1, "logits")), positions=last)
    singles = [(head,) for head in all_heads(config)]
    pairs = list(itertools.combinations(all_heads(config), 2))
    sweeps: dict[str, Callable[[], object]] = {
        "ablation": lambda: ablate(model, Examples(pair.clean), singles, kind="mean", running=running),
        "patching": lambda: ActivationPatching(site="z", by="head").effects(model, pair, running=running),
        "by position": lambda: by_position.effects(model, pair, running=running),
        "pairs at the last position": lambda: ablate(
            model, Examples(pair.clean), pairs, kind="zero", positions=last, running=running
        ),
        "paths there": lambda: paths.effects(model, pair, running=running),
    }
    assert peak_bytes(sweeps[work]) <= 2 * peak_bytes(forward_pass)


# --------------------------------------------------------------------------------------------------------------- errors
def two_lengths() -> Batch:
    return Batch(torch.tensor([[0, 2, 2], [0, 1, 2]]), torch.tensor([[False, True, False], [False, False, True]]))


SHAPES = (
    "clean and counterfactual examples must have one shape. Got (2, 3) and (1, 3); "
    "pair them with task.counterfactual or Pair.of"
)


@pytest.mark.parametrize(
    ("clean", "counterfactual", "text"),
    [
        (hand_batch()[:0], None, "there are 0 examples; use n >= 1, or n >= 2 for a mean over them"),
        (two_lengths(), None, "the prompts have different lengths, so their positions do not align; use one length"),
        (hand_batch(), hand_batch()[:1], SHAPES),
    ],
    ids=["none", "two lengths", "two shapes"],
)  # fmt: skip
def test_refused(clean: Batch, counterfactual: Batch | None, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Examples(clean, counterfactual)
    assert str(caught.value) == text


@pytest.mark.parametrize("draw", [Examples.drawn, Examples.drawn_in_pairs])
def test_no_examples_are_refused(model: HookedTransformer, draw: Callable[..., Examples]) -> None:
    with pytest.raises(InvalidValueError) as caught:
        draw(model, TASK, length=3, n=0, generator=seeded(), task_head=0)
    assert str(caught.value) == "n = 0 examples cannot be measured; allowed is 1 or more"


def test_no_budget_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        Running(token_budget=0)
    assert str(caught.value) == "token_budget = 0 is not possible; allowed is 1 or more, or 'fitting'"
    assert AT_ONCE.tokens(torch.device("cpu")) == TOKEN_BUDGET < AT_ONCE.tokens(torch.device("cuda"))
    assert Running(token_budget=7).tokens(torch.device("cuda")) == 7
    assert AT_ONCE.journal is None
