"""A stock JavaScript client is off the network while a thousand messages pass, and has them all afterwards.

Off the network means what it does on a train: nothing passes, and nobody is told that the connection is gone.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lossless.arena import SETTLING, Arena
from tests.lossless.clients import Way
from tests.lossless.history import Fault, History, Opened, Recovered
from tests.lossless.proxy import Weather
from tests.lossless.scenarios import Actor, Scene
from tests.lossless.single import SingleStage
from tests.lossless.violations import Violation
from tests.lossless.waiting import wait_until

MESSAGES: Final = 1000
QUEUE: Final = 500
"""What `connection:recover` hands over at most."""

POLLING_FIRST: Final = ["polling", "websocket"]
NO_STATE_RECOVERY: Final = {"state_recovery_window": "0s"}


@dataclass(frozen=True, slots=True)
class Case:
    """How the client comes back, and what happens besides. `seen` messages reach it before it goes."""

    way: Way
    settings: dict[str, str] = field(default_factory=dict)
    transports: list[str] = field(default_factory=lambda: POLLING_FIRST)
    seen: int = 3
    idles: bool = False
    """Nothing happens before it goes, for longer than state recovery reaches back."""
    is_killed: bool = False
    """The server is killed and started again meanwhile."""


CASES: Final[dict[str, Case]] = {
    "by token": Case(Way.TOKEN, NO_STATE_RECOVERY),
    "with lastSeq": Case(Way.CLAIM, NO_STATE_RECOVERY),
    "by state recovery": Case(Way.STATE),
    "by state recovery, WebSocket only": Case(Way.STATE, transports=["websocket"]),
    "by state recovery, polling only": Case(Way.STATE, transports=["polling"]),
    "dropped before the first event": Case(Way.STATE, seen=0),
    "after long idleness": Case(Way.STATE, idles=True),
    "over a kill -9": Case(Way.STATE, is_killed=True),
    "before the first event, over a kill -9": Case(Way.STATE, seen=0, is_killed=True),
    "by token, over a kill -9": Case(Way.TOKEN, NO_STATE_RECOVERY, is_killed=True),
}


async def miss(case: Case, folder: Path, seconds: float) -> tuple[History, list[Violation]]:
    """Play a case with an absence of so many seconds, and judge it."""
    window = seconds + 3
    settings = case.settings | _beats(seconds)
    if case.idles:
        settings["state_recovery_window"] = f"{window:g}s"
    stage = SingleStage(folder, **{"max_outbox_bytes": "4194304", **settings})
    async with stage, Arena(stage) as arena:
        scene = Scene(arena)
        await scene.open()
        peer, client = await scene.actor(), await scene.actor(case.way, case.transports)
        await peer.say(scene.chat, *range(1, case.seen + 1))
        await scene.has(client, case.seen)
        await asyncio.sleep(window + 1 if case.idles else 0)
        await _be_absent(scene, case, client, peer, seconds)
        await peer.say(scene.chat, 2 * MESSAGES)
        await arena.settle(SETTLING)
        violations = await arena.judge()
        return arena.history, [*violations, *_expected(case, arena.history, client.session.role.name)]


def _beats(seconds: float) -> dict[str, str]:
    """Heartbeats of which the client misses one for long enough to know that it is gone, and no others."""
    return {"ping_interval": f"{1000 * seconds / 6:.0f}ms", "ping_timeout": f"{1000 * seconds / 3:.0f}ms"}


async def _be_absent(scene: Scene, case: Case, client: Actor, peer: Actor, seconds: float) -> None:
    ends = asyncio.get_running_loop().time() + seconds
    lost = client.session.connection
    client.proxy.is_offline = True
    client.proxy.become(lambda: (Weather(hold=True), Weather(hold=True)))
    scene.arena.history.add(Fault("absence", f"{seconds:g} s"))
    first = case.seen + 1
    await asyncio.gather(
        *(peer.say(scene.chat, *range(lane, first + MESSAGES, 25)) for lane in range(first, first + 25))
    )
    if case.is_killed:
        await scene.kill()
        await asyncio.wait_for(peer.session.up.wait(), SETTLING)
    await asyncio.sleep(max(0.0, ends - asyncio.get_running_loop().time()))
    client.proxy.cut_all()
    client.proxy.heal()
    client.proxy.is_offline = False
    session = client.session
    await wait_until(lambda: session.connection != lost and session.up.is_set(), SETTLING)


def _expected(case: Case, history: History, name: str) -> Sequence[Violation]:
    """What the way promises beyond the invariants."""
    openings = [one for one in history.of(Opened) if one.session == name]
    recoveries = [one for one in history.of(Recovered) if one.connection == openings[-1].connection]
    promises: dict[str, Callable[[], bool]] = {}
    if case.way is Way.STATE:
        promises["socket.recovered is true"] = lambda: all(one.continued for one in openings[1:])
        promises["it has come back"] = lambda: len(openings) > 1
    else:
        promises["it has recovered"] = lambda: len(recoveries) == 1
        promises[f"the queue has {QUEUE}"] = lambda: [len(one.queue) for one in recoveries] == [QUEUE]
        promises["the cut is told"] = lambda: all(one.truncated for one in recoveries)
    return [Violation("promise", f"not so: {text}") for text, holds in promises.items() if not holds()]
