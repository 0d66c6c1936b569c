"""A run: one seed played from the start of the server to the judgement.

everybody in -> load and faults -> heal -> settle -> read all, by history and from the file -> judge
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.node_client import NodeHost
from tests.harness.rest import Rest
from tests.lossless.checker import judge
from tests.lossless.clients import PAGE, Desk, Role, Way, seen
from tests.lossless.crowd import Crowd, gather_crowd, present
from tests.lossless.history import (
    Entered,
    Fail,
    Fault,
    History,
    Invoke,
    Ok,
    Opened,
    Paged,
    Recovered,
    Settled,
    Whole,
)
from tests.lossless.nemesis import Field, Nemesis, Warden
from tests.lossless.raw_client import RawSession
from tests.lossless.senders import Sender
from tests.lossless.stage import SmallDisk, Stage, read_database
from tests.lossless.violations import Violation
from tests.lossless.waiting import wait_until

SETTLING: Final = 25.0
"""Seconds after the last fault until everybody must have everything."""

LANES: Final = 3

SPARE_FILES: Final = 12
"""Files that a server may have open at the end more than at its start: its connections to the database."""

MOST_MEMORY: Final = 300 * 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is like. `pace`: seconds between two messages of a lane, on average."""

    seed: int
    seconds: float
    pace: float = 0.2
    npm: bool = True
    disk: SmallDisk | None = None
    program: tuple[str, ...] = ("-m", "hubbub")


@dataclass(slots=True)
class Outcome:
    """What a run has shown."""

    plan: Plan
    history: History
    violations: list[Violation] = field(default_factory=list)


class Run:
    """One run of a plan, with its data in an empty folder. `history` grows while it is played."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.history = History()
        self.phase = "starting"
        self._stage = Stage(folder, plan.program)
        self._crowd = Crowd()
        self._violations: list[Violation] = []

    async def play(self) -> Outcome:
        """Play it to the end and judge it."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stage.close)
            await self._stage.front.start()
            await self._stage.start()
            rest = Rest(self._stage.front.url)
            stack.push_async_callback(rest.close)
            node = NodeHost()
            stack.push_async_callback(node.stop)
            self._crowd = await gather_crowd(self._stage, rest, self.history, node if self.plan.npm else None)
            files = open_files(self._stage.server.pid)
            async with present(self._crowd.sessions):
                await self._load(rest)
                await self._settle(rest)
            self.phase = "reading"
            await self._check_resources(files)
            await self._read(rest)
            await self._end()
        self.phase = "judging"
        return Outcome(self.plan, self.history, [*self._violations, *judge(self.history.entries)])

    async def _load(self, rest: Rest) -> None:
        """Everybody in, then messages and faults side by side."""
        self.phase = "entering"
        async with asyncio.timeout(SETTLING):
            for session in self._crowd.sessions:
                await session.up.wait()
        self.phase = "faults"
        senders = [
            Sender(session, f"{self.plan.seed} {session.role.name}", self.plan.pace, self._crowd.stranger)
            for session in self._crowd.sessions
        ]
        stage = Field(self._stage, self.history, self._crowd.proxies, self.plan.disk)
        warden = Warden(self.history, rest, self._crowd.owner, self._crowd.guest, self._crowd.guarded)
        sending = asyncio.gather(*(sender.run(LANES) for sender in senders))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(Nemesis(stage, self.plan.seed).run(self.plan.seconds))
                group.create_task(warden.run(self.plan.seconds, self.plan.seed))
            self.phase = "settling"
            for sender in senders:
                sender.ended.set()
            await asyncio.wait_for(asyncio.shield(sending), SETTLING)
        except TimeoutError:
            self._violations.append(
                Violation("I10 alive", f"sends without an end {SETTLING:g} s after all faults")
            )
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _settle(self, rest: Rest) -> None:
        """Until everybody has everything; who does not in time is left to the checker."""
        ends = {chat: await last_seq(rest, self._crowd, chat) for chat in self._crowd.chats}

        def all_there() -> bool:
            return all(
                chat in session.rooms and session.have[chat].upto >= end
                for session in self._crowd.sessions
                for chat, end in ends.items()
            )

        await wait_until(all_there, SETTLING)
        self.history.add(Settled())

    async def _read(self, rest: Rest) -> None:
        """A fresh client reads everything by history."""
        role = Role("fresh", self._crowd.owner, Way.JOIN, "websocket", self._crowd.chats)
        fresh = RawSession(Desk(History(), rest), role, self._stage.front.url, "websocket")
        async with present([fresh]):
            await asyncio.wait_for(fresh.up.wait(), SETTLING)
        for entry in fresh.desk.history.of(Entered):
            messages = [
                seen(message)
                for after in range(0, entry.seq + 1, PAGE)
                for message in await rest.history(
                    self._crowd.owner, entry.chat, f"?limit={PAGE}&after={after}"
                )
            ]
            self.history.add(Whole("history", entry.chat, entry.epoch, entry.seq, messages))

    async def _end(self) -> None:
        """Stop the server, and read what it wrote: its file and its log."""
        code = await self._stage.stop()
        if code != 0:
            self._violations.append(Violation("I10 alive", f"exit code {code} after SIGTERM"))
        for whole in read_database(self._stage.data_dir):
            if whole.chat != self._crowd.stranger or whole.last_seq:
                self.history.add(whole)
        self._violations += [Violation("I10 alive", part) for part in self._stage.judge_log()]

    async def _check_resources(self, files: int) -> None:
        """I9: with everybody gone, the server is as it was at its start."""
        pid = self._stage.server.pid
        if not await wait_until(lambda: open_files(pid) <= files + SPARE_FILES, SETTLING):
            told = f"{open_files(pid)} open files, {files} at the start"
            self._violations.append(Violation("I9 bounded", told))
        if (memory := resident(pid)) > MOST_MEMORY:
            self._violations.append(Violation("I9 bounded", f"{memory >> 20} MiB of memory"))


def open_files(pid: int) -> int:
    """How many files and sockets a process has open; 0 where nobody says."""
    folder = Path(f"/proc/{pid}/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def resident(pid: int) -> int:
    """Bytes of memory that a process occupies; 0 where nobody says."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


async def last_seq(rest: Rest, crowd: Crowd, chat: str) -> int:
    """The number of a chat's newest message."""
    page = await rest.history(crowd.owner, chat, "?limit=1")
    return int(page[-1]["seq"]) if page else 0


def count(history: History) -> dict[str, int]:
    """What was done to the server in a run, and what it did."""
    counts = history.counts
    faults = Counter(one.name for one in history.of(Fault) if one.name not in ("started", "disk free"))
    refusals = Counter(one.code for one in history.of(Fail))
    recoveries = list(history.of(Recovered))
    told: dict[str, int] = {
        "sends": len({(one.user, one.chat, one.client_id) for one in history.of(Invoke)}),
        "attempts": counts["Invoke"],
        "acknowledged": counts["Ok"],
        "acknowledged as duplicates": sum(one.duplicate for one in history.of(Ok)),
        "timed out or cut off": counts["Info"],
        **{f"refused {code}": number for code, number in sorted(refusals.items())},
        "faults": sum(faults.values()),
        **{f"  {name}": number for name, number in sorted(faults.items())},
        "connections": counts["Opened"],
        "recovered by token": sum(one.last_seq is None for one in recoveries),
        "recovered with lastSeq": sum(one.last_seq is not None for one in recoveries),
        "recovered by Socket.IO": sum(one.continued for one in history.of(Opened)),
        "recoveries truncated": sum(one.truncated for one in recoveries),
        "recoveries refused": counts["RecoveryRefused"],
        "deliveries": counts["Delivered"],
        "queued deliveries": sum(len(one.queue) for one in recoveries),
        "read by history": sum(len(one.messages) for one in history.of(Paged)),
    }
    return told
