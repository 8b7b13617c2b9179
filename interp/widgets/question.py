"""What is asked of a run: which two tasks, how, at which length and checkpoint; and the commands that ask the same."""

import shlex
from dataclasses import dataclass

from analyses.ablation import AblationKind
from analyses.heads import Head
from training import Run


@dataclass(frozen=True)
class Question:
    """Two tasks' ablation maps at one checkpoint and length, and how they are compared.

    Attributes:
        first: The task on the left, and on the horizontal axis.
        second: The task on the right, and on the vertical axis.
        metric: What a head's removal costs: `accuracy`, `nll` or `logit_difference`.
        kind: What takes the place of a head's output (`HeadAblation`).
        length: The length of all examples.
        step: The checkpoint.
        k: Size of the sets of top heads.
    """

    first: str
    second: str
    metric: str
    kind: AblationKind
    length: int
    step: int
    k: int = 3

    @property
    def tasks(self) -> tuple[str, str]:
        """Both tasks."""
        return self.first, self.second


@dataclass(frozen=True)
class Exploring:
    """How much is measured for each question.

    Attributes:
        n: Test examples of each task for a map.
        head_n: Test examples of each task and length for one head's effect by length; fewer for a large model
            (`work`).
        work: Weights times tokens that one length of one head may cost, so that a click never waits long.
        permutations: Shuffles per null of the overlap.
        bootstraps: Bootstrap samples of the overlap.
        primitive_n: Test examples for the primitives.
        primitive_permutations: Draws of each null of the primitives.
        prompts: How many prompts there are to look at.
        seed: Seeds examples, shuffles and draws.
        weights: Which weights.
    """

    n: int = 128
    head_n: int = 32
    work: float = 2e10
    permutations: int = 2_000
    bootstraps: int = 200
    primitive_n: int = 128
    primitive_permutations: int = 5_000
    prompts: int = 8
    seed: int = 0
    weights: str = "averaged"


AS_USUAL = Exploring()
"""As much as makes a small run answer at once."""


def commands(run: Run, question: Question, exploring: Exploring) -> list[str]:
    """The `interp` commands that give the same numbers: the overlap with its nulls, then the two maps."""
    where = ["--length", str(question.length), "--kind", question.kind, "--metric", question.metric]
    which = ["--step", str(question.step), "--weights", exploring.weights, "--n", str(exploring.n)]
    which += ["--seed", str(exploring.seed)]
    counts = ["--k", str(question.k), "--permutations", str(exploring.permutations)]
    counts += ["--bootstraps", str(exploring.bootstraps)]
    path = str(run.path)
    return [
        shlex.join(["interp", "overlap", path, "--tasks", *question.tasks, *where, *counts, *which]),
        shlex.join(["interp", "ablate", path, "--heads", "--task", *question.tasks, *where, *which]),
    ]


def primitive_command(run: Run, question: Question, exploring: Exploring, *, names: tuple[str, ...]) -> str:
    """The `interp` command that locates the same primitives."""
    words = ["interp", "primitives", str(run.path), "--tasks", *question.tasks, "--length", str(question.length)]
    words += ["--primitives", *names] if names else []
    words += ["--permutations", str(exploring.primitive_permutations), "--step", str(question.step)]
    words += ["--weights", exploring.weights, "--n", str(exploring.primitive_n), "--seed", str(exploring.seed)]
    return shlex.join(words)


def head_command(run: Run, question: Question, exploring: Exploring, *, head: Head) -> str:
    """The `interp` command that ablates one head on both tasks."""
    words = ["interp", "ablate", str(run.path), "--heads", str(head), "--task", *question.tasks]
    words += ["--length", str(question.length), "--kind", question.kind, "--metric", question.metric]
    words += ["--step", str(question.step), "--weights", exploring.weights, "--n", str(exploring.n)]
    return shlex.join([*words, "--seed", str(exploring.seed)])
