"""Attribution: what patching would do, estimated by gradients; and what each part writes straight to the answer."""

from analyses.attribution.agreement import agreement as agreement
from analyses.attribution.direct import DirectLogitAttribution as DirectLogitAttribution
from analyses.attribution.edges import EdgeAttribution as EdgeAttribution
from analyses.attribution.nodes import AttributionPatching as AttributionPatching
