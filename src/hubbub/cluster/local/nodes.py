"""The nodes of a server that runs as one process: itself."""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from hubbub.cluster.reports import Question, Report


class LocalNodes:
    """Implements `cluster.base.Nodes`."""

    name = "local"

    async def names(self) -> list[str]:
        """Return the one name."""
        return [self.name]

    async def ask(self, question: Question, names: AbstractSet[str]) -> list[Report]:
        """There are no others."""
        return []

    def answer_with(self, report: Callable[[Question], Awaitable[Report]]) -> None:
        """There is nobody who asks."""
