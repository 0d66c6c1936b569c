"""A run: one seed played from the start of the server to the judgement.

everybody in -> load and faults -> heal -> settle -> read all, by history and from the file -> judge
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.lossless.arena import SETTLING, Arena
from tests.lossless.crowd import Crowd, gather_crowd
from tests.lossless.history import Fail, Fault, History, Info, Invoke, Ok, Opened, Paged, Recovered
from tests.lossless.nemesis import Line, haunt
from tests.lossless.network_faults import network_line
from tests.lossless.presence import judge_presence
from tests.lossless.senders import PATIENCE, TIMED_OUT, Sender
from tests.lossless.stage import Stage
from tests.lossless.violations import Violation
from tests.lossless.warden import Warden

ENDED: Final = frozenset({"started", "disk free", "healed"})
"""Entries that tell of a fault's end."""

LANES: Final = 3
"""Messages that a client has on their way at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is like. `pace`: seconds between two messages of a lane, on average. `patience`: seconds
    until a send counts as timed out.
    """

    seed: int
    seconds: float
    pace: float = 0.2
    npm: bool = True
    patience: float = PATIENCE
    network: bool = True
    """Whether the clients' network fails, too."""
    rights: float = 0.0
    """For how many seconds a right may count after its end, while what tells of it is broken."""


class Run:
    """One run of a plan on a stage that serves; `lines` makes its faults. `history` grows meanwhile."""

    def __init__(self, plan: Plan, stage: Stage, lines: Callable[[History], Sequence[Line]]) -> None:
        self.plan = plan
        self.phase = "starting"
        self._lines = lines
        self._arena = Arena(stage)
        self._unended: list[Violation] = []
        self._senders: list[Sender] = []

    @property
    def history(self) -> History:
        """What has happened so far."""
        return self._arena.history

    async def play(self) -> list[Violation]:
        """Play it to the end and judge it."""
        async with self._arena as arena:
            self.phase = "entering"
            crowd = await gather_crowd(arena, npm=self.plan.npm)
            async with asyncio.timeout(SETTLING):
                for session in arena.sessions:
                    await session.up.wait()
            await self._load(arena, crowd)
            await arena.settle()
            self.phase = "judging"
            found = [*self._unended, *self._unanswered(), *await judge_presence(arena)]
            return [*found, *await arena.judge(self.plan.rights)]

    def hush(self) -> None:
        """Have nothing new sent any more."""
        for sender in self._senders:
            sender.ended.set()

    def _unanswered(self) -> list[Violation]:
        """Sends that hung: where the network is good each is answered in time, or its connection is lost."""
        if self.plan.network:
            return []
        hung = [
            place
            for place, entry in enumerate(self.history.entries)
            if isinstance(entry, Info) and entry.why == TIMED_OUT
        ]
        told = f"not answered within {self.plan.patience:g} s"
        return [Violation("I10 hung", told, [place]) for place in hung]

    async def _load(self, arena: Arena, crowd: Crowd) -> None:
        """Messages and faults side by side; then no more faults, and the messages to their end."""
        self.phase = "faults"
        self._senders = [
            Sender(
                session,
                f"{self.plan.seed} {session.role.name}",
                self.plan.pace,
                crowd.stranger,
                self.plan.patience,
            )
            for session in arena.sessions
        ]
        lines = [*self._lines(self.history)]
        if self.plan.network:
            lines.append(network_line(self.history, crowd.proxies, self.plan.seed))
        warden = Warden(self.history, arena.rest, arena.owner, crowd.guest, crowd.guarded)
        sending = asyncio.gather(*(sender.run(LANES) for sender in self._senders))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(haunt(lines, self.plan.seconds))
                group.create_task(warden.run(self.plan.seconds, self.plan.seed))
            self.phase = "settling"
            self.hush()
            await asyncio.wait_for(asyncio.shield(sending), SETTLING)
        except TimeoutError:
            told = f"{SETTLING:g} s after all faults some sends have not ended"
            self._unended.append(Violation("I10 alive", told))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def count(history: History) -> dict[str, int]:
    """What was done to the server in a run, and what it did."""
    counts = history.counts
    faults = Counter(one.name for one in history.of(Fault) if one.name not in ENDED)
    refusals = Counter(one.code for one in history.of(Fail))
    recoveries = list(history.of(Recovered))
    return {
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
