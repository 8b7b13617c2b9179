"""Labels beside points, each where there is room, none over another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

_POINT = 2.4
"""Half the side, in typographic points, of the square that a mark takes."""

_RADII = (4.0, 7.0, 11.0, 16.0, 22.0, 29.0)
_ANGLES = tuple(math.radians(angle) for angle in (30, -30, 150, -150, 0, 180, 90, -90, 60, -60, 120, -120))


@dataclass(frozen=True)
class _Room:
    """What is taken: boxes in typographic points, and the frame around all."""

    frame: Bbox
    boxes: list[Bbox]

    def has(self, box: Bbox) -> bool:
        inside = self.frame.x0 <= box.x0 and box.x1 <= self.frame.x1 and self.frame.y0 <= box.y0
        return bool(inside and box.y1 <= self.frame.y1 and not box.count_overlaps(self.boxes))


def label_points(
    axes: Axes, names: Sequence[str], points: Float[np.ndarray, "name 2"], *, others: Float[np.ndarray, "point 2"]
) -> list[str]:
    """Writes names beside points, the first ones first, with a fine line to those that stand off.

    The figure is laid out first, so nothing may be added to it afterwards.

    Args:
        axes: Where.
        names: The names.
        points: Where each belongs, in data coordinates.
        others: All points that no name may cover.

    Returns:
        The names that found no room, and are left out.
    """
    figure = axes.figure
    figure.get_figure(root=True).draw_without_rendering()
    scale = 72 / figure.dpi
    frame = axes.get_window_extent()
    room = _Room(
        Bbox(scale * frame.get_points()),
        [_box(x, y, 2 * _POINT, 2 * _POINT) for x, y in scale * axes.transData.transform(others)],
    )
    left_out = []
    for name, at in zip(names, points, strict=True):
        x, y = scale * axes.transData.transform(at)
        place = _free(name, (float(x), float(y)), room)
        if place is None:
            left_out.append(name)
            continue
        right, up = place
        text = axes.annotate(
            name, tuple(at), (right, up), textcoords="offset points", ha="center", va="center", fontsize=SIZE,
            arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "#555555", "shrinkA": 0, "shrinkB": 2.2},
        )  # fmt: skip
        text.set_in_layout(False)
    return left_out


SIZE = 6.0
"""Of the names, in points."""


def _free(name: str, at: tuple[float, float], room: _Room) -> tuple[float, float] | None:
    """The nearest free place, from the point to the middle of the name; takes it, and the line to it."""
    width, height = 0.66 * SIZE * len(name) + 1, 1.15 * SIZE
    for radius in _RADII:
        for angle in _ANGLES:
            right = (radius + width / 2 - 2) * math.cos(angle)
            up = (radius + height / 2 - 2) * math.sin(angle)
            box = _box(at[0] + right, at[1] + up, width, height)
            line = [_box(at[0] + part * right, at[1] + part * up, 0.5, 0.5) for part in (0.35, 0.5, 0.65)]
            if room.has(box) and (radius < _RADII[1] or all(room.has(dot) for dot in line)):
                room.boxes.extend([box, *line])
                return right, up
    return None


def _box(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_extents(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
