"""The model, mixtures, optimisation, checkpoints, evaluation and runs. Imports `tasks` only."""

from training.config import MeasureConfig as MeasureConfig
from training.config import MemberConfig as MemberConfig
from training.config import ModelConfig as ModelConfig
from training.config import OptimizerConfig as OptimizerConfig
from training.config import TrainConfig as TrainConfig
from training.evaluate import evaluate as evaluate
from training.finding import list_runs as list_runs
from training.finding import load_run as load_run
from training.keeping import Progress as Progress
from training.model import HookedTransformer as HookedTransformer
from training.presets import Preset as Preset
from training.presets import list_presets as list_presets
from training.presets import load_preset as load_preset
from training.randomness import named_generator as named_generator
from training.runs import Run as Run
from training.sweep import Grid as Grid
from training.sweep import Processes as Processes
from training.sweep import Ray as Ray
from training.sweep import Serial as Serial
from training.sweep import SweepResult as SweepResult
from training.sweep import Watcher as Watcher
from training.sweep import read_grid as read_grid
from training.sweep import run_sweep as run_sweep
from training.tracking import Tracker as Tracker
from training.train import train as train
