"""Interventions, ablation, reuse of heads, statistics. Imports `training` and `tasks` only."""

from analyses.ablation import HeadAblation as HeadAblation
from analyses.ablation import HeadEffects as HeadEffects
from analyses.engine import AblationScores as AblationScores
from analyses.engine import ablate_heads as ablate_heads
from analyses.gap import GeneralizationGap as GeneralizationGap
from analyses.gap import gap_grid as gap_grid
from analyses.heads import Head as Head
from analyses.metrics import get_metric as get_metric
from analyses.metrics import list_metrics as list_metrics
from analyses.overlap import HeadOverlap as HeadOverlap
