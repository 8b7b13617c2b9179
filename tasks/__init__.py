"""Vocabulary, tasks, and groups of main and auxiliary tasks. Imports nothing else of ours."""

from tasks.batch import Batch as Batch
from tasks.errors import BrokenRunError as BrokenRunError
from tasks.errors import InterpError as InterpError
from tasks.errors import InvalidValueError as InvalidValueError
from tasks.errors import UnknownNameError as UnknownNameError
from tasks.groups import Group as Group
from tasks.groups import Member as Member
from tasks.groups import get_group as get_group
from tasks.groups import list_groups as list_groups
from tasks.registry import get_task as get_task
from tasks.registry import list_tasks as list_tasks
from tasks.task import Task as Task
from tasks.vocabulary import Vocabulary as Vocabulary
