"""The one model class: a decoder-only transformer with TransformerLens' hooks, parameter names and shapes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformer_lens.config import TransformerLensConfig
from transformer_lens.hook_points import HookPoint

from tasks import InvalidValueError, Vocabulary
from training.config import ModelConfig
from training.model.block import Block
from training.model.cache import KeyValueCache
from training.model.embedding import Embed, PosEmbed, TiedUnembed, Unembed
from training.model.hooking import StrictlyHooked
from training.model.native import to_native
from training.model.norm import Norm
from training.model.packing import Packed, Rows

_STEP = 64
"""Packed outputs are computed for a multiple of so many: half-precision products are compiled for each size they meet,
and the number of scored tokens is another in every batch."""

_COMPILED_STEP = 1024
"""The same where they are compiled, so that few sizes are met."""

_BlockCall = Callable[..., Tensor]


class HookedTransformer(StrictlyHooked):
    """A decoder-only transformer with TransformerLens' canonical hook names, parameter names and shapes.

    Every component takes a fast path while nothing is hooked to its inner activations (fused attention; Q, K and V in
    one product; fused norms) and the explicit path, one hook point per activation, as soon as something is. Both
    compute the same numbers, to rounding. `run_with_cache`, `run_with_hooks`, `ActivationCache` and
    `transformer_lens.patching` work on it as they do on TransformerLens' own models.

    Args:
        config: The model's shape.
        vocabulary: The tokens that the ids stand for; its length is `config.d_vocab`.
        generator: Draws the initial weights: matrices normal with standard deviation `initializer_range`, norms one,
            biases zero.

    Raises:
        InvalidValueError: The vocabulary's length differs from `config.d_vocab`.
    """

    def __init__(self, config: ModelConfig, *, vocabulary: Vocabulary, generator: Generator) -> None:
        super().__init__()
        if len(vocabulary) != config.d_vocab:
            raise InvalidValueError(
                f"the vocabulary has {len(vocabulary)} tokens, the configuration's d_vocab is {config.d_vocab}; "
                "they must agree"
            )
        self.config, self.vocabulary = config, vocabulary
        self.embed, self.hook_embed = Embed(config), HookPoint()
        if config.positions == "learned":
            self.pos_embed, self.hook_pos_embed = PosEmbed(config), HookPoint()
        blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.blocks = cast(
            "Sequence[Block]", blocks
        )  # for type checkers, which take a ModuleList's items for any module
        self.ln_final = Norm(config)
        self.unembed = TiedUnembed(config, self.embed) if config.unembedding == "tied" else Unembed(config)
        for name, parameter in self.named_parameters():
            if name.rsplit(".")[-1].startswith("W_") and not parameter.is_meta:  # one without memory is filled later
                nn.init.normal_(parameter, std=config.initializer_range, generator=generator)
        self._compiled: tuple[_BlockCall, _BlockCall] | None = None
        self.recompute: Literal["none", "blocks"] = "none"  # of what `packed_residual` keeps for the gradient
        self.setup()
        self.eval()  # nothing in the model depends on the mode, but TransformerLens' tools refuse one in training mode

    def forward(
        self,
        tokens: Int[Tensor, "batch pos"],
        *,
        return_type: Literal["logits", "loss", "both"] = "logits",
        task: int = 0,
        past: KeyValueCache | None = None,
    ) -> Any:
        """Logits [batch, pos, vocab]; the logits at position p predict the token at p + 1.

        Args:
            tokens: Token ids.
            return_type: `loss` is the mean next-token cross-entropy in nats over all positions, as TransformerLens
                defines it; `both` gives (logits, loss). Training and analyses score by `Batch.scored` instead.
            task: Which unembedding to use, if there is one for each task.
            past: Keys and values of the tokens before these ones, grown in place.
        """
        logits = self.logits(self.residual(tokens, past=past), task=task)
        if return_type == "logits":
            return logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        return loss if return_type == "loss" else (logits, loss)

    def start(self, tokens: Int[Tensor, "batch pos"], *, position: int = 0) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream before the first block; `position` is the first token's place in the sequence."""
        if tokens.shape[1] == 0:
            raise InvalidValueError("the example has no tokens; the model needs at least one")
        resid = self.hook_embed(self.embed(tokens))
        if self.config.positions != "learned":
            return resid
        positions = torch.arange(position, position + tokens.shape[1], device=tokens.device)
        return resid + self.hook_pos_embed(self.pos_embed(positions).expand_as(resid))

    def residual(
        self, tokens: Int[Tensor, "batch pos"], *, past: KeyValueCache | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the last block, before the final norm."""
        resid = self.start(tokens, position=past.length if past else 0)
        for layer, block in enumerate(self.blocks):
            resid = block(resid, past.layers[layer] if past else None)
        return resid

    def logits(self, resid: Float[Tensor, "*batch d_model"], *, task: int = 0) -> Float[Tensor, "*batch vocab"]:
        """Final norm and unembedding, position by position, so any selection of positions will do."""
        with torch.autocast(resid.device.type, enabled=False):  # in the weights' precision, and so the loss
            return self.unembed(self.ln_final(resid.to(self.dtype)), task=task)

    def scored_logits(
        self, tokens: Int[Tensor, "batch pos"], predicting: Bool[Tensor, "batch pos"], *, task: int = 0
    ) -> Float[Tensor, "scored vocab"]:
        """Logits at the predicting positions only (`Batch.predicting`).

        With nothing hooked, the last block's output map and MLP and the unembedding run on those positions alone.
        """
        return self.logits(self.scored_residual(tokens, predicting), task=task)

    def scored_residual(
        self, tokens: Int[Tensor, "batch pos"], predicting: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "scored d_model"]:
        """The residual stream after the last block, at the predicting positions only."""
        if self.is_hooked:
            return self.residual(tokens)[predicting]
        return self._last(self.start(tokens), predicting.flatten().nonzero().flatten(), None)

    def packed_residual(self, packed: Packed) -> Float[Tensor, "scored d_model"]:
        """`scored_residual` of a packed batch, in the batch's order; while hooked, computed without packing."""
        if self.is_hooked:
            batch = packed.batch.to(self.device)
            return self.scored_residual(batch.inputs, batch.predicting)
        resid = self.embed(packed.tokens)
        if self.config.positions == "learned":
            resid = resid + self.pos_embed(packed.positions.flatten()).view_as(resid)
        turns = self.blocks[0].attn.turns(0, packed.tokens.shape[1], like=resid)
        if turns is not None:
            turns = (turns if self._compiled is None else torch.view_as_real(turns))[packed.positions]
        count = len(packed.predicting)
        places = F.pad(packed.predicting, (0, -count % (_COMPILED_STEP if self._compiled else _STEP)))
        return self._last(resid, places, Rows(packed.positions, packed.mask(), turns))[:count]

    def compile_packed(self, *, backend: str | None = "inductor") -> None:
        """Has `packed_residual` compiled at its first call (`torch.compile`), block by block, for any number of rows.

        It pays where memory is the bottleneck, on a GPU: what stands between two matrix products becomes one pass.

        Args:
            backend: Of `torch.compile`; with None nothing is compiled.
        """
        if backend is None:
            self._compiled = None
            return
        whole, last = (torch.compile(step, backend=backend, dynamic=True) for step in (Block.forward, _scored_places))
        self._compiled = whole, last

    def _last(
        self, resid: Float[Tensor, "batch pos d_model"], places: Int[Tensor, " scored"], packed: Rows | None
    ) -> Float[Tensor, "scored d_model"]:
        """The residual stream after the last block at some places, counted through all rows."""
        compiled = self._compiled if packed else None
        whole, last = compiled or (Block.forward, _scored_places)
        if self.recompute == "blocks" and torch.is_grad_enabled():
            again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)  # blocks draw nothing at random
            whole, last = partial(again, whole), partial(again, last)
        for block in self.blocks[:-1]:
            resid = whole(block, resid, packed=packed)
        return last(self.blocks[-1], resid, places, packed=packed)

    @property
    def cfg(self) -> TransformerLensConfig:
        """The configuration in TransformerLens' terms, which its tools read."""
        c = self.config
        kinds = {"rotary": "rotary", "none": "none", "learned": "standard"}
        return TransformerLensConfig(
            d_model=c.d_model, d_head=c.d_head, n_layers=c.n_layers, n_ctx=c.n_ctx or 2048, n_heads=c.n_heads,
            d_mlp=c.d_mlp, d_vocab=c.d_vocab, device=str(self.device), act_fn=c.activation, normalization_type=c.norm,
            positional_embedding_type=kinds[c.positions], gated_mlp=c.mlp == "gated", eps=c.norm_eps, dtype=self.dtype,
            n_key_value_heads=c.n_key_value_heads if c.n_key_value_heads < c.n_heads else None,
        )  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed.W_E.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return self.embed.W_E.dtype

    @property
    def W_E(self) -> Float[Tensor, "vocab d_model"]:
        """The token embedding."""
        return self.embed.W_E

    @property
    def W_U(self) -> Float[Tensor, "*task d_model vocab"]:
        """The unembedding."""
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, "*task vocab"]:
        """The unembedding's bias, zeros if it has none."""
        return self.unembed.b_U

    def to_tokens(self, text: str) -> Int[Tensor, "1 pos"]:
        """Token ids of a text, as a batch of one."""
        return self.vocabulary.encode(text)[None].to(self.device)

    def to_single_token(self, text: str) -> int:
        """The id of a text that is one token.

        Raises:
            InvalidValueError: It is several tokens, or not in the vocabulary.
        """
        ids = self.vocabulary.encode(text)
        if len(ids) != 1:
            raise InvalidValueError(f"{text!r} is {len(ids)} tokens; one is needed")
        return int(ids[0])

    def tokens_to_residual_directions(
        self, tokens: Int[Tensor, "*pos"] | int | str, *, task: int = 0
    ) -> Float[Tensor, "*pos d_model"]:
        """For each token, the direction whose product with the scaled residual stream is the token's logit.

        That is its column of W_U times the final norm's weight, so `ActivationCache.logit_attrs`, which divides by the
        norm's scale only, sums to the logit, less the constant part of `ln_final.b` and `b_U`.
        """
        ids = self.to_single_token(tokens) if isinstance(tokens, str) else tokens
        W_U = self.W_U if self.config.task_heads == 1 else self.W_U[task]
        return W_U.T[ids] * self.ln_final.w

    def accumulated_bias(
        self,
        layer: int,
        mlp_input: bool = False,  # noqa: FBT001, FBT002 - TransformerLens passes it by place
        include_mlp_biases: bool = True,  # noqa: FBT001, FBT002
    ) -> Float[Tensor, " d_model"]:
        """The sum of the biases that the blocks before `layer` write to the residual stream.

        Args:
            layer: The first block that is left out.
            mlp_input: Count the attention bias of `layer` itself too, as its MLP reads it.
            include_mlp_biases: Count b_out besides b_O.
        """
        total = torch.zeros_like(self.ln_final.w)
        for block in self.blocks[:layer]:
            total = total + block.attn.b_O + (block.mlp.b_out if include_mlp_biases else 0)
        return total + self.blocks[layer].attn.b_O if mlp_input else total

    def to_transformer_lens(self, *, n_ctx: int = 2048) -> Any:
        """A TransformerLens native bridge that computes what the model computes, with a copy of its weights.

        With rotary positions the components of each query and key are reordered within their head, (0, h/2, 1, h/2 + 1,
        ...) with h = d_head, because the bridge rotates adjacent pairs; nothing else depends on their order. The
        bridge's `hook_attn_scores` holds the pattern after the softmax, and ignores edits (TransformerLens 4.3).

        Args:
            n_ctx: The greatest length that the bridge will run; learned positions have their own.

        Raises:
            InvalidValueError: An option of the model that the native bridge does not have.
        """
        weights = dict(self.named_parameters()) | dict(self.named_buffers()) | {"unembed.W_U": self.W_U}
        return to_native(self.config, weights, n_ctx=n_ctx)


def _scored_places(
    block: Block,
    resid: Float[Tensor, "batch pos d_model"],
    places: Int[Tensor, " scored"],
    packed: Rows | None,
) -> Float[Tensor, "scored d_model"]:
    """What the last block makes of the residual stream, at some places only."""
    z = block.attn.z(block.ln1(resid), packed=packed)
    z, resid = (part.flatten(0, 1).index_select(0, places) for part in (z, resid))
    return block.after_attention(resid + block.attn.out(z))
