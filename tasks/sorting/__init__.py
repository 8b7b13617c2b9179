"""Tasks on sequences of numbers: sorting them, and the hints for it."""

from tasks.sorting.count import Count as Count
from tasks.sorting.fill import Fill as Fill
from tasks.sorting.numbers import NumberTask as NumberTask
from tasks.sorting.numbers import QueryTask as QueryTask
from tasks.sorting.sort import Min as Min
from tasks.sorting.sort import Sort as Sort
from tasks.sorting.successor import Successor as Successor
