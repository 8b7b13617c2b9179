"""Tasks on numbers written in decimal digits."""

from tasks.arithmetic.addition import CarryOnly as CarryOnly
from tasks.arithmetic.addition import CopyFirst as CopyFirst
from tasks.arithmetic.addition import NoCarry as NoCarry
from tasks.arithmetic.addition import ReverseAdd as ReverseAdd
from tasks.arithmetic.increment import DigitSuccessor as DigitSuccessor
from tasks.arithmetic.increment import Increment as Increment
from tasks.arithmetic.multiplication import MultiplyCot as MultiplyCot
from tasks.arithmetic.subtraction import ReverseSubtract as ReverseSubtract
