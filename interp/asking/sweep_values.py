"""Options of a command as a sweep's grid names them."""

from collections.abc import Mapping

from interp.asking.options import Form
from training import Preset
from training.sweep.cells import SECTIONS


def fixed_values(settings: tuple[str, ...], form: Form) -> Mapping[str, object]:
    """The options as a grid names them: lengths and marking, and keys of the preset."""
    sections = Preset("", {name: {} for name in SECTIONS}).override(settings).sections
    return {key: value for key, value in {**vars(form), **sections}.items() if value not in (None, {})}
