"""The nemesis: faults at random, from a seed, each undone after a while.

One line of faults hits the server, another the network, so they overlap. The same seed makes the same faults;
when exactly they strike is up to the machine.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from tests.harness.rest import Rest
from tests.harness.users import User
from tests.lossless.history import Fault, History, Membership
from tests.lossless.proxy import Proxy, Weather
from tests.lossless.stage import SmallDisk, Stage
from tests.lossless.waiting import wait_until

DISK_BITES: Final = 5.0
"""Seconds until a full disk must have been felt: the write-ahead log has some room of its own."""

Weathers = tuple[Weather, Weather]


@dataclass(frozen=True, slots=True)
class Field:
    """What the nemesis plays on."""

    stage: Stage
    history: History
    proxies: list[Proxy]
    disk: SmallDisk | None


class Nemesis:
    """Makes faults for a number of seconds; first of all a `kill -9`, and a full disk where there is one."""

    def __init__(self, field: Field, seed: int) -> None:
        self._field = field
        self._random = random.Random(f"nemesis {seed}")
        self._network_random = random.Random(f"network {seed}")
        self._server_faults: list[Callable[[], Awaitable[None]]] = [
            *(self._kill, self._kill, self._freeze, self._restart),
            *((self._fill_disk, self._fill_disk) if field.disk is not None else ()),
        ]

    async def run(self, seconds: float) -> None:
        """Make faults; returns when the last one has been undone."""
        deadline = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._haunt_server(deadline))
            group.create_task(self._haunt_network(deadline))

    def _note(self, name: str, detail: str = "") -> None:
        self._field.history.add(Fault(name, detail))

    # The server.

    async def _haunt_server(self, deadline: float) -> None:
        first = [self._kill, *([self._fill_disk] if self._field.disk is not None else [])]
        for number in itertools.count():
            await asyncio.sleep(self._random.uniform(0.5, 2.5))
            if time.monotonic() > deadline:
                return
            chosen = self._random.choice(self._server_faults)
            await (first[number] if number < len(first) else chosen)()

    async def _kill(self) -> None:
        self._note("kill -9")
        await self._field.stage.kill()
        await asyncio.sleep(self._random.uniform(0, 0.8))
        await self._field.stage.start()
        self._note("started")

    async def _restart(self) -> None:
        self._note("SIGTERM")
        code = await self._field.stage.stop()
        assert code == 0, f"exit code {code} after SIGTERM:\n" + "\n".join(self._field.stage.logs[-30:])
        await self._field.stage.start()
        self._note("started")

    async def _freeze(self) -> None:
        seconds = self._random.uniform(0.2, 2.5)
        self._note("SIGSTOP", f"{seconds:.1f} s")
        self._field.stage.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._field.stage.thaw()

    async def _fill_disk(self) -> None:
        """Fill the disk until it is felt, and a little longer."""
        assert self._field.disk is not None
        counts = self._field.history.counts
        self._note("disk full")
        self._field.disk.fill()
        try:
            refused = counts["Fail"] + 5
            await wait_until(lambda: counts["Fail"] >= refused, DISK_BITES)
            await asyncio.sleep(self._random.uniform(0.2, 1.0))
        finally:
            self._field.disk.free()
            self._note("disk free")

    # The network.

    async def _haunt_network(self, deadline: float) -> None:
        chance = self._network_random
        while True:
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            if time.monotonic() > deadline:
                return
            everybody = chance.random() < 0.2
            targets = self._field.proxies if everybody else [chance.choice(self._field.proxies)]
            name, make, seconds = self._bad_weather(chance)
            self._note(name, "for all" if everybody else "")
            for proxy in targets:
                if make is None:
                    proxy.cut_all()
                else:
                    proxy.become(make)
            await asyncio.sleep(seconds)
            for proxy in targets:
                proxy.heal()

    def _bad_weather(self, chance: random.Random) -> tuple[str, Callable[[], Weathers] | None, float]:
        """A name, what it does to a connection (None: cuts it), and how many seconds it lasts."""
        seconds = chance.uniform(0.2, 2.5)
        delay, size = chance.uniform(0.02, 0.4), chance.randint(1, 4000)
        kinds: list[tuple[str, Callable[[], Weathers] | None, float]] = [
            ("cut", None, 0),
            ("cut", None, 0),
            ("half-open: answers are lost", lambda: (Weather(), Weather(drop=True)), seconds),
            ("half-open: requests are lost", lambda: (Weather(drop=True), Weather()), seconds),
            ("black hole", lambda: (Weather(drop=True), Weather(drop=True)), seconds),
            ("delay", lambda: (Weather(delay=delay), Weather(delay=delay)), seconds),
            ("cut after some bytes", lambda: (Weather(), Weather(cut_after=size)), seconds),
            ("cut after some bytes", lambda: (Weather(cut_after=size // 4 + 1), Weather()), seconds),
            ("slow reader", lambda: (Weather(), Weather(rate=2000)), seconds),
            ("reader that stops", lambda: (Weather(), Weather(hold=True)), seconds),
        ]
        return chance.choice(kinds)


class Warden:
    """Ends and renews a guest's membership, again and again; at the end the guest is a member."""

    def __init__(self, history: History, rest: Rest, owner: User, guest: User, chat: str) -> None:
        self._history = history
        self._rest = rest
        self._owner = owner
        self._guest = guest
        self._chat = chat

    async def run(self, seconds: float, seed: int) -> None:
        """Change it for so many seconds."""
        chance = random.Random(f"warden {seed}")
        deadline = time.monotonic() + seconds
        member = True
        while time.monotonic() < deadline or not member:
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            member = not member
            await self._change(member)

    async def _change(self, member: bool) -> None:
        """Until it is answered; what an earlier attempt has done already is done, too."""
        path = f"/chats/{self._chat}/participants"
        self._history.add(Membership(self._guest.id, self._chat, member, done=False))
        status = 0
        while not (200 <= status < 300 or status == 404):
            try:
                if member:
                    status, _ = await self._rest.ask(self._owner, "POST", path, {"userId": self._guest.id})
                else:
                    status, _ = await self._rest.ask(self._owner, "DELETE", f"{path}/{self._guest.id}")
            except (aiohttp.ClientError, OSError, TimeoutError):
                status = 0
            await asyncio.sleep(0.05)
        self._history.add(Membership(self._guest.id, self._chat, member, done=True))
