"""Interventions, ablation, reuse of heads, statistics. Imports `training` and `tasks` only."""

from analyses.ablation import HeadAblation as HeadAblation
from analyses.ablation import ablate as ablate
from analyses.components import Part as Part
from analyses.effects import HeadEffects as HeadEffects
from analyses.gap import GeneralizationGap as GeneralizationGap
from analyses.gap import gap_grid as gap_grid
from analyses.heads import Head as Head
from analyses.metrics import Metric as Metric
from analyses.metrics import get_metric as get_metric
from analyses.metrics import list_metrics as list_metrics
from analyses.overlap import HeadOverlap as HeadOverlap
from analyses.patching import ActivationPatching as ActivationPatching
from analyses.path_patching import PathPatching as PathPatching
