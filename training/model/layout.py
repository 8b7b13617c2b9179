"""How each weight lies in the matrices of a linear layer, [output, input], as other libraries keep them."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

LINEAR = {
    "W_E": ("vocab d_model", "vocab d_model"),
    "W_pos": ("pos d_model", "pos d_model"),
    "w": ("d_model", "d_model"),
    "b": ("d_model", "d_model"),
    "W_Q": ("head d_model d_head", "(head d_head) d_model"),
    "W_K": ("head d_model d_head", "(head d_head) d_model"),
    "W_V": ("head d_model d_head", "(head d_head) d_model"),
    "W_O": ("head d_head d_model", "d_model (head d_head)"),
    "b_Q": ("head d_head", "(head d_head)"),
    "b_K": ("head d_head", "(head d_head)"),
    "b_V": ("head d_head", "(head d_head)"),
    "b_O": ("d_model", "d_model"),
    "W_in": ("d_model d_mlp", "d_mlp d_model"),
    "W_gate": ("d_model d_mlp", "d_mlp d_model"),
    "W_out": ("d_mlp d_model", "d_model d_mlp"),
    "b_in": ("d_mlp", "d_mlp"),
    "b_out": ("d_model", "d_model"),
    "W_U": ("d_model vocab", "vocab d_model"),
    "b_U": ("vocab", "vocab"),
}
"""Our axes of a weight, and a linear layer's, by the last part of the weight's name."""


def to_linear(leaf: str, weight: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A weight as a linear layer keeps it: a view where that is possible.

    Args:
        leaf: The last part of the weight's name, such as `W_Q`.
        weight: The weight in our axes.
    """
    ours, theirs = LINEAR[leaf]
    return rearrange(weight, f"{ours} -> {theirs}")


def from_linear(leaf: str, weight: Float[Tensor, "..."], *, d_head: int) -> Float[Tensor, "..."]:
    """Undoes `to_linear`.

    Args:
        leaf: The last part of the weight's name.
        weight: The weight as a linear layer keeps it.
        d_head: Width of a head.
    """
    ours, theirs = LINEAR[leaf]
    sizes = {"d_head": d_head} if "d_head" in ours else {}
    return rearrange(weight, f"{theirs} -> {ours}", **sizes)
