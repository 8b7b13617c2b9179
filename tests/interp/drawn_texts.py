"""Where the words of a drawn figure are: none may lie over another, or leave the figure."""

from itertools import combinations
from typing import Any
from unittest.mock import patch

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SLACK = 0.6
"""Pixels, at 100 per inch, that boxes may share: a box is a little larger than its ink."""


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every word that is drawn, with its box in pixels: what matplotlib decides not to draw is not there."""
    found: list[tuple[str, Bbox]] = []
    draw = Text.draw

    def noted(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> None:
        draw(self, renderer, *args, **kwargs)
        if self.get_visible() and self.get_text().strip():
            found.append((self.get_text(), Text.get_window_extent(self, renderer)))

    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # lays it out
    with patch.object(Text, "draw", noted):
        canvas.draw()
    return found


def clashes(texts: list[tuple[str, Bbox]]) -> list[tuple[str, str]]:
    """The pairs of words that lie over each other."""
    return [
        (one, other)
        for (one, first), (other, second) in combinations(texts, 2)
        if min(first.x1, second.x1) - max(first.x0, second.x0) > SLACK
        and min(first.y1, second.y1) - max(first.y0, second.y0) > SLACK
    ]


def outside(texts: list[tuple[str, Bbox]], figure: Figure) -> list[str]:
    """The words that leave the figure."""
    width, height = figure.get_size_inches() * figure.dpi
    return [
        text for text, box in texts if min(box.x0, box.y0) < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK
    ]
