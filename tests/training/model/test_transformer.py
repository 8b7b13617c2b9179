"""The model as an object: names and shapes of parameters, initial weights, what it offers, what it refuses."""

import copy
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from tasks import InvalidValueError, Vocabulary
from tests.training.model.cases import CASES, VOCABULARY, tiny_config, tiny_model, tiny_tokens
from training.model import HookedTransformer


def shapes(model: HookedTransformer) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def test_parameters_have_transformer_lens_names_and_shapes() -> None:
    model = tiny_model(
        n_layers=1, n_key_value_heads=2, d_head=6, norm="LN", biases="all", positions="learned", n_ctx=10
    )
    assert shapes(model) == {
        "embed.W_E": (9, 16),
        "pos_embed.W_pos": (10, 16),
        "blocks.0.ln1.w": (16,),
        "blocks.0.ln1.b": (16,),
        "blocks.0.attn.W_Q": (4, 16, 6),
        "blocks.0.attn.W_K": (2, 16, 6),
        "blocks.0.attn.W_V": (2, 16, 6),
        "blocks.0.attn.W_O": (4, 6, 16),
        "blocks.0.attn.b_Q": (4, 6),
        "blocks.0.attn.b_K": (2, 6),
        "blocks.0.attn.b_V": (2, 6),
        "blocks.0.attn.b_O": (16,),
        "blocks.0.ln2.w": (16,),
        "blocks.0.ln2.b": (16,),
        "blocks.0.mlp.W_in": (16, 12),
        "blocks.0.mlp.W_gate": (16, 12),
        "blocks.0.mlp.W_out": (12, 16),
        "blocks.0.mlp.b_in": (12,),
        "blocks.0.mlp.b_out": (16,),
        "ln_final.w": (16,),
        "ln_final.b": (16,),
        "unembed.W_U": (16, 9),
        "unembed.b_U": (9,),
    }


def test_options_add_and_remove_parameters() -> None:
    plain, tempered = shapes(tiny_model(n_layers=1)), shapes(tiny_model(n_layers=1, temperature="log_n"))
    assert not [name for name in plain if "b_" in name or name.endswith(".b")]
    assert tempered == plain | {"blocks.0.attn.beta": ()}
    assert "unembed.W_U" not in shapes(tiny_model(unembedding="tied"))
    several = shapes(tiny_model(task_heads=3, biases="all"))
    assert (several["unembed.W_U"], several["unembed.b_U"]) == ((3, 16, 9), (3, 9))


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_state_dict_and_copies_reproduce_the_model(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    other = tiny_model(seed=1, **changes)
    assert not torch.equal(other(tokens), model(tokens))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(tokens), model(tokens))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        model.embed.W_E.zero_()
    assert torch.equal(twin(tokens), other(tokens))


def test_initial_weights_come_from_the_generator() -> None:
    def fresh(seed: int) -> HookedTransformer:
        config = tiny_config(d_model=64, d_mlp=256, biases="all", norm="LN", temperature="log_n", initializer_range=0.1)
        return HookedTransformer(config, vocabulary=VOCABULARY, generator=Generator().manual_seed(seed))

    one, same, other = fresh(0).state_dict(), fresh(0).state_dict(), fresh(1).state_dict()
    for name, value in one.items():
        leaf = name.rsplit(".", maxsplit=1)[-1]
        assert torch.equal(value, same[name])
        if leaf.startswith("W_"):
            assert not torch.equal(value, other[name])
            assert value.std().item() == pytest.approx(0.1, rel=0.15)
        else:
            assert torch.equal(value, torch.full_like(value, 1.0 if leaf in ("w", "beta") else 0.0))


def test_tied_unembedding_is_the_embedding() -> None:
    model = tiny_model(unembedding="tied")
    assert torch.equal(model.W_U, model.W_E.T)
    assert model.W_U.data_ptr() == model.W_E.data_ptr()
    assert len(list(model.parameters())) == len(model.state_dict())


def test_each_task_has_its_own_unembedding() -> None:
    model, tokens = tiny_model(task_heads=3), tiny_tokens()
    hidden = model.ln_final(model.residual(tokens))
    for task in range(3):
        torch.testing.assert_close(model(tokens, task=task), hidden @ model.W_U[task] + model.b_U[task])


def test_loss_is_the_mean_next_token_cross_entropy() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    logits, loss = model(tokens, return_type="both")
    wanted = -F.log_softmax(logits[:, :-1], dim=-1).gather(2, tokens[:, 1:, None]).mean()
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(model(tokens, return_type="loss"), wanted)


def test_model_is_in_evaluation_mode_which_changes_nothing() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    assert not model.training
    assert torch.equal(model(tokens), model.train()(tokens))


def test_configuration_in_transformer_lens_terms() -> None:
    cfg = tiny_model(n_key_value_heads=2, norm="LN", positions="learned", n_ctx=10, activation="relu").cfg
    assert (cfg.n_layers, cfg.n_heads, cfg.n_key_value_heads, cfg.d_model, cfg.d_head) == (2, 4, 2, 16, 4)
    assert (cfg.normalization_type, cfg.positional_embedding_type, cfg.n_ctx) == ("LN", "standard", 10)
    assert (cfg.gated_mlp, cfg.act_fn, cfg.device) == (True, "relu", "cpu")
    assert tiny_model().cfg.n_key_value_heads is None


def test_text_to_tokens() -> None:
    model = tiny_model()
    assert model.to_tokens("ab[EOS]").tolist() == [[1, 2, 0]]
    assert model.to_single_token("c") == 3
    with pytest.raises(InvalidValueError, match=re.escape("'ab' is 2 tokens; one is needed")):
        model.to_single_token("ab")


def test_wrong_vocabulary_is_refused() -> None:
    text = "the vocabulary has 2 tokens, the configuration's d_vocab is 9; they must agree"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        HookedTransformer(tiny_config(), vocabulary=Vocabulary(("a", "[EOS]")), generator=Generator())


def test_empty_example_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"^the example has no tokens; the model needs at least one$"):
        tiny_model()(tiny_tokens(pos=0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_model_runs_in_other_precisions(dtype: torch.dtype) -> None:
    tokens = tiny_tokens()
    for changes in CASES.values():
        model = tiny_model(**changes)
        wanted = model(tokens)
        logits = model.to(dtype)(tokens)
        assert logits.dtype == dtype
        torch.testing.assert_close(logits.float(), wanted, rtol=0.1, atol=0.3 if dtype == torch.bfloat16 else 1e-4)
