"""Figures as pgf pictures, which LaTeX reads, written without LaTeX."""

import io
from pathlib import Path
from typing import Any

from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_pgf import RendererPgf
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from numpy.typing import ArrayLike

from interp.terminal.latex import escaped
from tasks.errors import InvalidValueError

_HEAD = r"""%% A pgf picture. In the document: \usepackage{pgf}, and \input{this file} where the figure belongs.
\begingroup%
\makeatletter%
\begin{pgfpicture}%
"""

_TAIL = r"""\end{pgfpicture}%
\makeatother%
\endgroup%
"""


def write_pgf(figure: Figure, path: Path) -> None:
    """Writes a figure, laid out before, as a pgf picture.

    matplotlib's own writer asks a TeX program how wide each word is. This one takes the widths of the figure's font,
    which comes with matplotlib: so it needs no TeX program, and the file is the same everywhere. The document sets the
    words in its own font. DejaVu Sans is wider than the usual ones, so they have room.

    Raises:
        InvalidValueError: The figure holds pixels.
    """
    picture = io.StringIO()
    width, height = (float(side) for side in figure.get_size_inches())
    dpi, figure.dpi = figure.dpi, 72
    try:
        figure.draw(_Renderer(figure, picture))
    finally:
        figure.dpi = dpi
    frame = rf"\pgfpathrectangle{{\pgfpointorigin}}{{\pgfqpoint{{{width:f}in}}{{{height:f}in}}}}%"
    text = _HEAD + frame + "\n" + "\\pgfusepath{use as bounding box, clip}%\n" + picture.getvalue() + _TAIL
    path.write_text(text, encoding="utf-8", newline="\n")


class _Renderer(RendererPgf):
    """matplotlib's renderer, with words measured in the figure's own font and written so that LaTeX shows them."""

    def __init__(self, figure: Figure, picture: io.StringIO) -> None:
        super().__init__(figure, picture)
        self._ruler = RendererAgg(1, 1, figure.dpi)

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        return self._ruler.get_text_width_height_descent(s, prop, ismath)

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: Any = "", mtext: Text | None = None,
    ) -> None:  # fmt: skip
        super().draw_text(gc, x, y, escaped(s), prop, angle, ismath, mtext)

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: ArrayLike, transform: object = None) -> None:
        raise InvalidValueError(
            "a pgf picture holds no pixels, and the figure has an image; draw its cells with pcolormesh, or write pdf"
        )
