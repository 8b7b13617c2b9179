"""`interp theory`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Many, Output
from interp.terminal.console import check_output, emit, show

COLUMNS = ("length", "precision", "temperature", "beta", "noise", "n", "accuracy", "token_accuracy", "mass", "entropy")
"""What a person sees of each row."""


@Parameter(name="*")
@dataclass(frozen=True)
class Computed:
    """How the construction is computed."""

    precisions: Annotated[tuple[str, ...], Many] = ("float64", "float32", "bfloat16")
    """float64, float32, float16, bfloat16, or a number of significant bits, as 5bit."""

    fixed: Annotated[tuple[float, ...], Many] = (4.0,)
    """Plain softmax: factors beta on the attention logits."""

    tempered: Annotated[tuple[float, ...], Many] = (1.0,)
    """Tempered softmax: factors beta, each times ln n for a query that sees n tokens."""

    noises: Annotated[tuple[float, ...], Many] = (0.0, 1.0)
    """Standard deviations of Gaussian noise on the attention logits, as the softmax sees them."""

    code: Literal["relative", "absolute"] = "relative"
    """How a head weighs number y at number x: by y - x, or by y alone."""

    spread: int = 1
    """How many numbers there are for each element; 1: every sequence is a permutation of all numbers."""


def theory(
    construction: Literal["sort"],
    /,
    *,
    lengths: Annotated[tuple[int, ...], Many] = (10, 30, 100, 300, 1000),
    computed: Computed = Computed(),
    n: int = 16,
    seed: int = 0,
    output: Output = Output(),
) -> None:
    """Run a theoretical construction over lengths and precisions, and see where it stops being right.

    Two examples:

    - `interp theory sort`
    - `interp theory sort --lengths 16 64 256 --precisions 5bit 6bit`

    Args:
        construction: sort: distinct numbers in order, by the smallest one and then successors.
        lengths: Numbers of elements.
        n: Sequences for each row.
        seed: Seeds the sequences and the noise.
    """
    check_output(output)
    from analyses.ground_truth import Softmax, SorterTheory, reach
    from training import named_generator

    softmaxes = [*(Softmax("none", beta) for beta in computed.fixed),
                 *(Softmax("log_n", beta) for beta in computed.tempered)]  # fmt: skip
    analysis = SorterTheory(
        computed.precisions, tuple(softmaxes), computed.noises, code=computed.code, spread=computed.spread
    )
    table = analysis(lengths=lengths, n=n, generator=named_generator(seed, "theory"))
    title = f"theory {construction}: the constructed sorter, code {computed.code}; mass: attention on the source"
    emit(table, output, columns=COLUMNS, title=title)
    if not output.json and output.out is None:
        columns = ["precision", "bits", "temperature", "beta", "noise", "exact_to", "fails_at"]
        show(reach(table), columns=columns, title="sorted without an error up to length; fails first at length")
