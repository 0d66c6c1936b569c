"""Where a history is made and how it ends: settled, read by a fresh client and from the database, judged."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tests.harness.node_client import NodeHost
from tests.harness.rest import Rest
from tests.harness.users import User, new_user
from tests.lossless.checker import judge
from tests.lossless.clients import PAGE, Desk, Role, Session, Way, seen
from tests.lossless.history import Entered, History, Settled, Whole
from tests.lossless.node import open_files, resident
from tests.lossless.raw_client import RawSession
from tests.lossless.stage import Stage
from tests.lossless.violations import Violation
from tests.lossless.waiting import wait_until

SETTLING: Final = 25.0
"""Seconds after the last fault until everybody must have everything."""

SPARE_FILES: Final = 12
"""Files that a server may have open at the end more than at its start: its connections to the database."""

MOST_MEMORY: Final = 300 * 2**20


@dataclass(slots=True)
class Arena:
    """A history on a stage that serves, and who takes part. To be entered as a context."""

    stage: Stage
    history: History = field(default_factory=History)
    owner: User = field(default_factory=lambda: new_user("owner"))
    sessions: list[Session] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)
    # Chats to which nobody may send.
    closed_chats: list[str] = field(default_factory=list)
    node: NodeHost = field(default_factory=NodeHost)
    rest: Rest = field(init=False)
    desk: Desk = field(init=False)
    _running: dict[Session, asyncio.Task[None]] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        """Be ready for clients."""
        self.rest = Rest(self.stage.front.url)
        self._stack.push_async_callback(self.rest.close)
        self._stack.push_async_callback(self.node.stop)
        self._stack.push_async_callback(self.dismiss)
        self.desk = Desk(self.history, self.rest)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be sure that nothing is left."""
        await self._stack.aclose()

    # Clients.

    def admit(self, session: Session) -> None:
        """Have a client run."""
        self.sessions.append(session)
        self._running[session] = asyncio.create_task(session.run())

    async def dismiss(self) -> None:
        """Have all clients go. Raises what went wrong in one of them."""
        running, self._running = list(self._running.values()), {}
        for task in running:
            task.cancel()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def check_clients(self) -> None:
        """Raise what went wrong in a client."""
        for task in self._running.values():
            if task.done():
                task.result()

    # The end.

    async def settle(self, seconds: float = SETTLING) -> None:
        """Until everybody has everything; who does not in time is left to the checker."""
        ends = {chat: await self.last_seq(chat) for chat in self.chats}

        def all_there() -> bool:
            self.check_clients()
            return all(
                chat in session.rooms and session.have[chat].upto >= ends[chat]
                for session in self.sessions
                for chat in session.role.chats
            )

        await wait_until(all_there, seconds)
        self.history.add(Settled())

    async def last_seq(self, chat: str) -> int:
        """The number of a chat's newest message."""
        page = await self.rest.history(self.owner, chat, "?limit=1")
        return int(page[-1]["seq"]) if page else 0

    async def judge(self, rights: float = 0.0) -> list[Violation]:
        """Dismiss everybody, read all there is, and judge; `rights` as in the checker."""
        await self.dismiss()
        found = await self._check_resources()
        await self._read_history()
        wholes, wrong = await self.stage.finish([*self.chats, *self.closed_chats])
        for whole in wholes:
            if whole.chat in self.chats or whole.last_seq:
                self.history.add(whole)
        return [*found, *wrong, *judge(self.history.entries, rights)]

    async def _read_history(self) -> None:
        """A fresh client reads everything."""
        role = Role("fresh", self.owner, Way.JOIN, "websocket", self.chats)
        fresh = RawSession(Desk(History(), self.rest), role, self.stage.front.url, "websocket")
        running = asyncio.create_task(fresh.run())
        await asyncio.wait_for(fresh.up.wait(), SETTLING)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for entry in fresh.desk.history.of(Entered):
            messages = [
                seen(message)
                for after in range(0, entry.seq + 1, PAGE)
                for message in await self.rest.history(self.owner, entry.chat, f"?limit={PAGE}&after={after}")
            ]
            self.history.add(Whole("history", entry.chat, entry.epoch, entry.seq, messages))

    async def _check_resources(self) -> list[Violation]:
        """I9: with everybody gone, each server is as it was at its start."""
        found = []
        for node in self.stage.nodes:
            pid, most = node.server.pid, node.files + SPARE_FILES
            if not await wait_until(lambda: open_files(pid) <= most, SETTLING):  # noqa: B023 - awaited here
                told = f"{open_files(pid)} open files, {node.files} at the start"
                found.append(Violation("I9 bounded", told))
            if (memory := resident(pid)) > MOST_MEMORY:
                found.append(Violation("I9 bounded", f"{memory >> 20} MiB of memory"))
        return found
