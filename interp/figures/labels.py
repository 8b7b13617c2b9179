"""Where the labels of a scatter plot go, so that none covers another, a point or the plot's edge at any page width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

SIZES = (250.0, 330.0, 430.0)
"""Sides of the square plot, in pixels, at which the labels must be free: from a phone to a desktop."""

NEAR = 0.04
"""Points closer than this share of the plot get one label together."""

_CHARACTER, _LINE, _POINT, _PER_LINE = 7.0, 15.0, 11.0, 3
_RADII = (17.0, 26.0, 38.0, 52.0, 68.0, 86.0)
_ANGLES = tuple(math.pi * step / 8 for step in (14, 6, 10, 2, 15, 7, 13, 5, 9, 11, 1, 3, 0, 8, 12, 4))
"""Off the axes and off the rising diagonal first: there the plot has lines."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A label and its place.

    Attributes:
        lines: The text; several names where points lie close together.
        at: The point that it belongs to, as fractions of the plot (right, up).
        right: Pixels from the point right to the label's middle.
        below: Pixels from the point down to the label's middle.
    """

    lines: tuple[str, ...]
    at: Point
    right: float
    below: float

    def box(self, size: float) -> Box:
        """Left, top, right and bottom of the text in a plot of this size, in pixels."""
        width, height = _CHARACTER * max(map(len, self.lines)), _LINE * len(self.lines)
        return _box(self.at[0] * size + self.right, (1 - self.at[1]) * size + self.below, width, height)

    def leader(self, size: float) -> list[Box]:
        """Dots along the line from the point to the text."""
        x, y = self.at[0] * size, (1 - self.at[1]) * size
        return [_box(x + self.right * part / 8, y + self.below * part / 8, 2.0, 2.0) for part in range(1, 7)]


@dataclass(frozen=True)
class _Taken:
    """What new labels must keep off, in a plot of one size."""

    size: float
    marks: list[Box]
    texts: list[Box] = field(default_factory=list)

    def has_room_for(self, label: Label) -> bool:
        box = label.box(self.size)
        inside = min(box) >= 0 and max(box) <= self.size
        crossed = any(_overlap(dot, text) for dot in label.leader(self.size) for text in self.texts)
        return inside and not crossed and not any(_overlap(box, other) for other in (*self.marks, *self.texts))

    def add(self, label: Label) -> None:
        self.texts.append(label.box(self.size))
        self.marks.extend(label.leader(self.size))


def place_labels(names: Sequence[str], at: Sequence[Point], points: Sequence[Point]) -> list[Label]:
    """Places labels one after the other, each as near to its point as the earlier ones allow.

    An offset in pixels is free if it is free at every size in `SIZES`: the points draw apart on a wider page, the
    labels keep their size.

    Args:
        names: The names, the most important first.
        at: The point that each belongs to, as fractions of the plot (right, up).
        points: All points that no label may cover, as fractions of the plot.

    Returns:
        The labels that found a free place.
    """
    taken = [_Taken(size, [_box(x * size, (1 - y) * size, _POINT, _POINT) for x, y in points]) for size in SIZES]
    labels: list[Label] = []
    for place, together in _clusters(names, at):
        label = _first_free(_lines(together), place, taken)
        if label:
            labels.append(label)
            for one in taken:
                one.add(label)
    return labels


def _clusters(names: Sequence[str], at: Sequence[Point]) -> list[tuple[Point, list[str]]]:
    """Names whose points lie near the first one's, with that one's point."""
    clusters: list[tuple[Point, list[str]]] = []
    for name, point in zip(names, at, strict=True):
        near = [members for place, members in clusters if math.dist(place, point) < NEAR]
        if near:
            near[0].append(name)
        else:
            clusters.append((point, [name]))
    return clusters


def _lines(names: list[str]) -> tuple[str, ...]:
    return tuple(", ".join(names[start : start + _PER_LINE]) for start in range(0, len(names), _PER_LINE))


def _first_free(lines: tuple[str, ...], at: Point, taken: list[_Taken]) -> Label | None:
    for radius in _RADII:
        for angle in _ANGLES:
            right, below = _middle(lines, radius, angle)
            label = Label(lines, at, right, below)
            if all(one.has_room_for(label) for one in taken):
                return label
    return None


def _middle(lines: tuple[str, ...], radius: float, angle: float) -> Point:
    """The middle of a text whose nearest part lies `radius` from the point, right and below."""
    beside = abs(math.cos(angle)) > 0.5
    wide = (_CHARACTER * max(map(len, lines)) / 2 - 4) if beside else 0.0
    high = _LINE * (len(lines) - 1) / 2
    right = radius * math.cos(angle) + math.copysign(wide, math.cos(angle))
    below = -radius * math.sin(angle) - math.copysign(high, math.sin(angle))
    return round(right, 1), round(below, 1)


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
