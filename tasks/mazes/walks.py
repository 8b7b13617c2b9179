"""Depth-first walks through many mazes in lock-step."""

from dataclasses import dataclass

import torch

from tasks.mazes.adjacency import NONE, Mazes
from tasks.ragged import Ragged


@dataclass(frozen=True)
class Walks:
    """Depth-first walks from start to goal.

    Attributes:
        steps: Every node that the walk comes to, the steps back included, from the start to the first time at the goal.
        paths: The nodes between start and goal that the walk has not gone back from: the only path without detours.
    """

    steps: Ragged
    paths: Ragged


def depth_first(mazes: Mazes) -> Walks:
    """Walks each maze from its start until it first comes to the goal.

    At a node the walk goes to the first neighbour, in listing order, that it has not come from and not gone back from;
    where there is none, it goes back. (The paper leaves the order open.) Mazes are trees, so no other neighbour can
    have been visited before.

    Args:
        mazes: Trees that hold start and goal.
    """
    batch, nodes, slots = mazes.neighbours.shape
    sizes = (mazes.neighbours[:, :, 0] != NONE).sum(dim=1)
    longest = int(sizes.max()) if batch else 2
    here, goal = mazes.starts[:, None], mazes.goals[:, None]
    # All nodes' neighbours in one row; for each node the place there of the one to be tried next.
    table = mazes.neighbours.flatten(1)
    following = (torch.arange(nodes, device=table.device) * slots).repeat(batch, 1)
    # The path from the start to where the walk stands, which is at place `depth` of it.
    path, depth = here.repeat(1, longest), torch.zeros_like(here)
    steps = [here]
    # A walk passes every edge twice at most, and its last one once.
    for _ in range(2 * longest - 3):
        moving = here != goal
        behind = path.gather(1, (depth - 1).clamp(min=0))
        place = following.gather(1, here)
        place = place + (table.gather(1, place) == behind)
        ahead = table.gather(1, place)
        following.scatter_(1, here, place + moving)
        forward = ahead != NONE
        here = torch.where(moving, torch.where(forward, ahead, behind), here)
        depth = depth + torch.where(forward, 1, -1) * moving
        path.scatter_(1, depth, here)
        steps.append(here)
    walked = torch.cat(steps, dim=1)
    arrived = (walked == goal).int().argmax(dim=1)
    return Walks(Ragged(walked, arrived + 1), Ragged(path, depth[:, 0] + 1))
