"""What the optimiser moves: exact copies beside a model in bfloat16, and low-rank factors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.training.tiny_checkpoint import finetuning, write_tiny_checkpoint
from training import HookedTransformer, named_generator
from training.adaptation import ATTENTION, MLP, Copied, Factors, LowRank, adapt
from training.config import StartConfig
from training.feed import read_at
from training.loop import Training, token_losses
from training.pretrained import load_pretrained
from training.runs import fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("pretrained") / "tiny")


def small_model(checkpoint: Path) -> HookedTransformer:
    return load_pretrained(checkpoint).model


def rank_one(leaf: str, base: Tensor, *, d_head: int, scale: float) -> LowRank:
    """A = (1, 2) as a column, B = (3, 5) as a row."""
    A, B = nn.Parameter(torch.tensor([[1.0], [2.0]])), nn.Parameter(torch.tensor([[3.0, 5.0]]))
    return LowRank(leaf, base, A, B, scale, d_head)


# A B = [[3, 5], [6, 10]], times 1/2: [[1.5, 2.5], [3, 5]], [input, output].
# W_Q [head, d_model, d_head] with two heads of width 1: head h has column h. W_O [head, d_head, d_model]: row h.
@pytest.mark.parametrize(
    ("leaf", "shape", "expected"),
    [
        ("W_in", (2, 2), [[1.5, 2.5], [3.0, 5.0]]),
        ("W_Q", (2, 2, 1), [[[1.5], [3.0]], [[2.5], [5.0]]]),
        ("W_O", (2, 1, 2), [[[1.5, 2.5]], [[3.0, 5.0]]]),
    ],
)
def test_change_by_hand(leaf: str, shape: tuple[int, ...], expected: list[object]) -> None:
    low = rank_one(leaf, torch.full(shape, 10.0), d_head=1, scale=0.5)
    assert low.merged().tolist() == (torch.tensor(expected) + 10).tolist()


def test_gradients_by_hand() -> None:
    # G = [[1, 0], [0, 1]], so scale G B^T = (1.5, 2.5) as a column, and scale A^T G = (0.5, 1) as a row; twice adds.
    low = rank_one("W_in", torch.zeros(2, 2), d_head=1, scale=0.5)
    for times in (1, 2):
        low.take(torch.eye(2))
        assert low.A.grad is not None
        assert low.B.grad is not None
        assert low.A.grad.tolist() == [[1.5 * times], [2.5 * times]]
        assert low.B.grad.tolist() == [[0.5 * times, 1.0 * times]]


@pytest.mark.parametrize(("adapted", "leaves"), [("attention", ATTENTION), ("all", ATTENTION + MLP)])
def test_factors_of_every_map_and_of_nothing_else(checkpoint: Path, adapted: str, leaves: tuple[str, ...]) -> None:
    model = small_model(checkpoint)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    start = StartConfig.read({"checkpoint": "-", "adaptation": "lora", "rank": 3, "adapted": adapted})
    factors = Factors.of(model, start, seed=0, dtype=torch.float32)
    factors.follow()
    after = dict(model.named_parameters())
    assert all(torch.equal(before[name], weight) for name, weight in after.items()), "B is zero at first"
    assert {name.rpartition(".")[2] for name in factors.maps} == set(leaves)
    assert {name for name, weight in after.items() if weight.requires_grad} == set(factors.maps)
    assert len(factors.trained) == 2 * len(factors.maps) == 2 * 2 * len(leaves)
    A = factors.trained["blocks.0.attn.W_O.A"]
    assert A.shape == (16, 3)
    assert 0.15 < float(A.detach().abs().max()) <= 1 / 4, "uniform within 1 / sqrt(16)"
    assert not any(bool(B.any()) for name, B in factors.trained.items() if name.endswith(".B"))


def test_factors_depend_on_the_seed_and_the_map_alone(checkpoint: Path) -> None:
    def drawn(seed: int, adapted: str) -> Tensor:
        start = StartConfig.read({"checkpoint": "-", "adaptation": "lora", "rank": 3, "adapted": adapted})
        return Factors.of(small_model(checkpoint), start, seed=seed, dtype=torch.float32).trained["blocks.1.attn.W_K.A"]

    assert torch.equal(drawn(0, "attention"), drawn(0, "all"))
    assert not torch.equal(drawn(0, "attention"), drawn(1, "attention"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_loss_and_gradients_are_those_of_peft(tmp_path: Path) -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    with torch.random.fork_rng(devices=[]):
        shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = transformers.LlamaConfig(vocab_size=40, num_key_value_heads=2, **shape)
        whole = transformers.LlamaForCausalLM(config)
    generator = named_generator(0, "peft")
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.normal_(std=0.3, generator=generator)
    whole.save_pretrained(tmp_path)
    model = small_model(tmp_path)
    start = StartConfig.read({"checkpoint": "-", "adaptation": "lora", "rank": 3, "alpha": 7.5, "adapted": "all"})
    factors = Factors.of(model, start, seed=0, dtype=torch.float32)
    targets = [f"{one}_proj" for one in ("q", "k", "v", "o", "gate", "up", "down")]
    with torch.random.fork_rng(devices=[]):
        theirs = peft.get_peft_model(whole, peft.LoraConfig(r=3, lora_alpha=7.5, target_modules=targets))
    linear: dict[str, str] = dict(zip((*ATTENTION, "W_gate", "W_in", "W_out"), targets, strict=True))
    pairs = []
    for name, low in factors.maps.items():
        _, layer, part, leaf = name.split(".")
        module = getattr(theirs.model.model.layers[int(layer)], {"attn": "self_attn"}.get(part, part))
        lora = getattr(module, linear[leaf])
        with torch.no_grad():
            low.B.normal_(std=0.3, generator=generator)
            lora.lora_A["default"].weight.copy_(low.A.T)
            lora.lora_B["default"].weight.copy_(low.B.T)
        pairs += [(low.A, lora.lora_A["default"].weight), (low.B, lora.lora_B["default"].weight)]
    factors.follow()
    tokens = torch.randint(40, (3, 11), generator=generator)
    loss, expected = model(tokens, return_type="loss"), theirs(input_ids=tokens, labels=tokens).loss
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
    loss.backward()
    expected.backward()
    for ours, other in pairs:
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad.T, other.grad, atol=1e-5, rtol=1e-5)


def test_only_factors_move_and_the_merged_weights_are_kept(checkpoint: Path) -> None:
    config = finetuning(checkpoint, start={"adaptation": "lora", "rank": 2})
    training, before = Training(config), dict(fresh_model(config).named_parameters())
    for step in range(3):
        training.step(step)
    kept, adaptation = training.weights(), training.adaptation
    assert isinstance(adaptation, Factors)
    for name, weight in kept["raw"].items():
        assert torch.equal(weight, training.model.get_parameter(name)), "what is kept is what the model computes with"
        if name in adaptation.maps:
            low = adaptation.maps[name]
            assert torch.equal(weight, low.merged())
            assert not torch.equal(weight, before[name])
            change = (low.A.double() @ low.B.double()).detach() * 16 / 2
            d_head, heads = 4, weight.shape[0]
            blocks = change.split(d_head, dim=1 if "W_O" not in name else 0)
            expected = before[name].detach().double() + torch.stack([blocks[head] for head in range(heads)])
            torch.testing.assert_close(weight.double(), expected, atol=1e-6, rtol=1e-6)
        else:
            assert torch.equal(weight, before[name])
            assert torch.equal(kept["averaged"][name], before[name])
    assert {name.partition(".")[0] for name in training.state()} == {"step", "raw", "averaged", "exp_avg", "exp_avg_sq"}
    assert "raw.blocks.0.attn.W_Q.A" in training.state()
    assert "raw.embed.W_E" not in training.state()


def test_average_of_merged_weights(checkpoint: Path) -> None:
    # After the first step d = min(0.9, 1/10) = 0.1: average = 0.1 * before + 0.9 * after.
    config = finetuning(checkpoint, start={"adaptation": "lora", "rank": 2}, train={"average": 0.9})
    training, name = Training(config), "blocks.0.attn.W_V"
    before = training.model.get_parameter(name).detach().clone()
    training.step(0)
    after = training.model.get_parameter(name).detach()
    torch.testing.assert_close(training.weights()["averaged"][name], 0.1 * before + 0.9 * after)


def test_steps_below_the_resolution_of_bfloat16_add_up(checkpoint: Path) -> None:
    # Between 1/2 and 1 two numbers of bfloat16 are 1/256 apart, so 1 - 0.0001 is 1 again. 100 such steps make 0.99,
    # whose nearest number of bfloat16 is 253/256 = 0.98828125 (254/256 = 0.9921875 is farther).
    model = small_model(checkpoint)
    name, weight = "ln_final.w", model.ln_final.w
    with torch.no_grad():
        weight.fill_(1.0)
    copied = Copied.of(model, torch.bfloat16)
    alone = weight.detach().clone()
    assert alone.dtype == torch.bfloat16
    for _ in range(100):
        weight.sum().backward()
        assert weight.grad is None, "freed at once"
        with torch.no_grad():
            alone -= 1e-4 * torch.ones_like(alone)
            copy = copied.trained[name]
            assert copy.grad is not None
            copy -= 1e-4 * copy.grad
            copy.grad = None
        copied.follow()
    assert set(alone.tolist()) == {1.0}
    torch.testing.assert_close(copied.exact[name].detach(), torch.full((16,), 0.99))
    assert set(weight.tolist()) == {0.98828125}


def test_gradients_of_parts_are_summed_in_float32(checkpoint: Path) -> None:
    # 1 + 1/512 is 1 in bfloat16.
    model = small_model(checkpoint)
    copied = Copied.of(model, torch.bfloat16)
    model.ln_final.w.sum().backward()
    (model.ln_final.w.sum() / 512).backward()
    gradient = copied.trained["ln_final.w"].grad
    assert gradient is not None
    assert set(gradient.tolist()) == {1 + 1 / 512}


@pytest.mark.parametrize("adaptation", ["full", "lora"])
def test_a_model_in_bfloat16_learns_what_one_in_float32_learns(checkpoint: Path, adaptation: str) -> None:
    def losses(precision: str) -> Tensor:
        config = finetuning(checkpoint, start={"adaptation": adaptation}, train={"precision": precision})
        training = Training(config)
        found = torch.stack([training.step(step)[0].sum(dim=0) for step in range(12)])
        half = precision == "bfloat16_weights"
        assert training.model.dtype == (torch.bfloat16 if half else torch.float32)
        assert {tensor.dtype for name, tensor in training.state().items() if name != "step"} == {torch.float32}
        assert {weight.dtype for named in training.weights().values() for weight in named.values()} == {torch.float32}
        return found[:, 0] / found[:, 1]

    torch.testing.assert_close(losses("bfloat16_weights"), losses("float32"), atol=0.05, rtol=0.02)


@pytest.mark.parametrize("adaptation", ["full", "lora"])
def test_recomputed_blocks_have_the_same_gradients_and_keep_less(checkpoint: Path, adaptation: str) -> None:
    def gradients(recompute: str) -> tuple[dict[str, Tensor], int]:
        config = finetuning(checkpoint, start={"adaptation": adaptation}, train={"recompute": recompute})
        training, kept = Training(config), []
        (part,) = read_at(config, training.mixture, 0).parts
        keep = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
        with keep:
            loss = token_losses(training.model, part)[0].sum()
        loss.backward()
        found = {name: parameter.grad for name, parameter in training.adaptation.trained.items()}
        return {name: grad for name, grad in found.items() if grad is not None}, sum(kept)

    (plain, much), (again, little) = gradients("none"), gradients("blocks")
    assert list(plain) == list(again)
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, atol=1e-6, rtol=1e-6)
    assert little < much / 2


def test_a_model_that_is_not_finetuned_is_trained_itself(checkpoint: Path) -> None:
    config = finetuning(checkpoint).model_copy(update={"start": None})
    model = fresh_model(config)
    adaptation = adapt(model, config)
    assert all(adaptation.trained[name] is parameter for name, parameter in model.named_parameters())
