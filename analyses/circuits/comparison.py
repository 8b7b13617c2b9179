"""Which edges and nodes of a known circuit another one finds."""

from collections.abc import Collection, Set

import pandas as pd

from analyses.circuits.circuit import Circuit
from analyses.graph import edges, receivers, senders
from tasks import InvalidValueError

COLUMNS = [
    "level", "true_positives", "false_positives", "false_negatives", "true_negatives", "precision", "recall", "f1",
    "jaccard",
]  # fmt: skip


def compare_circuits(found: Circuit, reference: Circuit) -> pd.DataFrame:
    """How well a circuit that was found agrees with one that is known, in edges and in nodes.

    A true positive is in both, a false positive in the found one only, a false negative in the reference only, a true
    negative in neither. All edges of the model are counted, resp. all its heads and MLPs.

        precision = tp / (tp + fp)           recall  = tp / (tp + fn)
        f1 = 2 tp / (2 tp + fp + fn)         jaccard = tp / (tp + fp + fn)

    A ratio of 0 and 0 is not defined: nan (precision of an empty circuit, recall of an empty reference).

    Args:
        found: The circuit to be judged.
        reference: The circuit that is known to be right.

    Returns:
        A row for `edges` and a row for `nodes`: level, the four counts, precision, recall, f1, jaccard.

    Raises:
        InvalidValueError: Circuits of models of different shapes.
    """
    if receivers(found.config) != receivers(reference.config) or senders(found.config) != senders(reference.config):
        raise InvalidValueError(
            f"the circuits are of models of different shapes: {_shape(found)} and {_shape(reference)}; compare "
            "circuits of one shape"
        )
    nodes = [node for node in senders(found.config) if not isinstance(node, str)]
    rows = [
        {"level": "edges", **_agreement(set(found.edges), set(reference.edges), edges(found.config))},
        {"level": "nodes", **_agreement(set(found.nodes), set(reference.nodes), nodes)},
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _agreement(found: Set[object], reference: Set[object], everything: Collection[object]) -> dict[str, int | float]:
    both, only_found, only_reference = len(found & reference), len(found - reference), len(reference - found)
    return {
        "true_positives": both,
        "false_positives": only_found,
        "false_negatives": only_reference,
        "true_negatives": len(everything) - both - only_found - only_reference,
        "precision": _ratio(both, both + only_found),
        "recall": _ratio(both, both + only_reference),
        "f1": _ratio(2 * both, 2 * both + only_found + only_reference),
        "jaccard": _ratio(both, both + only_found + only_reference),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _shape(circuit: Circuit) -> str:
    config = circuit.config
    return f"{config.n_layers} layers of {config.n_heads} heads ({config.n_key_value_heads} key-value heads)"
