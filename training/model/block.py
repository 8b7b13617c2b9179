"""One block of the transformer: attention, then an MLP, each added to the residual stream."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from training.config import ModelConfig
from training.model.attention import Attention
from training.model.cache import KeyValue
from training.model.norm import Norm
from training.model.packing import Rows
from training.model.parts import bias_or_zeros, plus_bias

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


class MLP(nn.Module):
    """act(x W_in + b_in) W_out + b_out; gated: act(x W_gate) * (x W_in + b_in) before W_out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.act, self.gated = _ACTIVATIONS[config.activation], config.mlp == "gated"
        self.W_in = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
        self.W_out = nn.Parameter(torch.empty(config.d_mlp, config.d_model))
        self.b_in = bias_or_zeros(config.d_mlp, trained=config.biases == "all")
        self.b_out = bias_or_zeros(config.d_model, trained=config.biases == "all")
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()  # [batch, pos, d_mlp]
        if self.gated:
            self.W_gate = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
            self.hook_pre_linear = HookPoint()  # [batch, pos, d_mlp]

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        linear = plus_bias(x @ self.W_in, self.b_in)
        if not self.gated:
            post = self.act(self.hook_pre(linear))
        else:
            post = self.act(self.hook_pre(x @ self.W_gate)) * self.hook_pre_linear(linear)
        return plus_bias(self.hook_post(post) @ self.W_out, self.b_out)


class Block(nn.Module):
    """Pre-norm block: resid_mid = resid_pre + attn(norm(resid_pre)); resid_post = resid_mid + mlp(norm(resid_mid))."""

    hook_out_is_single_residual_stream = True  # what TransformerLens' logit lens asks of a block

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ln1, self.attn = Norm(config), Attention(config)
        self.ln2, self.mlp = Norm(config), MLP(config)
        self.hook_resid_pre, self.hook_attn_out, self.hook_resid_mid = HookPoint(), HookPoint(), HookPoint()
        self.hook_mlp_out, self.hook_resid_post = HookPoint(), HookPoint()  # each [batch, pos, d_model]

    def forward(
        self, resid: Float[Tensor, "batch pos d_model"], past: KeyValue | None = None, packed: Rows | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        return self.after_attention(self.middle(resid, past, packed=packed))

    def middle(
        self,
        resid: Float[Tensor, "batch pos d_model"],
        past: KeyValue | None = None,
        first: int = 0,
        packed: Rows | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """The residual stream after attention, from position `first` on (see `Attention`)."""
        resid = self.hook_resid_pre(resid)
        return resid[:, first:] + self.hook_attn_out(self.attn(self.ln1(resid), past, first, packed))

    def after_attention(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The rest of the block, from the residual stream in its middle: position by position, so any shape will do."""
        resid = self.hook_resid_mid(resid)
        return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(self.ln2(resid))))
