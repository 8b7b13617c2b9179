"""Tasks on mazes: trees in a grid as adjacency lists, and the way from one node to another."""

from tasks.mazes.mazes import DfsTrace as DfsTrace
from tasks.mazes.mazes import ShortestPath as ShortestPath
