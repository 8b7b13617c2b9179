"""Linear probes: which layer and site hold a quantity of a task.

`linear_probe` draws labelled `tokens`, reads the model's `activations` there and fits them by batched `logistic`
regression (L-BFGS with a `memory` and a `line_search` for each probe); `description_length` is the online code. A
`label` says what is read; the `catalogue` has all of them by name.
"""

from analyses.probing.catalogue import get_label as get_label
from analyses.probing.catalogue import list_labels as list_labels
from analyses.probing.fit import Fitting as Fitting
from analyses.probing.label import Label as Label
from analyses.probing.linear_probe import LinearProbe as LinearProbe
