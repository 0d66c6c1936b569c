"""Where a history is made: one server or several, and the proxies in front of them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Final, Self

from tests.harness.servers import FORBIDDEN
from tests.lossless.history import Whole
from tests.lossless.node import Node
from tests.lossless.proxy import Proxy, Target
from tests.lossless.violations import Violation

FAST: Final = {"max_outbox_bytes": "65536", "log_level": "info"}
"""Settings by which things happen in seconds that take minutes otherwise; heartbeats come on top."""


class Stage(ABC):
    """Entered as a context, it serves. `front` is for who is spared the faults of the network."""

    def __init__(self) -> None:
        self.doors: list[Target] = []
        self.front = Proxy(self.doors)
        self.nodes: list[Node] = []
        self._proxies: list[Proxy] = []

    async def __aenter__(self) -> Self:
        """Serve."""
        try:
            await self.front.start()
            self._proxies.append(self.front)
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be sure that nothing is left."""
        await self.close()

    @abstractmethod
    async def start(self) -> None:
        """Have all servers run."""

    @abstractmethod
    async def finish(self, chats: Collection[str]) -> tuple[list[Whole], list[Violation]]:
        """What the database holds of these chats, and what was wrong with the servers."""

    async def proxy(self) -> Proxy:
        """A new way to the servers; with each connection to the next of them."""
        proxy = Proxy(self.doors, turn=len(self._proxies))
        await proxy.start()
        self._proxies.append(proxy)
        return proxy

    async def close(self) -> None:
        """Be sure that nothing is left running."""
        for node in self.nodes:
            await node.close()
        proxies, self._proxies = self._proxies, []
        for proxy in proxies:
            await proxy.close()


def judge_log(lines: Sequence[str]) -> list[Violation]:
    """What stands in no server's log, whatever clients, disk and network did; each with its lines."""
    found = [at for at, line in enumerate(lines) if any(words in line for words in FORBIDDEN)]
    return [
        Violation("I10 alive", "in the log:\n" + "\n".join(lines[max(0, at - 2) : at + 40])) for at in found
    ]
