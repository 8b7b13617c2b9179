"""What the page's scripts read: plots and attention patterns by the id of their element, and files by their name."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from interp.figures.attention_patterns import HeadAttention, pattern_properties
from interp.figures.style import ON_DARK
from interp.page.html import script_json
from interp.panels.panel import Panel
from interp.panels.sources import Source, csv_files


def page_data(panels: Iterable[Panel], sources: Iterable[Source], heads: Sequence[HeadAttention] = ()) -> Markup:
    """The data of a page as JSON that can stand in a script element.

    Args:
        panels: The figures.
        sources: The tables that readers can save.
        heads: The attention patterns.
    """
    patterns = {
        f"pattern-{head.layer}-{head.head}-{place}": pattern_properties(example)
        for head in heads
        for place, example in enumerate(head.examples)
    }
    drawn = list(panels)
    files = csv_files([*(panel.source for panel in drawn), *sources])
    plots = {panel.id: panel.plot for panel in drawn}
    return script_json({"plots": plots, "patterns": patterns, "onDark": ON_DARK, "files": files})
