"""Figure: one measure of overlap with its interval, above what shuffled heads give, as a small inline SVG."""

import math

_WIDTH, _HEIGHT, _EDGE = 200.0, 26.0, 6.0


def overlap_strip(
    *, estimate: float, low: float, high: float, null_mean: float, null_low: float, null_high: float
) -> str:
    """An SVG strip: grey band and tick for the null (central 95 % and mean), dot and line for the estimate.

    The scale spans the numbers shown, so strips compare an estimate with its null, not one measure with another. It
    repeats what stands beside it in words, so it is hidden from screen readers. NaN parts are left out; without an
    estimate or a null the strip is empty text.

    Args:
        estimate: The measure.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        null_mean: Mean of the measure over shuffles.
        null_low: Lower end of the shuffles' central 95 %.
        null_high: Upper end of the shuffles' central 95 %.
    """
    numbers = [value for value in (estimate, low, high, null_mean, null_low, null_high) if math.isfinite(value)]
    if not math.isfinite(estimate) or not math.isfinite(null_mean):
        return ""
    start, span = min(numbers), (max(numbers) - min(numbers)) or 1.0

    def at(value: float) -> str:
        return f"{_EDGE + (value - start) / span * (_WIDTH - 2 * _EDGE):.1f}"

    parts = []
    if math.isfinite(null_low) and math.isfinite(null_high):
        width = (null_high - null_low) / span * (_WIDTH - 2 * _EDGE)
        parts.append(f'<rect class="null" x="{at(null_low)}" y="5" width="{max(width, 1):.1f}" height="16" rx="2"/>')
    parts.append(f'<path class="null-mean" d="M{at(null_mean)} 5v16"/>')
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f'<path class="interval" d="M{at(low)} 13H{at(high)}"/>')
    parts.append(f'<circle class="estimate" cx="{at(estimate)}" cy="13" r="4.5"/>')
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"'
    return f'<svg class="strip" {box} aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
