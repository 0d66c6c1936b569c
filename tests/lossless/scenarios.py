"""Short ways to each seeded bug: the same steps pass on a server without it.

Nothing here is at random. A scenario's clients come and go as it says; its history is judged like any other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.servers import HUBBUB
from tests.harness.users import new_user
from tests.lossless.arena import Arena
from tests.lossless.clients import Role, Session, Way
from tests.lossless.history import Confirmed, Fault, Membership, Restored
from tests.lossless.links import Transport
from tests.lossless.node import Node
from tests.lossless.npm_client import NpmSession
from tests.lossless.proxy import Proxy, Weather
from tests.lossless.raw_client import RawSession
from tests.lossless.senders import Message, Sender
from tests.lossless.single import SingleStage
from tests.lossless.stage import Stage
from tests.lossless.violations import Violation
from tests.lossless.waiting import wait_until

PATIENCE: Final = 10.0
FAST_HEARTBEAT: Final = {"ping_interval": "100ms", "ping_timeout": "800ms"}
SLOW_HEARTBEAT: Final = {"ping_interval": "20s", "ping_timeout": "20s"}
"""So that nothing but the scenario itself makes the server write."""


@dataclass(slots=True)
class Actor:
    """A client, its proxy, and its sender."""

    session: Session
    proxy: Proxy
    sender: Sender

    async def say(self, chat: str, *numbers: int) -> None:
        """A message for each number, one after the other, each until it is answered."""
        for number in numbers:
            name = f"{self.session.role.name}-{number}"
            await self.sender.deliver(Message(chat, name, name))


class Scene:
    """One chat, and actors who are members of it."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.stage: Stage = arena.stage
        self.chat = ""
        self._count = 0

    async def open(self) -> None:
        """Make the chat."""
        self.chat = await self.arena.rest.chat(self.arena.owner)
        self.arena.chats = [self.chat]

    async def actor(
        self,
        way: Way = Way.JOIN,
        npm: list[str] | None = None,
        transport: Transport = "websocket",
        at: Node | None = None,
    ) -> Actor:
        """A client in the room; the stock one with these transports, if given. `at`: on a certain node."""
        self._count += 1
        user = new_user(way.name.lower())
        await self.arena.rest.add(self.arena.owner, self.chat, user)
        proxy = await self.stage.proxy()
        if at is not None:
            proxy.targets = [at.server.port]
        role = Role(f"actor{self._count}", user, way, transport, [self.chat])
        session: Session
        if npm is None:
            session = RawSession(self.arena.desk, role, proxy.url, transport)
        else:
            session = NpmSession(self.arena.desk, role, proxy.url, self.arena.node, npm)
        self.arena.admit(session)
        await asyncio.wait_for(session.up.wait(), PATIENCE)
        return Actor(session, proxy, Sender(session, "", 0, ""))

    async def has(self, actor: Actor, seq: int) -> None:
        """Wait until a client has everything up to a number."""
        have = actor.session.have[self.chat]
        assert await wait_until(lambda: have.upto >= seq, PATIENCE), f"only {have.upto}, not {seq}"

    async def leaves(self, actor: Actor) -> None:
        """Take a client off the network, and let the server know."""
        actor.proxy.is_offline = True
        actor.proxy.cut_all()
        assert await wait_until(lambda: not actor.session.up.is_set(), PATIENCE)

    async def returns(self, actor: Actor) -> None:
        """Let it come back and wait until it is in its rooms."""
        actor.proxy.is_offline = False
        await asyncio.wait_for(actor.session.up.wait(), PATIENCE)

    async def confirmed(self, actor: Actor) -> None:
        """Wait until the server must know that the client has what it has now."""
        entries, began = self.arena.history.entries, len(self.arena.history.entries)
        want = actor.session.line.get(self.chat, 0)

        def told() -> bool:
            later = (one for one in entries[began:] if isinstance(one, Confirmed))
            return any(
                one.connection == actor.session.connection and one.seqs.get(self.chat, -1) >= want
                for one in later
            )

        assert await wait_until(told, PATIENCE)

    async def kill(self) -> None:
        """`kill -9`, and a new server on the same data."""
        self.arena.history.add(Fault("kill -9"))
        (node,) = self.stage.nodes
        await node.kill()
        await node.start()

    async def change_member(self, actor: Actor, *, member: bool) -> None:
        """End a membership, or renew it."""
        history, user = self.arena.history, actor.session.role.user
        history.add(Membership(user.id, self.chat, member, done=False))
        if member:
            await self.arena.rest.add(self.arena.owner, self.chat, user)
        else:
            await self.arena.rest.remove(self.arena.owner, self.chat, user)
        history.add(Membership(user.id, self.chat, member, done=True))


Play = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps, and settings of the server for them."""

    play: Play
    settings: dict[str, str] = field(default_factory=lambda: FAST_HEARTBEAT)
    patience: float = 3.0
    """Seconds to wait at the end until everybody has everything, which never comes with some bugs."""


async def run(
    scenario: Scenario, folder: Path, program: Sequence[str] = HUBBUB, patience: float | None = None
) -> tuple[Arena, list[Violation]]:
    """Play a scenario and judge its history; `patience` in place of the scenario's own."""
    async with SingleStage(folder, program, **scenario.settings) as stage, Arena(stage) as arena:
        scene = Scene(arena)
        await scene.open()
        await scenario.play(scene)
        await arena.settle(scenario.patience if patience is None else patience)
        return arena, await arena.judge()


async def killed_after_acks(scene: Scene) -> None:
    """Messages are acknowledged, and the server dies at once."""
    sender = await scene.actor()
    await sender.say(scene.chat, *range(1, 11))
    await scene.kill()
    await asyncio.wait_for(sender.session.up.wait(), PATIENCE)
    await sender.say(scene.chat, 11)


async def retried(scene: Scene) -> None:
    """A message is sent again after its acknowledgement, then another one."""
    sender = await scene.actor()
    await sender.say(scene.chat, 1, 1, 2)


async def retried_after_a_kill(scene: Scene) -> None:
    """The acknowledgement is lost with the server; the message is sent again to the next one."""
    sender = await scene.actor()
    await sender.say(scene.chat, 1, 2)
    await scene.kill()
    await asyncio.wait_for(sender.session.up.wait(), PATIENCE)
    await sender.say(scene.chat, 1, 2, 3)


async def out_of_order(scene: Scene) -> None:
    """A message that was held up on its way comes behind one that was written after it."""
    sender = await scene.actor()
    await sender.say(scene.chat, 2, 1, 3)


async def many_at_once(scene: Scene) -> None:
    """Messages of several senders side by side."""
    senders = [await scene.actor() for _ in range(3)]
    await asyncio.gather(*(sender.say(scene.chat, *range(1, 11)) for sender in senders))


def missed_by(way: Way) -> Play:
    """A client that has some messages for sure is away while others pass."""

    async def play(scene: Scene) -> None:
        sender, reader = await scene.actor(), await scene.actor(way)
        await sender.say(scene.chat, 1, 2, 3)
        await scene.has(reader, 3)
        await scene.confirmed(reader)
        await scene.leaves(reader)
        await sender.say(scene.chat, *range(4, 9))
        await scene.returns(reader)
        await sender.say(scene.chat, 9)

    return play


async def many_missed(scene: Scene) -> None:
    """More is missed than a queue may hold."""
    sender, reader = await scene.actor(), await scene.actor(Way.TOKEN)
    await scene.leaves(reader)
    await asyncio.gather(*(sender.say(scene.chat, *range(at, 540, 20)) for at in range(20)))
    await scene.returns(reader)
    await sender.say(scene.chat, 600)


async def swallowed(scene: Scene) -> None:
    """The server writes to a connection that is dead already, and heartbeats are not answered any more."""
    sender, reader = await scene.actor(), await scene.actor(Way.TOKEN)
    await sender.say(scene.chat, 1)
    await scene.has(reader, 1)
    await scene.confirmed(reader)
    reader.proxy.become(lambda: (Weather(), Weather(drop=True)))
    await sender.say(scene.chat, 2, 3, 4)
    await scene.leaves(reader)
    reader.proxy.heal()
    await scene.returns(reader)
    await sender.say(scene.chat, 5)


async def recovered_twice(scene: Scene) -> None:
    """A client recovers, confirms that, and recovers again; then somebody has its first token."""
    sender, reader = await scene.actor(), await scene.actor(Way.TOKEN)
    stolen = reader.session.token
    for number in (1, 2):
        await scene.leaves(reader)
        await sender.say(scene.chat, number)
        await scene.returns(reader)
        await scene.confirmed(reader)
    await scene.leaves(reader)
    reader.session.token = stolen
    await scene.returns(reader)


def removed(way: Way, *, there: bool) -> Play:
    """A member is removed, while it is in the room or away, and messages are sent afterwards."""

    async def play(scene: Scene) -> None:
        sender, reader = await scene.actor(), await scene.actor(way)
        await sender.say(scene.chat, 1)
        await scene.has(reader, 1)
        if not there:
            await scene.leaves(reader)
        await scene.change_member(reader, member=False)
        await sender.say(scene.chat, 2, 3)
        if not there:
            await scene.returns(reader)
        await sender.say(scene.chat, 4)
        await scene.change_member(reader, member=True)

    return play


async def restored(scene: Scene) -> None:
    """A backup is put back; clients of every way come back, and the numbers they know are given anew."""
    sender, *readers = [await scene.actor(way) for way in (Way.JOIN, Way.TOKEN, Way.CLAIM, Way.STATE)]
    await sender.say(scene.chat, 1, 2, 3)
    assert isinstance(scene.stage, SingleStage)
    file = scene.stage.folder / "backup.db"
    await scene.stage.command("backup", str(file))
    await sender.say(scene.chat, *range(4, 9))
    for reader in readers:
        await scene.has(reader, 8)
    for actor in (sender, *readers):
        await scene.leaves(actor)
    await scene.stage.node.stop()
    await scene.stage.command("restore", str(file))
    scene.arena.history.add(Restored())
    await scene.stage.start()
    await scene.returns(sender)
    await sender.say(scene.chat, *range(20, 30))
    for reader in readers:
        await scene.returns(reader)
    await sender.say(scene.chat, 30)


SCENARIOS: Final[dict[str, Scenario]] = {
    "killed after acks": Scenario(killed_after_acks, SLOW_HEARTBEAT),
    "retried": Scenario(retried, SLOW_HEARTBEAT),
    "retried after a kill": Scenario(retried_after_a_kill),
    "out of order": Scenario(out_of_order),
    "many at once": Scenario(many_at_once),
    "missed, by token": Scenario(missed_by(Way.TOKEN)),
    "missed, with lastSeq": Scenario(missed_by(Way.CLAIM)),
    "missed, by state recovery": Scenario(missed_by(Way.STATE)),
    "many missed": Scenario(many_missed),
    "swallowed": Scenario(swallowed),
    "recovered twice": Scenario(recovered_twice),
    "removed while there": Scenario(removed(Way.TOKEN, there=True)),
    "removed while away, token": Scenario(removed(Way.TOKEN, there=False)),
    "removed while away, state recovery": Scenario(removed(Way.STATE, there=False)),
    "restored": Scenario(restored),
}
