"""What a condition adds, over seeds: by hand, by enumeration of signs, and what is refused."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analyses.transfer.gain import COLUMNS, CONTRASTS, transfer_gains
from tasks import InvalidValueError


def table(values: dict[tuple[str, int], Sequence[float]], *, weights: str = "raw") -> pd.DataFrame:
    """Accuracies by condition and length, of seeds 0, 1, ..."""
    rows = [
        {
            "main": "shift", "condition": condition, "seed": seed, "weights": weights, "length": length, "n": 8,
            "accuracy": accuracy,
        }
        for (condition, length), accuracies in values.items()
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip
    return pd.DataFrame(rows)


THREE = table(
    {
        ("auxiliary", 4): [0.5, 0.8, 0.8],
        ("alone", 4): [0.1, 0.2, 0.6],
        ("control", 4): [0.1, 0.3, 0.5],
        ("auxiliary", 2): [1, 1, 1],
        ("alone", 2): [1, 1, 1],
        ("control", 2): [1, 0.9, 1],
    }
)


def test_gains_by_hand() -> None:
    found = transfer_gains(THREE)
    assert list(found.columns) == COLUMNS
    assert found[["length", "contrast"]].to_numpy().tolist() == [
        [length, f"{one} - {other}"] for length in (2, 4) for one, other in CONTRASTS
    ]
    # Differences .4 .6 .2: mean .4, deviation .2; t(2) = 4.302653: half width .2 * 4.302653 / sqrt(3) = .496828. All
    # three above 0: 1 of 8 flips.
    row = found[(found["length"] == 4) & (found["contrast"] == "auxiliary - alone")].iloc[0]
    assert row[["first", "second", "gain", "low", "high"]].tolist() == pytest.approx(
        [0.7, 0.3, 0.4, -0.096828, 0.896828], rel=1e-5
    )
    assert (row["p"], row["permutations"], row["seeds"], row["n"]) == (1 / 8, 8, 3, 8)
    assert (row["main"], row["null"], row["weights"], row["correction"]) == (
        "shift", "sign flips", "raw", "Benjamini-Hochberg",
    )  # fmt: skip
    # Differences 0 .1 -.1: mean 0; of the sums of 8 flips (0 twice each: 0, .2, -.2, 0) 6 are at least 0.
    row = found[(found["length"] == 4) & (found["contrast"] == "control - alone")].iloc[0]
    assert row["gain"] == pytest.approx(0)
    assert row["p"] == 6 / 8
    # All alike: no width, p = 1.
    row = found[(found["length"] == 2) & (found["contrast"] == "auxiliary - alone")].iloc[0]
    assert row[["first", "second", "gain", "low", "high", "p"]].tolist() == [1, 1, 0, 0, 0, 1]


def test_p_is_the_share_of_sign_flips_with_as_great_a_mean() -> None:
    random = np.random.default_rng(0)
    one, other = random.uniform(size=(2, 6))
    (row,) = transfer_gains(table({("auxiliary", 3): one, ("alone", 3): other})).to_dict("records")
    differences = one - other
    flipped = [float(np.mean(differences * signs)) for signs in product((1, -1), repeat=6)]
    assert row["p"] == np.mean([mean >= np.mean(differences) - 1e-12 for mean in flipped])
    assert row["permutations"] == 64


def test_intervals_end_where_a_difference_of_accuracies_can_be() -> None:
    # .9 and .1: mean .5, deviation .565685, t(1) = 12.7062: far beyond -1 and 1.
    (row,) = transfer_gains(table({("auxiliary", 3): [0.9, 0.1], ("alone", 3): [0, 0]})).to_dict("records")
    assert (row["gain"], row["low"], row["high"]) == (0.5, -1, 1)
    # Deviation .1, at level .5 t(1) = 1: half width .1 / sqrt(2).
    (row,) = transfer_gains(
        table({("auxiliary", 3): [0.5 + 0.02**0.5 / 2, 0.5 - 0.02**0.5 / 2], ("alone", 3): [0, 0]}), level=0.5
    ).to_dict("records")
    assert (row["low"], row["high"]) == (pytest.approx(0.5 - 0.1 / 2**0.5), pytest.approx(0.5 + 0.1 / 2**0.5))


def test_q_is_over_lengths_and_contrasts_of_one_kind_of_weights() -> None:
    both = pd.concat([THREE, THREE[THREE["length"] == 4].assign(weights="averaged")])
    found = transfer_gains(both)
    assert found.groupby("weights")["family"].unique().map(list).to_dict() == {"averaged": [3], "raw": [6]}
    for _, part in found.groupby("weights"):
        p = np.sort(part["p"].to_numpy())
        stepped = [min(p[rank:] * len(p) / np.arange(rank + 1, len(p) + 1)) for rank in range(len(p))]
        assert sorted(part["q"]) == pytest.approx(stepped)


def test_contrasts_that_the_table_lacks_are_left_out() -> None:
    found = transfer_gains(THREE[THREE["condition"] != "control"])
    assert set(found["contrast"]) == {"auxiliary - alone"}
    found = transfer_gains(THREE, contrasts=[("alone", "auxiliary"), ("short", "alone")])
    assert set(found["contrast"]) == {"alone - auxiliary"}
    assert found["gain"].tolist() == pytest.approx([0, -0.4])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (THREE[THREE["seed"] == 0], "1 seeds are too few to compare conditions over; allowed are 2 to 20, and .*"),
        (table({("auxiliary", 3): [0.5] * 21, ("alone", 3): [0.5] * 21}), "21 seeds are too many to compare .*"),
        (pd.concat([THREE, THREE.assign(main="copy")]), "gains are those of one main task. Got shift, copy"),
        (THREE[:0], "gains are those of one main task. Got none"),
        (THREE[~((THREE["condition"] == "alone") & (THREE["seed"] == 1))],
         ("condition 'alone' has the seeds 0 2 at length 2, and all together have 0 1 2; every condition needs each "
          "seed once")),
        (pd.concat([THREE, THREE[:1]]), "condition 'auxiliary' has the seeds 0 0 1 2 at length 4, and all together .*"),
        (THREE[THREE["condition"] == "alone"],
         ("the table has the conditions alone, and none of auxiliary - alone, auxiliary - control, control - alone")),
    ],
)  # fmt: skip
def test_refused(changed: pd.DataFrame, text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        transfer_gains(changed)
