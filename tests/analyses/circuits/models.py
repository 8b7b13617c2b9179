"""What the circuit tests share: hand-worked pairs and circuits, and a reference that materialises every input."""

import copy
import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor

from analyses.circuits import Circuit
from analyses.components import Part
from analyses.examples import Examples
from analyses.graph import EMBED, Edge, Receiver, Sender, edges
from analyses.heads import Head
from tasks import Batch, Pair, get_task
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer

TASK = get_task("copy", alphabet=4, case="lower")

SETTINGS: dict[str, dict[str, object]] = {
    "rotary, RMS, gated": {},
    "none, LN": {"positions": "none", "norm": "LN"},
    "learned, plain MLP, all biases": {"positions": "learned", "n_ctx": 12, "mlp": "plain", "biases": "all"},
    "grouped queries, qkv biases": {"n_key_value_heads": 2, "biases": "qkv"},
    "grouped queries, log_n, no positions": {"n_key_value_heads": 1, "temperature": "log_n", "positions": "none"},
    "log_n, tied, LN, rotary": {"temperature": "log_n", "unembedding": "tied", "norm": "LN"},
    "three task heads, all biases": {"task_heads": 3, "biases": "all"},
    "one layer": {"n_layers": 1},
}

HAND = hand_model().config


def hand_pair() -> Pair:
    """Clean `aa`, `ba` and counterfactual `ab`, `bb`; [EOS] is right and b wrong, whose logit is 0."""
    scored = torch.tensor([[False, False, True]] * 2)
    return Pair(
        Batch(torch.tensor([[0, 0, 2], [1, 0, 2]]), scored), Batch(torch.tensor([[0, 1, 1], [1, 1, 1]]), scored)
    )


def hand_examples() -> Examples:
    return Examples.of_pair(hand_pair())


def hand_circuit(text: str) -> Circuit:
    """A circuit of the hand-set model; a leading `-` means all edges but those named."""
    named = Circuit.parse(text.removeprefix("-"), HAND)
    return named.complement() if text.startswith("-") else named


def model_of(name: str) -> HookedTransformer:
    return model_with(**SETTINGS[name])


def model_with(**settings: object) -> HookedTransformer:
    """A random model of two layers whose biases, norms and temperatures are random too."""
    model = random_model(TASK.vocabulary, **({"n_layers": 2} | settings))
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".b_" in parameter_name or parameter_name.endswith(".b"):
                parameter.normal_(std=0.5, generator=seeded(2))
            if parameter_name.endswith((".w", ".beta")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(3)))
    return model


def random_circuits(model: HookedTransformer) -> list[Circuit]:
    """Circuits that keep some shares of the edges, the last two all and none."""
    everything, generator = edges(model.config), seeded(4)
    shares = [0.3, 0.45, 0.55, 0.7, 1.1, -1]
    drawn = [torch.rand(len(everything), generator=generator) < share for share in shares]
    return [
        Circuit(tuple(edge for edge, kept in zip(everything, row.tolist(), strict=True) if kept), model.config)
        for row in drawn
    ]


def drawn_pair(n: int = 5, *, length: int = 3, seed: int = 3) -> Pair:
    generator = seeded(seed)
    return TASK.counterfactual(TASK.sample(n, length=length, generator=generator), generator=generator)


def reference_logits(
    model: HookedTransformer,
    tokens: Tensor,
    other: Tensor,
    current: Collection[Edge],
    *,
    predicting: Tensor,
    task_head: int = 0,
) -> Tensor:
    """The definition, in float64: every receiver's own sum of what senders write now or wrote in the other run."""
    model = copy.deepcopy(model).double()
    written = _Run(model, other, {}, None).written
    run = _Run(model, tokens, written, frozenset(current))
    return model.logits(run.read(Receiver(model.config.n_layers - 1, "logits")), task=task_head)[predicting]


class _Run:
    """One pass: what each sender writes, one receiver at a time. Without `current` nothing is exchanged."""

    def __init__(
        self, model: HookedTransformer, tokens: Tensor, others: dict[Sender, Tensor], current: frozenset[Edge] | None
    ) -> None:
        self.model, self.others, self.current = model, others, current
        self.constant = torch.zeros(model.config.d_model, dtype=torch.float64)
        self.written: dict[Sender, Tensor] = {EMBED: model.W_E[tokens]}
        if model.config.positions == "learned":
            self.written[EMBED] = self.written[EMBED] + model.pos_embed.W_pos[: tokens.shape[1]]
        for layer, block in enumerate(model.blocks):
            heads = {Head(layer, head): self.head(layer, head) for head in range(model.config.n_heads)}
            self.written |= heads
            self.constant = self.constant + block.attn.b_O
            self.written[Part(layer, "mlp")] = self.mlp(layer)

    def read(self, receiver: Receiver) -> Tensor:
        total = self.constant
        for sender, now in self.written.items():
            kept = self.current is None or Edge(sender, receiver) in self.current
            total = total + (now if kept else self.others[sender])
        return total

    def norm(self, norm: torch.nn.Module, x: Tensor) -> Tensor:
        if norm.kind == "LN":
            x = x - x.mean(-1, keepdim=True)
        y = x / (x.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.w  # pyright: ignore[reportOperatorIssue]
        return y + norm.b if norm.kind == "LN" else y  # pyright: ignore[reportOperatorIssue]

    def head(self, layer: int, head: int) -> Tensor:
        block, config = self.model.blocks[layer], self.model.config
        attn, group = block.attn, head // (config.n_heads // config.n_key_value_heads)
        q = self.norm(block.ln1, self.read(Receiver(layer, "q", head))) @ attn.W_Q[head] + attn.b_Q[head]
        k = self.norm(block.ln1, self.read(Receiver(layer, "k", group))) @ attn.W_K[group] + attn.b_K[group]
        v = self.norm(block.ln1, self.read(Receiver(layer, "v", group))) @ attn.W_V[group] + attn.b_V[group]
        if config.positions == "rotary":
            q, k = self.rotated(q), self.rotated(k)
        z = torch.zeros_like(q)
        for query in range(q.shape[1]):
            scores = (q[:, query : query + 1] * k[:, : query + 1]).sum(dim=-1) / config.d_head**0.5
            if config.temperature == "log_n":
                scores = scores * attn.beta * math.log(query + 1)
            z[:, query] = (scores.softmax(dim=1)[..., None] * v[:, : query + 1]).sum(dim=1)
        return z @ attn.W_O[head]

    def rotated(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        places = torch.arange(x.shape[1], dtype=torch.float64)[:, None]
        angles = places * self.model.config.rotary_base ** (-torch.arange(half, dtype=torch.float64) / half)
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat((turned.real, turned.imag), dim=-1)

    def mlp(self, layer: int) -> Tensor:
        block = self.model.blocks[layer]
        x, mlp = self.norm(block.ln2, self.read(Receiver(layer, "mlp"))), block.mlp
        act = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[self.model.config.activation]
        linear = x @ mlp.W_in + mlp.b_in
        hidden = act(x @ mlp.W_gate) * linear if mlp.gated else act(linear)
        return hidden @ mlp.W_out + mlp.b_out
