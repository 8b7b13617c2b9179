"""The intervention engine: many interventions on one batch, exact, stacked, each from where it first changes something.

`sites` says what can be edited and where, `sources` what takes its place, `clean_run` keeps what runs start from,
`stacked` runs several interventions at once, and `engine` divides the work and reads the metrics.
"""

from analyses.interventions.engine import Outcome as Outcome
from analyses.interventions.engine import intervene as intervene
from analyses.interventions.sites import Edit as Edit
from analyses.interventions.sites import Intervention as Intervention
from analyses.interventions.sites import Site as Site
from analyses.interventions.sources import Fixed as Fixed
from analyses.interventions.sources import OtherRun as OtherRun
from analyses.interventions.sources import Source as Source
