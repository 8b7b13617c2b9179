"""Circuits: sets of edges that are kept, how much of the model they recover, and whether that is more than chance."""

from analyses.circuits.circuit import Circuit as Circuit
from analyses.circuits.circuit_tests import CircuitTests as CircuitTests
from analyses.circuits.comparison import compare_circuits as compare_circuits
from analyses.circuits.curve import Curve as Curve
from analyses.circuits.edge_sets import EdgeSetScores as EdgeSetScores
from analyses.circuits.edge_sets import run_edge_sets as run_edge_sets
from analyses.circuits.faithfulness import FaithfulnessCurve as FaithfulnessCurve
from analyses.circuits.minimality import CircuitMinimality as CircuitMinimality
