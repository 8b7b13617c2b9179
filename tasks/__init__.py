"""Vocabulary, tasks, and groups of main and auxiliary tasks. Imports nothing else of ours."""

from tasks.batch import Batch as Batch
from tasks.catalogue import get_group as get_group
from tasks.catalogue import list_groups as list_groups
from tasks.check import check_task as check_task
from tasks.check import same_prompts as same_prompts
from tasks.errors import BrokenRunError as BrokenRunError
from tasks.errors import InterpError as InterpError
from tasks.errors import InvalidValueError as InvalidValueError
from tasks.errors import UnknownNameError as UnknownNameError
from tasks.groups import Group as Group
from tasks.member import Member as Member
from tasks.pair import Pair as Pair
from tasks.ragged import Layout as Layout
from tasks.ragged import Ragged as Ragged
from tasks.registry import get_task as get_task
from tasks.registry import list_tasks as list_tasks
from tasks.registry import register_task as register_task
from tasks.task import Task as Task
from tasks.vocabulary import Vocabulary as Vocabulary
