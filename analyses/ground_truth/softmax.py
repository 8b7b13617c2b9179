"""How sharply a constructed head attends: a fixed factor on its logits, or one that grows with ln n."""

from dataclasses import dataclass
from typing import Literal, get_args

from tasks import InvalidValueError
from tasks.errors import unknown_name

Temperature = Literal["none", "log_n"]


@dataclass(frozen=True)
class Softmax:
    """The factor on a head's attention logits.

    Attributes:
        temperature: `none`: beta at every length; `log_n`: beta ln n for a query that sees n tokens (Task Hinting,
            section 5).
        beta: The factor, more than 0 and finite.

    Raises:
        UnknownNameError: No such temperature.
        InvalidValueError: beta is not more than 0, or not finite.
    """

    temperature: Temperature
    beta: float

    def __post_init__(self) -> None:
        if self.temperature not in get_args(Temperature):
            known = get_args(Temperature)
            raise unknown_name("temperature", self.temperature, known, listing="the temperatures are none and log_n")
        if not self.beta > 0:
            raise InvalidValueError(f"beta = {self.beta} is not possible; allowed is more than 0")
        if self.beta == float("inf"):
            raise InvalidValueError(f"beta = {self.beta} is not possible; allowed is a finite number")


PLAIN = Softmax("none", 4.0)
"""A fixed factor: e^4 = 55 to 1 between neighbouring numbers."""

TEMPERED = Softmax("log_n", 1.0)
"""Task Hinting's: n to 1 between neighbouring numbers where the query sees n tokens."""
