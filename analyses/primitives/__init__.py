"""Primitives: elementary steps such as copying or taking a minimum, and which heads implement them."""

from analyses.primitives.locating import Primitives as Primitives
from analyses.primitives.primitive import Primitive as Primitive
from analyses.primitives.primitive import Uses as Uses
from analyses.primitives.registry import get_primitive as get_primitive
from analyses.primitives.registry import list_primitives as list_primitives
from analyses.primitives.shared import shared_primitives as shared_primitives
from analyses.primitives.verdict import Least as Least
