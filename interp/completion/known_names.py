"""Names that a shell completes, known without loading torch; a test compares them with what the packages list."""

from importlib.util import find_spec
from pathlib import Path

TASKS = (
    "capitalize", "capitalize_reverse", "carry_only", "copy", "copy_first", "count", "dfs_trace", "digit_successor",
    "fill", "increment", "min", "mqar", "multiply_cot", "no_carry", "reverse", "reverse_add", "reverse_subtract",
    "shift", "shortest_path", "sort", "successor",
)  # fmt: skip

GROUPS = (
    "add/carry", "add/carry-scaled", "add/copy_first", "add/copy_first-scaled", "add/multiply", "add/multiply-scaled",
    "add/subtract", "add/subtract-scaled", "capitalize_reverse", "capitalize_reverse-scaled", "copy+shift",
    "copy/recall", "copy/recall-scaled", "copy/reverse", "copy/reverse-scaled", "increment/successor",
    "increment/successor-scaled", "maze", "maze-scaled", "maze/swapped", "maze/swapped-scaled", "reverse+shift",
    "sort+successor", "sort/count", "sort/count-scaled", "sort/fill", "sort/fill-scaled", "sort/successor",
    "sort/successor-scaled",
)  # fmt: skip

METRICS = ("accuracy", "token_accuracy", "nll", "logit_difference", "kl")

WEIGHTS = ("averaged", "raw")

LABELS = (
    "current_token", "next_target", "position_from_end", "minimum", "successor", "carry_in", "maze_depth",
)  # fmt: skip

PRIMITIVES = (
    "copy", "answer_copy", "min", "successor", "end_successor", "identity_successor", "previous_token", "induction",
    "offset_copy", "mirror_copy", "carry",
)  # fmt: skip

MEASURES = ("attention_difference", "jensen_shannon", "offset_cosine")

SITES = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "z")

POSITIONS = ("all", "prompt", "answer")

DEVICES = ("cpu", "cuda", "mps")


def presets() -> list[str]:
    """The presets that come with the toolkit."""
    found = find_spec("training")  # finds it, and does not load it
    places = (found.submodule_search_locations or []) if found is not None else []
    return sorted(file.stem for place in places for file in (Path(place) / "presets").glob("*.toml"))
