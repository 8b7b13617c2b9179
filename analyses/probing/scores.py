"""What the probes of many places score: accuracy, control accuracy, and the length of the online code."""

import math

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.probing.description_length import online_bits
from analyses.probing.fit import Fit, Fitting
from analyses.probing.logistic import fit_probes
from analyses.probing.tokens import Tokens
from analyses.statistics.errors import ratio_of_means


def scores(
    features: Float[Tensor, "place token d"],
    tokens: Tokens,
    controls: Int[Tensor, "control token"],
    *,
    fitting: Fitting,
) -> pd.DataFrame:
    """A row for each place: accuracy, stderr, control_accuracy, selectivity, mdl, compression, converged.

    Args:
        features: What the probes of each place read.
        tokens: The tokens.
        controls: Their labels in each control task.
        fitting: Penalty and end of the fits.
    """

    def fit(inputs: Tensor, labels: Tensor) -> Fit:
        return fit_probes(inputs, labels.expand(len(inputs), -1), classes=tokens.classes, fitting=fitting)

    device = features.device
    training, tested = tokens.training.to(device), tokens.tested.to(device)
    train, test = features[:, training], features[:, tested]
    labels, right, converged = tokens.labels.to(device), [], []
    for every in (labels, *controls.to(device)):
        probe = fit(train, every[training])
        right.append((probe.logits(test).argmax(dim=2) == every[tested]).cpu())
        converged.append(probe.converged.cpu())
    bits, share = (one.cpu() for one in online_bits(train, labels[training], classes=tokens.classes, fit=fit))
    accuracy, stderr = _shares(right[0], tokens)
    control = torch.stack(right[1:]).double().mean(dim=(0, 2))
    values = {
        "accuracy": accuracy, "stderr": stderr, "control_accuracy": control, "selectivity": accuracy - control,
        "mdl": bits, "compression": len(training) * math.log2(tokens.classes) / bits,
        "converged": torch.stack(converged).all(dim=0) & (share == 1),
    }  # fmt: skip
    return pd.DataFrame({name: value.numpy() for name, value in values.items()})


def majority(tokens: Tokens) -> float:
    """The test accuracy of always saying the class that most training tokens have, the first of several."""
    most = torch.bincount(tokens.labels[tokens.training], minlength=tokens.classes).argmax()
    return float((tokens.labels[tokens.tested] == most).double().mean())


def _shares(
    right: Bool[Tensor, "place tested"], tokens: Tokens
) -> tuple[Float[Tensor, " place"], Float[Tensor, " place"]]:
    """The share of right tokens at each place, and its standard error over different examples, copies being one."""
    rows = tokens.example[tokens.tested].unique(return_inverse=True)[1].cpu()
    sums = torch.zeros(len(right), int(rows.max()) + 1, dtype=torch.float64).index_add(1, rows, right.double())
    return ratio_of_means(sums, torch.bincount(rows).double())
