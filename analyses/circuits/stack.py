"""The forward pass of several circuits at once: every receiver reads its own sum of what the senders write.

A sender's value is held as its difference from the reference run, which the edges that are cut carry. So a receiver
reads the reference run's residual stream plus the differences of the senders whose edges are kept: one matrix product,
[receiver, sender] times [sender, values], for each layer and kind of input. Nothing kept gives the reference run to the
last bit, and what no kept edge reaches is not computed. All of it has the
model's own precision. In half precision that hides what a single edge does, if it is less than the logits' rounding;
differences and sums in float32 were measured too and come no nearer, for what each part reads is rounded all the same.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.graph import heads_among_senders, inputs_among_receivers
from training import HookedTransformer, ModelConfig
from training.model.attention import Attention
from training.model.rotary import adjacent, turn


@dataclass(frozen=True)
class Reference:
    """One whole run: what its heads and MLPs write, and the residual stream that each of them reads.

    In the last layer, the middle, the MLP and all that follows are those at the predicting positions only.

    Attributes:
        start: The embedding, with learned positions if there are any.
        before: The residual stream before each layer.
        z: Each layer's heads' outputs before W_O.
        middle: The residual stream in the middle of each layer.
        mlp: What each layer's MLP writes.
        end: The residual stream after the last layer.
        logits: The logits at the predicting positions.
    """

    start: Float[Tensor, "batch pos d_model"]
    before: list[Float[Tensor, "batch pos d_model"]]
    z: list[Float[Tensor, "batch pos head d_head"]]
    middle: list[Float[Tensor, "... d_model"]]
    mlp: list[Float[Tensor, "... d_model"]]
    end: Float[Tensor, "scored d_model"]
    logits: Float[Tensor, "scored vocab"]

    @classmethod
    def of(
        cls,
        model: HookedTransformer,
        tokens: Int[Tensor, "batch pos"],
        predicting: Bool[Tensor, "batch pos"],
        *,
        task_head: int,
    ) -> "Reference":
        """The run on some tokens, read at the predicting positions."""
        start = resid = model.start(tokens)
        before, zs, middles, mlps = [], [], [], []
        for layer, block in enumerate(model.blocks):
            before.append(resid)
            z = block.attn.z(block.ln1(resid))
            middle = resid + block.attn.out(z)
            if layer == model.config.n_layers - 1:
                middle = middle[predicting]
            mlp = block.mlp(block.ln2(middle))
            resid = middle + mlp
            for values, value in ((zs, z), (middles, middle), (mlps, mlp)):
                values.append(value)
        return cls(start, before, zs, middles, mlps, resid, model.logits(resid, task=task_head))


@dataclass
class Stack:
    """Several circuits on their way through the model.

    Attributes:
        model: The model.
        reference: The run whose values the cut edges carry.
        predicting: The positions whose logits are read.
        kept: 1 for each edge that is kept, in the order of `analyses.graph.receivers` and `senders`.
        differences: What each sender writes now, less what it writes in the reference run; 0 while it has not written.
        alive: Which senders' differences are computed: those that a kept edge leads to from the embedding.
    """

    model: HookedTransformer
    reference: Reference
    predicting: Bool[Tensor, "batch pos"]
    kept: Float[Tensor, "circuit receiver sender"]
    differences: Float[Tensor, "circuit sender ... d_model"] = field(init=False)
    alive: Bool[Tensor, "circuit sender"] = field(init=False)

    def logits(self, tokens: Int[Tensor, "batch pos"], *, task_head: int) -> Float[Tensor, "circuit scored vocab"]:
        """The logits at the predicting positions when the model reads these tokens, circuit by circuit."""
        start = self.model.start(tokens) - self.reference.start
        circuits, senders = len(self.kept), self.kept.shape[2]
        self.differences = start.new_zeros(circuits, senders, *start.shape)
        self.differences[:, 0] = start
        self.alive = torch.zeros(circuits, senders, dtype=torch.bool, device=start.device)
        self.alive[:, 0] = True
        for layer in range(self.model.config.n_layers):
            self._attend(layer)
            self._mlp(layer)
        rows = torch.tensor([self.kept.shape[1] - 1], device=start.device)
        return self.model.logits(self._read(rows, senders, self.reference.end)[:, 0], task=task_head)

    def _attend(self, layer: int) -> None:
        """The differences of a layer's heads; in the last layer, of everything at the predicting positions only."""
        config, attention = self.model.config, self.model.blocks[layer].attn
        sent = heads_among_senders(layer, config)
        q = inputs_among_receivers(layer, config).start + torch.arange(config.n_heads, device=self.kept.device)
        group = torch.arange(config.n_heads, device=self.kept.device) // (config.n_heads // config.n_key_value_heads)
        k = q[0] + config.n_heads + group
        v = k + config.n_key_value_heads
        alive = torch.stack([self._reached(rows, sent.start) for rows in (q, k, v)]).any(dim=0)  # [circuit, head]
        heads = alive.any(dim=0).nonzero()[:, 0]
        z = self._z(layer, heads, q, k, v) if len(heads) else None
        if layer == config.n_layers - 1:
            self.differences = self.differences[:, :, self.predicting]
        if z is None:
            return
        change = z - self.reference.z[layer][:, :, heads]
        places = change[:, self.predicting] if layer == config.n_layers - 1 else change.flatten(1, 2)
        written = places.transpose(1, 2) @ attention.W_O[heads]  # [circuit, head, place, d_model]
        self.differences[:, sent.start + heads] = written.unflatten(2, self.differences.shape[2:-1])
        self.alive[:, sent] = alive

    def _z(
        self, layer: int, heads: Int[Tensor, " head"], q: Tensor, k: Tensor, v: Tensor
    ) -> Float[Tensor, "circuit batch pos head d_head"]:
        """z of some heads, each from its own three inputs; key-value heads that several of them share, once."""
        block, base = self.model.blocks[layer], self.reference.before[layer]
        sent = heads_among_senders(layer, self.model.config).start
        groups, place = (k[heads] - k[0]).unique(return_inverse=True)
        attention = block.attn
        q, k, v = (  # one after the other: what a layer's heads read is its largest value
            _places_first(block.ln1(self._read(rows, sent, base)), weight, bias)
            for rows, weight, bias in (
                (q[heads], attention.W_Q[heads], attention.b_Q[heads]),
                (k[0] + groups, attention.W_K[groups], attention.b_K[groups]),
                (v[0] + groups, attention.W_V[groups], attention.b_V[groups]),
            )
        )
        return attended(attention, q, k[:, :, place], v[:, :, place]).unflatten(0, (len(self.kept), -1))

    def _mlp(self, layer: int) -> None:
        """The difference of a layer's MLP."""
        block, config = self.model.blocks[layer], self.model.config
        sent, place = heads_among_senders(layer, config).stop, inputs_among_receivers(layer, config).stop
        row = torch.tensor([place], device=self.kept.device)
        alive = self._reached(row, sent)[:, 0]
        if bool(alive.any()):
            read = self._read(row, sent, self.reference.middle[layer])[:, 0]
            self.differences[:, sent] = block.mlp(block.ln2(read)) - self.reference.mlp[layer]
            self.alive[:, sent] = alive

    def _read(
        self, rows: Int[Tensor, " row"], sent: int, base: Float[Tensor, "*place d_model"]
    ) -> Float[Tensor, "circuit row *place d_model"]:
        """What some receivers read: the reference run's residual stream and the differences that are kept."""
        change = self.kept[:, rows, :sent] @ self.differences[:, :sent].flatten(2)
        return change.unflatten(-1, base.shape).add_(base)  # a new tensor, and large

    def _reached(self, rows: Int[Tensor, " row"], sent: int) -> Bool[Tensor, "circuit row"]:
        """Whether a receiver reads something that can differ from the reference run."""
        return (self.kept[:, rows, :sent].bool() & self.alive[:, None, :sent]).any(dim=2)


class Together(NamedTuple):
    """How many examples, and how many circuits of each of them, are run together."""

    examples: int
    circuits: int


def fitting(config: ModelConfig, *, width: int, n: int, token_budget: int) -> Together:
    """As many as hold at most as many numbers as a forward pass of the token budget; one of each at least.

    For each token of each circuit there are the senders' differences, and what a layer's heads read, before and after
    the norm, or a forward pass, whichever is more; for each token of each example there are the reference run's values.
    On a processor twice as many take up to half as long again, and half as many no less time.
    """
    passing = 3 * config.d_mlp + 4 * config.d_model
    senders = 1 + config.n_layers * (config.n_heads + 1)
    per_circuit = width * (senders * config.d_model + max(passing, 2 * config.n_heads * config.d_model))
    per_example = width * (4 * config.n_layers + 2) * config.d_model
    room = token_budget * passing
    examples = max(1, min(n, room // (per_example + per_circuit)))
    return Together(examples, max(1, (room - examples * per_example) // (examples * per_circuit)))


def attended(
    attention: Attention,
    q: Float[Tensor, "batch pos head d_head"],
    k: Float[Tensor, "batch pos head d_head"],
    v: Float[Tensor, "batch pos head d_head"],
) -> Float[Tensor, "batch pos head d_head"]:
    """z from queries, keys and values as they are projected: turned if positions are rotary, tempered if log_n."""
    turns = attention.turns(0, q.shape[1], like=q)
    if turns is not None:  # a product of a query and a key does not depend on the order that both have
        q, k = turn(adjacent(q), turns), turn(adjacent(k), turns)
    if attention.config.temperature == "log_n":
        exact = torch.promote_types(q.dtype, torch.float32)  # half precision cannot count to 257
        counts = torch.arange(1, q.shape[1] + 1, device=q.device, dtype=exact)
        q = q * (attention.beta * counts.log().to(q.dtype))[:, None, None]
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


def _places_first(
    x: Float[Tensor, "circuit head batch pos d_model"],
    weight: Float[Tensor, "head d_model d_head"],
    bias: Float[Tensor, "head d_head"],
) -> Float[Tensor, "rows pos head d_head"]:
    """Each head's projection of its own input, with circuits and examples in one row."""
    projected = x.flatten(2, 3) @ weight + bias[:, None]
    return projected.unflatten(2, x.shape[2:4]).permute(0, 2, 3, 1, 4).flatten(0, 1)
