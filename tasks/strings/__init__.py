"""Tasks on words: rewriting them letter by letter, and recalling what follows what."""

from tasks.strings.recall import Mqar as Mqar
from tasks.strings.words import Capitalize as Capitalize
from tasks.strings.words import CapitalizeReverse as CapitalizeReverse
from tasks.strings.words import Copy as Copy
from tasks.strings.words import Reverse as Reverse
from tasks.strings.words import Shift as Shift
