"""Labels of the mazes.

tokens       [dfs_trace] [10] : [2] ; [2] : [1] [10] ; [1] : [2] ; [2] > [10] = [2] [1] [2] [10] [EOS]
maze_depth        .       .   .  .  .  .  .  .   .   .  .  .  .  .  .  .  .   .  0   1   0   1     .
"""

import re

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.probing.label import Label
from tasks import Batch, Task
from tasks.mazes.mazes import MazeTask


def maze_depth(task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
    """How many edges lie between the start and the node at this token of the answer.

    In a tree that is the depth of the walk: a step to a node that the answer has not come to yet goes one deeper, any
    other one goes back.
    """
    is_node = [bool(re.fullmatch(r"\[\d+\]", token)) for token in task.vocabulary.tokens]
    walked = batch.scored & torch.tensor(is_node, device=batch.tokens.device)[batch.tokens]
    visits = torch.zeros(len(batch), len(task.vocabulary), dtype=torch.bool, device=batch.tokens.device)
    depth, depths = torch.full((len(batch),), -1, device=batch.tokens.device), []
    for column, tokens in zip(walked.unbind(dim=1), batch.tokens.unbind(dim=1), strict=True):
        back = visits.gather(1, tokens[:, None])[:, 0]
        depth = depth + torch.where(back, -1, 1) * column
        depths.append(torch.where(column, depth, -1))
        visits.scatter_(1, tokens[:, None], (back | column)[:, None])
    return torch.stack(depths, dim=1)


MAZE_LABELS = (
    Label("maze_depth", "how many edges from the start, at each node of the answer", maze_depth, (MazeTask,)),
)  # fmt: skip
