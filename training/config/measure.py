"""What is kept and measured while training."""

from typing import Literal

from training.config.base import Config, Positive


class MeasureConfig(Config):
    """What is kept and measured while training.

    Attributes:
        checkpoints: How many checkpoints are kept, the last at the end; or the steps themselves, and the end.
        spacing: Whether so many checkpoints are equally spaced (`even`), or their steps grow by equal factors (`log`;
            early ones that fall on one step are one); `every`: the number is the distance between two, in steps.
        storage: Number format of the weights in checkpoints. `bfloat16` takes half the space and rounds them to three
            significant digits; what is measured is measured with the rounded weights. Training itself is not touched.
        lengths: Lengths at which accuracy is measured at each checkpoint, for every task of the mixture.
        n: Test examples per task and length at a checkpoint.
    """

    checkpoints: Positive | tuple[Positive, ...] = 20
    spacing: Literal["even", "log", "every"] = "even"
    storage: Literal["float32", "bfloat16"] = "float32"
    lengths: tuple[Positive, ...] = ()
    n: Positive = 128
