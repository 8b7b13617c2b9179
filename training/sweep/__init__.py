"""Sweeps: a grid of configurations, each trained into a run folder of its own, by an engine of one's choice."""

from training.sweep.cells import Cell as Cell
from training.sweep.engine import Engine as Engine
from training.sweep.engine import Job as Job
from training.sweep.engine import Watcher as Watcher
from training.sweep.grid import Grid as Grid
from training.sweep.grid import read_grid as read_grid
from training.sweep.processes import Processes as Processes
from training.sweep.ray_engine import Ray as Ray
from training.sweep.serial import Serial as Serial
from training.sweep.sweep import SweepResult as SweepResult
from training.sweep.sweep import run_sweep as run_sweep
