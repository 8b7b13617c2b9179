"""Models with weights set by hand, whose circuits are known, and how far the theoretical sorter holds."""

from analyses.ground_truth.carry_circuit import carry_circuit as carry_circuit
from analyses.ground_truth.catalogue import get_circuit as get_circuit
from analyses.ground_truth.catalogue import list_circuits as list_circuits
from analyses.ground_truth.copy_head import copy_head as copy_head
from analyses.ground_truth.induction_pair import induction_pair as induction_pair
from analyses.ground_truth.known import KnownCircuit as KnownCircuit
from analyses.ground_truth.min_head import min_head as min_head
from analyses.ground_truth.sharpness import attention_sharpness as attention_sharpness
from analyses.ground_truth.softmax import Softmax as Softmax
from analyses.ground_truth.sorter import sorter as sorter
from analyses.ground_truth.sorter_repeats import sorter_repeats as sorter_repeats
from analyses.ground_truth.theory import SorterTheory as SorterTheory
from analyses.ground_truth.theory import reach as reach
