"""Figures for papers: matplotlib, vector, fonts embedded; the same data give the same bytes."""

from interp.paper.accuracy import Reached as Reached
from interp.paper.accuracy import accuracy_figure as accuracy_figure
from interp.paper.attention import attention_figure as attention_figure
from interp.paper.circuit import circuit_figure as circuit_figure
from interp.paper.gap_grid import gap_grid_figure as gap_grid_figure
from interp.paper.gap_grid import paper_gaps as paper_gaps
from interp.paper.maps import ablation_maps_figure as ablation_maps_figure
from interp.paper.overlap import overlap_figure as overlap_figure
from interp.paper.pretraining import pretraining_figure as pretraining_figure
from interp.paper.primitives import primitives_figure as primitives_figure
from interp.paper.reuse import reuse_figure as reuse_figure
from interp.paper.style import save_figure as save_figure
from interp.paper.theory import theory_figure as theory_figure
