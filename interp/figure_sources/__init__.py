"""What each figure of `interp figure` is drawn from; one file per kind of data."""

from interp.figure_sources.accuracy import accuracy as accuracy
from interp.figure_sources.attention import attention as attention
from interp.figure_sources.circuit import circuit as circuit
from interp.figure_sources.drawn import Drawn as Drawn
from interp.figure_sources.gap_grid import gaps as gaps
from interp.figure_sources.maps import ablation_maps as ablation_maps
from interp.figure_sources.maps import overlap as overlap
from interp.figure_sources.primitives import primitives as primitives
from interp.figure_sources.reuse import reuse as reuse
from interp.figure_sources.theory import theory as theory
