"""Which checkpoints can be loaded: a checkpoint's configuration file as a `ModelConfig`, or a refusal by field."""

from training.config import ModelConfig
from training.pretrained.fields import Fields
from training.pretrained.rope import rotary_of

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
"""What can be loaded. SmolLM and SmolLM2 are of the first kind."""

_BY_TYPE = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
_KEY_VALUE_HEADS = {"MistralForCausalLM": 8, "Qwen2ForCausalLM": 32}
"""How many there are where the file does not say; in a Llama as many as heads."""

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_DEFAULT_EPS = 1e-6


def read_architecture(fields: Fields) -> ModelConfig:
    """The shape of the model that a checkpoint's `config.json` describes, over the checkpoint's whole vocabulary.

    Raises:
        InvalidValueError: A field says that the model is of another kind than `ARCHITECTURES`, or has a part that
            `HookedTransformer` has not.
    """
    kind = _kind(fields)
    _refuse_others(fields, kind)
    heads, d_model = fields.count("num_attention_heads"), fields.count("hidden_size")
    groups = fields.count("num_key_value_heads", otherwise=_KEY_VALUE_HEADS.get(kind, heads))
    if heads % groups:
        raise fields.refused("num_key_value_heads", f"it must divide num_attention_heads, {heads}")
    if "head_dim" not in fields.values and d_model % heads:
        raise fields.refused("hidden_size", f"it must be a multiple of num_attention_heads, {heads}; or give head_dim")
    d_head = fields.count("head_dim", otherwise=d_model // heads)
    if d_head % 2:
        raise fields.refused("head_dim", f"heads of width {d_head} cannot be rotated: an even width is needed")
    base, scaling = rotary_of(fields)
    return ModelConfig(
        n_layers=fields.count("num_hidden_layers"),
        n_heads=heads,
        n_key_value_heads=groups,
        d_model=d_model,
        d_head=d_head,
        d_mlp=fields.count("intermediate_size"),
        d_vocab=fields.count("vocab_size"),
        positions="rotary",
        rotary_base=base,
        rotary_scaling=scaling,
        norm="RMS",
        norm_eps=fields.number("rms_norm_eps", fields.values.get("rms_norm_eps", _DEFAULT_EPS)),
        mlp="gated",
        activation="silu",
        biases="qkv" if kind == "Qwen2ForCausalLM" else "attention" if fields.flag("attention_bias") else "none",
        unembedding="tied" if fields.flag("tie_word_embeddings") else "separate",
    )


def _kind(fields: Fields) -> str:
    for field in ("auto_map", "trust_remote_code"):
        if fields.values.get(field):
            raise fields.refused(field, "the model is code of its own, which is never run; choose another checkpoint")
    named = fields.values.get("architectures") or [_BY_TYPE.get(str(fields.values.get("model_type")), "")]
    if not isinstance(named, list) or len(named) != 1 or named[0] not in ARCHITECTURES:
        raise fields.refused(
            "architectures" if fields.values.get("architectures") else "model_type",
            f"this architecture cannot be loaded; allowed are {', '.join(ARCHITECTURES)}; "
            "choose a checkpoint of one of them",
        )
    return named[0]


def _refuse_others(fields: Fields, kind: str) -> None:
    """Refuses what the architectures can have and `HookedTransformer` has not."""
    values = fields.values
    if values.get("quantization_config") is not None:
        raise fields.refused(
            "quantization_config",
            "quantised weights cannot be loaded; choose a checkpoint in float32, float16 or bfloat16",
        )
    for field in _EXPERTS:
        if values.get(field) not in (None, 0, 1):
            raise fields.refused(field, "mixtures of experts cannot be loaded; choose a dense model")
    if values.get("hidden_act", "silu") != "silu":
        raise fields.refused("hidden_act", "the gated MLP of these architectures must have 'silu'")
    if fields.flag("mlp_bias"):
        raise fields.refused("mlp_bias", "an MLP with biases cannot be loaded; choose a checkpoint without")
    slides = fields.flag("use_sliding_window") if kind == "Qwen2ForCausalLM" else kind == "MistralForCausalLM"
    if slides and values.get("sliding_window", 4096) is not None:
        field = "use_sliding_window" if kind == "Qwen2ForCausalLM" else "sliding_window"
        raise fields.refused(field, "attention within a window cannot be loaded; choose a checkpoint without")
    layers = values.get("layer_types") or []
    if not isinstance(layers, list) or any(one != "full_attention" for one in layers):
        raise fields.refused("layer_types", "every layer must have 'full_attention'; choose another checkpoint")
