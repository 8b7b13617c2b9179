"""What a study found: the tables and examples that the report page, the command line and notebooks read."""

from dataclasses import dataclass

import numpy as np
from pandas import DataFrame


@dataclass(frozen=True)
class AttentionExample:
    """Where one head looks on one prompt.

    Attributes:
        task: Name of the task that the prompt belongs to.
        tokens: One string per position; may hold special names such as `[shift]` or `[EOS]`.
        layer: The head's layer, from 0.
        head: The head's place in its layer, from 0.
        pattern: Attention weights [query, key], float32; causal, and each row sums to 1.
    """

    task: str
    tokens: tuple[str, ...]
    layer: int
    head: int
    pattern: np.ndarray


@dataclass(frozen=True)
class StudyResults:
    """All that one study measured: does an auxiliary task carry the main task to longer inputs, and by which heads?

    A *condition* says how a model was trained: `auxiliary` (main with its auxiliary tasks), `alone` (main only) or
    `control` (main with an unrelated task). *Weights* are `raw` (the last iterate) or `averaged` (the exponential
    moving average). Accuracy is exact match in [0, 1]; `stderr` is the standard error of the number it stands beside.

    Attributes:
        name: What was studied, for example "copy+shift, preset small, seed 0".
        command: The command that reproduces it.
        main: Name of the main task.
        auxiliaries: Names of the auxiliary tasks.
        controls: Names of the unrelated tasks.
        main_length: The longest length of the main task in training.
        auxiliary_length: The longest length of the auxiliary and control tasks in training.
        transfer_length: The length at which transfer is judged.
        settings: Flat and JSON-able: model shape, steps, versions, seeds, sample sizes.
        accuracy: Columns `condition weights task length n accuracy stderr token_accuracy nll`.
        training: Columns `condition weights step task length n accuracy stderr`, one row per checkpoint and length.
        ablation: Columns `task length kind positions metric layer head heads clean ablated effect stderr n`, one row
            per task, metric and head of the `auxiliary` model with averaged weights. Positive effect: the head helped.
        overlap: Columns `first second length kind metric measure k estimate low high null null_mean null_low null_high
            p permutations bootstraps n seed`, one row per measure and null. `low` and `high` bound the 95 % bootstrap
            interval, `null_low` and `null_high` the central 95 % of the null; p = (b + 1) / (m + 1), one-sided towards
            more alike.
        attention: Matched prompts of main and auxiliary tasks, for the heads that they share.
    """

    name: str
    command: str
    main: str
    auxiliaries: tuple[str, ...]
    controls: tuple[str, ...]
    main_length: int
    auxiliary_length: int
    transfer_length: int
    settings: dict[str, object]
    accuracy: DataFrame
    training: DataFrame
    ablation: DataFrame
    overlap: DataFrame
    attention: tuple[AttentionExample, ...]
