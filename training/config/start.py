"""What finetuning starts from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config.base import Config, Positive, PositiveFloat


class StartConfig(Config):
    """The pretrained checkpoint that a training begins with, and what of it is trained (finetuning).

    Attributes:
        checkpoint: A folder, or a name on the hub (`training.pretrained.open_checkpoint`).
        revision: A branch, tag or commit of the hub; of a folder, the folder in it that has this name.
        digest: Of the checkpoint's weights, shape and tokenizer. It is written down when a run is made; a checkpoint
            with another one is refused.
        adaptation: `full`: every weight is trained, the rows of the tasks' tokens too. `lora`: to the matrix W of each
            adapted map a product of two thin ones is added, W + (alpha / rank) A B, and only A and B are trained (Hu et
            al. 2021); norms, biases, embedding and unembedding stay the checkpoint's.
        rank: Columns of A and rows of B; `lora`.
        alpha: Strength of the product; `lora`.
        adapted: Which maps have one: those of `attention` (queries, keys, values, output), or `all`, the MLPs' too;
            `lora`.

    Raises:
        InvalidValueError: Through `read`: a value of `lora` with `full`.
    """

    checkpoint: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(min_length=1)] = "main"
    digest: str = ""
    adaptation: Literal["full", "lora"] = "full"
    rank: Positive = 8
    alpha: PositiveFloat = 16.0
    adapted: Literal["attention", "all"] = "attention"

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for key in ("rank", "alpha", "adapted"):
            value = getattr(self, key)
            if self.adaptation == "full" and value != type(self).model_fields[key].default:
                raise ValueError(
                    f"start.{key} = {value!r} with start.adaptation = 'full', which trains every weight; leave it out, "
                    "or set start.adaptation to 'lora'"
                )
        return self
