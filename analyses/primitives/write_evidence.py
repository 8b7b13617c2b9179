"""Whether heads write what a primitive yields, against other tokens of the task in its place."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from analyses.primitives.primitive import Uses
from analyses.primitives.traces import LayerTrace
from training import HookedTransformer

NOTHING = -1
"""In the place of the first-ranked token, where several are first alike."""

_UNSEEN = 1e-6

_TIED = 1e-5
"""Read-outs that differ by less, as a share of the greatest, differ by rounding."""


@dataclass(frozen=True)
class WriteEvidence:
    """How often what each head of a layer would write from a source ranks the yielded token first.

    Attributes:
        tokens: Read off the OV circuit: the source token's embedding, through the layer's norm, W_V W_O and W_U.
        values: Read off the value that stands at the source position, through W_O and W_U.
        chance: The mean of the greater of the two over other tokens in the yielded one's place.
        p: Twice the lesser of the two p-values (at most 1), so that having two chances costs its due.
    """

    tokens: Float[np.ndarray, " head"]
    values: Float[np.ndarray, " head"]
    chance: Float[np.ndarray, " head"]
    p: Float[np.ndarray, " head"]

    @property
    def best(self) -> Float[np.ndarray, " head"]:
        """The greater of the two read-outs."""
        return np.maximum(self.tokens, self.values)


@dataclass(frozen=True)
class ReadOut:
    """From what a head writes to the tokens it argues for: W_U behind the final norm's weight, without its scale."""

    to_tokens: Float[Tensor, "d_model vocab"]

    @classmethod
    def of(cls, model: HookedTransformer, *, task_head: int) -> "ReadOut":
        """The read-out through one of the model's unembeddings."""
        W_U = model.W_U if model.config.task_heads == 1 else model.W_U[task_head]
        weighted = model.ln_final.w[:, None] * W_U
        if model.config.norm == "LN":
            weighted = weighted - weighted.mean(dim=0)
        return cls(weighted)

    def first(self, written: Float[Tensor, "use d_model"]) -> Int[Tensor, " use"]:
        """The token that ranks first, or `NOTHING` if several do."""
        values, tokens = (written @ self.to_tokens).topk(2, dim=-1)
        apart = values[:, 0] - values[:, 1] > _TIED * values.abs().amax(dim=-1)
        return torch.where(apart, tokens[:, 0], NOTHING)


@torch.inference_mode()
def write_evidence(
    model: HookedTransformer,
    trace: LayerTrace,
    tokens: Int[Tensor, "batch key"],
    uses: Uses,
    *,
    read_out: ReadOut,
    contents: Int[Tensor, " use"],
    renamed: Int[Tensor, "draw content"],
) -> WriteEvidence:
    """Both read-outs, with p = (b + 1) / (m + 1) over other tokens in the yielded ones' place.

    Where several sources carry the token, they are read out together, each as the head attends to it (evenly, if it
    attends to none). The null gives each yielded token another of the
    task's tokens, the same one wherever it is yielded: a head's OV circuit is one map of tokens, and each token's
    coincidence counts once, however many examples have the token. Where the token is a function of several sources'
    tokens, these are renamed, and it follows (`Primitive.renamed`).

    Args:
        model: The model.
        trace: The layer's attention.
        tokens: The tokens read.
        uses: The primitive's uses; it yields a token.
        read_out: Through the unembedding.
        contents: What stands at the sources of each use (`Primitive.contents`).
        renamed: Which token each content yields after a renaming (`Primitive.renamed`).
    """
    assert uses.yields is not None
    attn = model.blocks[trace.layer].attn
    embedded = bare_inputs(model, trace.layer)
    shared = model.config.n_heads // model.config.n_key_value_heads
    yields, weights = uses.yields[uses.applies], uses.weights[uses.applies]
    rates: list[list[float]] = []
    for head in range(model.config.n_heads):
        of_tokens = (embedded @ attn.W_V[head // shared])[tokens]
        carried = _shares(trace.pattern[:, head], uses)
        row: list[float] = []
        nulls: list[Tensor] = []
        for values in (of_tokens, trace.values(head)):
            first = read_out.first((carried @ values)[uses.applies] @ attn.W_O[head])
            row.append((weights * (first == yields)).sum().item())
            nulls.append(_rates(first, contents, weights, renamed))
        tails = [
            ((null >= rate - 1e-9).sum().item() + 1) / (len(renamed) + 1) for null, rate in zip(nulls, row, strict=True)
        ]
        rates.append([*row, torch.maximum(*nulls).mean().item(), min(1.0, 2 * min(tails))])
    return WriteEvidence(*np.array(rates).T)


def _shares(pattern: Float[Tensor, "batch query key"], uses: Uses) -> Float[Tensor, "batch query key"]:
    """What share each carrier has of the attention to all carriers; the same for all, if they get less than 1e-6."""
    even = uses.carriers.to(pattern.dtype)
    looked = pattern * even
    total = looked.sum(dim=-1, keepdim=True)
    even = even / even.sum(dim=-1, keepdim=True).clamp(min=1)
    return torch.where(total > _UNSEEN, looked / total.clamp(min=_UNSEEN), even)


def bare_inputs(model: HookedTransformer, layer: int) -> Float[Tensor, "vocab d_model"]:
    """Each token's embedding as a layer's heads read it where it stands alone; without the norm's bias."""
    norm = model.blocks[layer].ln1
    return norm(model.W_E) - (norm.b if norm.kind == "LN" else 0)


def renamings(
    symbols: Int[Tensor, " symbol"], *, vocab: int, draws: int, generator: Generator
) -> Int[Tensor, "draw vocab"]:
    """Random permutations of a task's tokens; all others keep their own."""
    keys = torch.rand(draws, len(symbols), generator=generator, device=generator.device, dtype=torch.float64)
    symbols = symbols.to(generator.device)
    maps = torch.arange(vocab, device=generator.device).repeat(draws, 1)
    maps[:, symbols] = symbols[keys.argsort(dim=1)]
    return maps


def _rates(first: Tensor, contents: Tensor, weights: Tensor, renamed: Tensor) -> Float[Tensor, " draw"]:
    """How often the first-ranked token is the one that the renamed contents yield, in each draw."""
    joint = torch.zeros(renamed.shape[1], int(renamed.max()) + 1, dtype=torch.float64, device=first.device)
    joint = torch.nn.functional.pad(joint, (0, max(0, int(first.max()) + 1 - joint.shape[1])))
    ranked = first != NOTHING
    joint.index_put_((contents[ranked], first[ranked]), weights[ranked], accumulate=True)
    begins = torch.arange(len(joint), device=first.device) * joint.shape[1]
    return joint.flatten()[renamed.to(first.device) + begins].sum(dim=1)
