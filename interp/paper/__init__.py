"""Figures for papers: matplotlib, vector, fonts embedded; the same data give the same bytes."""

from interp.paper.gap_grid import gap_grid_figure as gap_grid_figure
from interp.paper.gap_grid import paper_gaps as paper_gaps
from interp.paper.reuse import reuse_figure as reuse_figure
from interp.paper.style import save_figure as save_figure
