"""A family of pretraining checkpoints as one object: the same finetuning from each, transfer and reuse over steps."""

from analyses.pretraining.association import pretraining_association as pretraining_association
from analyses.pretraining.finetuned import Finetuned as Finetuned
from analyses.pretraining.finetuned import finetuned_runs as finetuned_runs
from analyses.pretraining.reuse import PretrainingReuse as PretrainingReuse
from analyses.pretraining.series import PretrainingSeries as PretrainingSeries
from analyses.pretraining.series import pretraining_step as pretraining_step
from analyses.pretraining.transfer import finetuned_accuracy as finetuned_accuracy
from analyses.pretraining.transfer import over_pretraining as over_pretraining
from analyses.pretraining.transfer import pretraining_gains as pretraining_gains
from analyses.pretraining.transfer import pretraining_transfer as pretraining_transfer
