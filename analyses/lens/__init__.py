"""The residual stream read as tokens, after every sub-layer."""

from analyses.lens.residual_lens import ResidualLens as ResidualLens
from analyses.lens.targets import list_lens_targets as list_lens_targets
