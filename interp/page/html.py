"""Templates, styles and scripts of the page, and text as HTML or JSON that no name can break out of."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from interp.figures.attention_patterns import circuitsvis_script
from training.files import write_whole

TEMPLATES = Path(__file__).parent.parent / "templates"

_DIGITS = 6
"""Significant digits of the numbers that figures are drawn of: more than a screen can show."""


def render(template: str, context: Mapping[str, Any], *, patterns: bool) -> str:
    """A page as HTML text, with its style and scripts inside.

    Args:
        template: The template's file name.
        context: Its names.
        patterns: Whether the page draws attention patterns, for which it needs circuitsvis's script.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rich"] = rich
    return environment.get_template(template).render({**context, **_assets(patterns=patterns)})


def write_html(text: str, path: Path) -> Path:
    """Writes a page under a temporary name first: a failure leaves nothing half-written behind.

    Raises:
        InvalidValueError: The file can't be written.
    """
    return write_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def rich(text: str) -> Markup:
    """Text as HTML: escaped, parts in backticks as code, and no line break before "%" or inside "a ± b" or "p = x"."""
    safe = re.sub(r"\b([pq]) (=|&lt;) ", "\\1\u00a0\\2\u00a0", str(escape(text)))
    safe = safe.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0")
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", safe))


def script_json(value: object) -> Markup:
    """JSON that can stand in a script element: no text in it can end the element or open a comment."""
    text = json.dumps(_drawable(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _assets(*, patterns: bool) -> dict[str, Markup]:
    """Style and scripts, as they stand in the page."""
    return {
        "style": Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "script": Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        "tools_script": Markup((TEMPLATES / "tools.js").read_text(encoding="utf-8")),
        "plotly_script": Markup(get_plotlyjs()),
        "circuitsvis_script": Markup(circuitsvis_script()) if patterns else Markup(""),
    }


def _drawable(value: Any) -> Any:
    """The value with NaN and infinities as null, which plotly leaves out, and with no more digits than are drawn."""
    if isinstance(value, dict):
        return {str(key): _drawable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
    return value
