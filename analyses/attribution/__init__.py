"""Attribution: what patching would do, estimated by gradients; and what each part writes straight to the answer.

`edge_attribution` estimates path patching, `attribution_patching` estimates activation patching, `agreement` compares
either with the exact effects, and `direct_logit_attribution` splits the answer's logit. All are computed from `traces`
of runs, the first two from `two_runs` of a pair and `edge_scores` made of them, for some `parts` of the examples at a
time.
"""

from analyses.attribution.agreement import agreement as agreement
from analyses.attribution.attribution_patching import AttributionPatching as AttributionPatching
from analyses.attribution.direct_logit_attribution import DirectLogitAttribution as DirectLogitAttribution
from analyses.attribution.edge_attribution import EdgeAttribution as EdgeAttribution
