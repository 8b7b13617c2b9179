"""What every component of the model uses: a test for hooks, and biases that may be absent."""

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint


def hooked(*points: HookPoint) -> bool:
    """Whether anything is attached to one of the hook points, in either direction."""
    return any(point._forward_hooks or point._backward_hooks or point._forward_pre_hooks for point in points)


def plus_bias(x: Tensor, bias: Tensor) -> Tensor:
    """x + bias, without a pass over x where the bias is not a trained one but zeros (`bias_or_zeros`)."""
    return x + bias if isinstance(bias, nn.Parameter) else x


def bias_or_zeros(*shape: int, trained: bool) -> Tensor:
    """A trained bias, or zeros that are no parameter, so that tools find a bias of the usual shape either way."""
    return nn.Parameter(torch.zeros(shape)) if trained else nn.Buffer(torch.zeros(shape), persistent=False)
