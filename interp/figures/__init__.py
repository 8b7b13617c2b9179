"""Figures: tables in, plotly figures (or page parts) out; one figure per file."""

from interp.figures.ablation_maps import ablation_maps as ablation_maps
from interp.figures.accuracy_by_length import accuracy_by_length as accuracy_by_length
from interp.figures.accuracy_over_training import accuracy_over_training as accuracy_over_training
from interp.figures.attention_patterns import by_head as by_head
from interp.figures.attention_patterns import circuitsvis_script as circuitsvis_script
from interp.figures.attention_patterns import pattern_properties as pattern_properties
from interp.figures.head_scatter import head_scatter as head_scatter
from interp.figures.heads import HeadMap as HeadMap
from interp.figures.heads import head_map as head_map
from interp.figures.overlap_strip import overlap_strip as overlap_strip
