"""Known circuits by name."""

from collections.abc import Callable

from analyses.ground_truth.carry_circuit import carry_circuit
from analyses.ground_truth.copy_head import copy_head
from analyses.ground_truth.induction_pair import induction_pair
from analyses.ground_truth.known import KnownCircuit
from analyses.ground_truth.min_head import min_head
from analyses.ground_truth.softmax import PLAIN
from analyses.ground_truth.sorter import sorter
from analyses.ground_truth.sorter_repeats import sorter_repeats
from tasks.errors import unknown_name

_CIRCUITS: dict[str, Callable[[], KnownCircuit]] = {
    "copy_head": copy_head,
    "induction_pair": induction_pair,
    "min_head": min_head,
    "sorter": sorter,
    "sorter_plain": lambda: sorter(softmax=PLAIN),
    "sorter_repeats": sorter_repeats,
    "carry_circuit": carry_circuit,
}


def list_circuits() -> list[str]:
    """The names of all known circuits."""
    return list(_CIRCUITS)


def get_circuit(name: str) -> KnownCircuit:
    """Builds a known circuit, with its builder's own parameters: the same weights every time.

    Raises:
        UnknownNameError: No circuit has that name.
    """
    if name not in _CIRCUITS:
        raise unknown_name("known circuit", name, _CIRCUITS, listing=f"they are {', '.join(_CIRCUITS)}")
    return _CIRCUITS[name]()
