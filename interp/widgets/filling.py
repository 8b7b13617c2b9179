"""Work that is done piece by piece while nobody asks for anything else."""

import asyncio
from collections.abc import Iterator

_PAUSE = 0.02
"""Seconds between two pieces, in which a kernel hears what was clicked."""


class Filling:
    """The work that is going on, if any: new work takes the place of old.

    Where an event loop runs, as in a notebook's kernel, pieces are done by themselves; elsewhere, or to have all of it
    at once, `finish` does them.
    """

    def __init__(self) -> None:
        self._work: Iterator[object] = iter(())
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Iterator[object]) -> None:
        """Leaves the old work undone and begins the new; a piece is done each time the iterator is asked."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._work = work
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._go(work))

    def finish(self) -> None:
        """Does all that is left."""
        for _ in self._work:
            pass

    async def _go(self, work: Iterator[object]) -> None:
        await asyncio.sleep(_PAUSE)
        for _ in work:
            await asyncio.sleep(_PAUSE)
