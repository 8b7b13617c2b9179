"""Layer norm and root-mean-square norm."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from training.config import ModelConfig
from training.model.parts import hooked


class Norm(nn.Module):
    """Layer norm (x - mean) / sqrt(var + eps) * w + b, or root-mean-square norm x / sqrt(mean(x^2) + eps) * w."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps, self.kind = config.norm_eps, config.norm
        self.w = nn.Parameter(torch.ones(config.d_model))
        if config.norm == "LN":
            self.b = nn.Parameter(torch.zeros(config.d_model))
        self.hook_scale = HookPoint()  # [batch, pos, 1]
        self.hook_normalized = HookPoint()  # [batch, pos, d_model], before w and b, as in TransformerLens 4

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        if hooked(self.hook_scale, self.hook_normalized):
            return self._explicit(x)
        if self.kind == "LN":
            return F.layer_norm(x, self.w.shape, self.w, self.b, self.eps)
        return F.rms_norm(x, self.w.shape, self.w, self.eps)

    def _explicit(self, x: Tensor) -> Tensor:
        if self.kind == "LN":
            x = x - x.mean(dim=-1, keepdim=True)
        scale = self.hook_scale((x.pow(2).mean(dim=-1, keepdim=True) + self.eps).sqrt())
        normalized = self.hook_normalized(x / scale) * self.w
        return normalized + self.b if self.kind == "LN" else normalized
