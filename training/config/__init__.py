"""Configurations: frozen, checked when made, and refused when they name a key that does not exist."""

from training.config.base import Config as Config
from training.config.measure import MeasureConfig as MeasureConfig
from training.config.member import MemberConfig as MemberConfig
from training.config.model import ModelConfig as ModelConfig
from training.config.model import RotaryScaling as RotaryScaling
from training.config.optimizer import OptimizerConfig as OptimizerConfig
from training.config.start import StartConfig as StartConfig
from training.config.train import TrainConfig as TrainConfig
