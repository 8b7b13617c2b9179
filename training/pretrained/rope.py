"""A checkpoint's rotary positions, in the old form (`rope_theta`, `rope_scaling`) or the new (`rope_parameters`)."""

import math
from collections.abc import Mapping
from typing import Any

from tasks import InvalidValueError
from training.config import RotaryScaling
from training.pretrained.fields import Fields

_BASE = 1e4
"""theta where the file does not say."""

_KINDS = ("default", "linear", "llama3", "yarn")
_LENGTH = "original_max_position_embeddings"


def rotary_of(fields: Fields) -> tuple[float, RotaryScaling]:
    """Base and scaling of a checkpoint's rotary frequencies.

    Raises:
        InvalidValueError: A kind of scaling that `RotaryScaling` has not, or a value that is missing or not allowed.
    """
    name, rope = fields.inner("rope_parameters", "rope_scaling")
    theta = rope.get("rope_theta", fields.values.get("rope_theta"))
    base = (
        _BASE if theta is None else fields.number(f"{name}.rope_theta" if "rope_theta" in rope else "rope_theta", theta)
    )
    part = rope.get("partial_rotary_factor", fields.values.get("partial_rotary_factor"))
    if part not in (None, 1, 1.0):
        raise fields.refused("partial_rotary_factor", "heads that are rotated in part cannot be loaded")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in _KINDS:
        field = f"{name}.{'rope_type' if 'rope_type' in rope else 'type'}"
        raise fields.refused(
            field, f"this scaling of rotary positions cannot be loaded; allowed are {', '.join(_KINDS)}"
        )
    if kind == "default":
        return base, RotaryScaling()
    values = _values(fields, name, rope, kind)
    try:
        return base, RotaryScaling.read({"kind": kind, **values})
    except InvalidValueError as error:
        raise fields.refused(name, str(error)) from None


def _values(fields: Fields, name: str, rope: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The fields of a `RotaryScaling` of this kind."""

    def number(field: str, *otherwise: float) -> float:
        value = rope.get(field)
        return otherwise[0] if value is None and otherwise else fields.number(f"{name}.{field}", value)

    factor = number("factor")
    if kind == "linear":
        return {"factor": factor}
    original = rope.get(_LENGTH)
    whole = fields.count("max_position_embeddings") if original is None else int(number(_LENGTH))
    values = {"factor": factor, "original": whole}
    if kind == "llama3":
        return {**values, "low": number("low_freq_factor"), "high": number("high_freq_factor")}
    return {
        **values,
        "fast": number("beta_fast", 32.0),
        "slow": number("beta_slow", 1.0),
        "ramp": "rounded" if rope.get("truncate", True) else "exact",
        "attention": number("attention_factor", _attention(fields, name, rope)),
    }


def _attention(fields: Fields, name: str, rope: Mapping[str, Any]) -> float:
    """What cosines and sines are multiplied by where the file does not say (YaRN, equation 22)."""
    factor = float(rope["factor"])
    if not (rope.get("mscale") and rope.get("mscale_all_dim")):
        return _grown(factor, 1.0)
    over, under = (fields.number(f"{name}.{field}", rope[field]) for field in ("mscale", "mscale_all_dim"))
    return _grown(factor, over) / _grown(factor, under)


def _grown(factor: float, strength: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * strength * math.log(factor) + 1
