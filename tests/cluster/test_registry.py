"""What a registry promises, against a model that keeps no order and no counts but looks everything up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.cluster.base import Connection, Reaped, Registry, TypingEntry
from hubbub.cluster.local import LocalRegistry
from tests.cluster.implementations import NAMES, connection, open_ports

USERS = st.sampled_from(("u1", "u2", "u10", "ü"))
CHATS = st.sampled_from(("c1", "c2"))
SOCKETS = st.integers(0, 5)
STATUSES = st.sampled_from(("online", "away", "busy"))


@pytest.fixture(params=NAMES)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    """One of the implementations."""
    async with open_ports(request.param) as ports:
        yield ports.registry


def entry(user_id: str, chat_id: str, started_at: int = 0) -> TypingEntry:
    """Somebody typing."""
    return TypingEntry(user_id=user_id, username=user_id, chat_id=chat_id, started_at=started_at)


class RegistryMachine(RuleBasedStateMachine):
    """Any sequence of calls leaves the registry and the model with the same answers."""

    name = "local"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ports = open_ports(self.name)
        self.registry = self.runner.run(self.ports.__aenter__()).registry
        self.sockets: dict[int, Connection] = {}
        self.statuses: dict[str, str] = {}
        self.last_seen: dict[str, int] = {}
        self.departures: dict[str, int | None] = {}
        self.rooms: set[tuple[str, int]] = set()
        self.typing: list[tuple[str, str]] = []
        self.clock = 0

    def teardown(self) -> None:
        self.runner.run(self.ports.__aexit__(None, None, None))
        self.runner.close()

    def of_user(self, user_id: str) -> list[Connection]:
        return [socket for socket in self.sockets.values() if socket.user_id == user_id]

    def occupancy(self, chat_id: str, user_id: str) -> tuple[int, int]:
        users = Counter(self.sockets[number].user_id for chat, number in self.rooms if chat == chat_id)
        return len(users), users[user_id]

    @rule(number=SOCKETS, user_id=USERS)
    def connect(self, number: int, user_id: str) -> None:
        if number in self.sockets:
            return
        self.clock += 1
        socket = connection(f"s{self.clock}", user_id, self.clock)
        first = self.runner.run(self.registry.connect(socket))
        assert first == (user_id not in self.statuses)
        self.sockets[number] = socket
        self.statuses.setdefault(user_id, "online")
        self.last_seen[user_id] = max(self.clock, self.last_seen.get(user_id, 0))

    @rule(number=SOCKETS)
    def disconnect(self, number: int) -> None:
        socket = self.sockets.pop(number, None) or connection("nobody's", "u1")
        known = socket.socket_id != "nobody's"
        self.rooms = {(chat, other) for chat, other in self.rooms if other != number}
        departure = self.runner.run(self.registry.disconnect(socket))
        last = known and not self.of_user(socket.user_id)
        assert (departure is not None) == last
        if last:
            assert departure != self.departures.get(socket.user_id)
            self.departures[socket.user_id] = departure

    @rule(user_id=USERS, stale=st.booleans())
    def forget(self, user_id: str, *, stale: bool) -> None:
        departure = self.departures.get(user_id)
        if departure is None:
            return
        gone = user_id in self.statuses and not self.of_user(user_id) and not stale
        user = self.runner.run(self.registry.forget(user_id, departure + 1 if stale else departure))
        assert (user is not None) == gone
        if user is not None:
            assert user.status == self.statuses.pop(user_id)
            assert user.last_seen == self.last_seen.pop(user_id)
            del self.departures[user_id]

    @rule(user_id=USERS, step=st.integers(0, 3))
    def touch(self, user_id: str, step: int) -> None:
        self.clock += step
        self.registry.touch(user_id, self.clock)
        if user_id in self.statuses:
            self.last_seen[user_id] = self.clock

    @rule(user_id=USERS, status=STATUSES)
    def set_status(self, user_id: str, status: str) -> None:
        before = self.runner.run(self.registry.set_status(user_id, status))
        assert before == self.statuses.get(user_id)
        if before is not None:
            self.statuses[user_id] = status

    @rule(number=SOCKETS, chat_id=CHATS)
    def enter(self, number: int, chat_id: str) -> None:
        socket = self.sockets.get(number) or connection("nobody's", "u1")
        changed = number in self.sockets and (chat_id, number) not in self.rooms
        if changed:
            self.rooms.add((chat_id, number))
        occupancy = self.runner.run(self.registry.enter(chat_id, socket))
        assert occupancy.changed == changed
        assert (occupancy.online, occupancy.devices) == self.occupancy(chat_id, socket.user_id)

    @rule(number=SOCKETS, chat_id=CHATS)
    def leave(self, number: int, chat_id: str) -> None:
        socket = self.sockets.get(number) or connection("nobody's", "u1")
        changed = (chat_id, number) in self.rooms
        self.rooms.discard((chat_id, number))
        occupancy = self.runner.run(self.registry.leave(chat_id, socket))
        assert occupancy.changed == changed
        assert (occupancy.online, occupancy.devices) == self.occupancy(chat_id, socket.user_id)

    @rule(user_id=USERS, chat_id=CHATS)
    def start_typing(self, user_id: str, chat_id: str) -> None:
        new = (chat_id, user_id) not in self.typing
        assert self.runner.run(self.registry.start_typing(entry(user_id, chat_id))) == new
        if new:
            self.typing.append((chat_id, user_id))

    @rule(user_id=USERS, chat_id=CHATS)
    def stop_typing(self, user_id: str, chat_id: str) -> None:
        typing = (chat_id, user_id) in self.typing
        assert self.runner.run(self.registry.stop_typing(chat_id, user_id)) == typing
        if typing:
            self.typing.remove((chat_id, user_id))

    @rule(after=st.one_of(st.just(""), USERS), limit=st.integers(1, 6))
    def page(self, after: str, limit: int) -> None:
        users = self.runner.run(self.registry.users(after, limit))
        expected = sorted(user_id for user_id in self.statuses if user_id > after)[:limit]
        assert [user.user_id for user in users] == expected

    @rule(chat_id=CHATS, after=st.one_of(st.just(""), USERS), limit=st.integers(1, 6))
    def room_page(self, chat_id: str, after: str, limit: int) -> None:
        inside = {self.sockets[number].user_id for chat, number in self.rooms if chat == chat_id}
        users = self.runner.run(self.registry.room_users(chat_id, after, limit))
        assert [user.user_id for user in users] == sorted(one for one in inside if one > after)[:limit]
        assert self.runner.run(self.registry.room_count(chat_id)) == len(inside)

    @rule(among=st.frozensets(USERS), limit=st.integers(1, 3))
    def users_among(self, among: frozenset[str], limit: int) -> None:
        users, count = self.runner.run(self.registry.users_among(among, limit))
        present = sorted(among & self.statuses.keys())
        assert [user.user_id for user in users] == present[:limit]
        assert count == len(present)

    @invariant()
    def the_users_are_as_they_should_be(self) -> None:
        users = self.runner.run(self.registry.users("", 100))
        told = {user.user_id: (user.status, user.last_seen) for user in users}
        assert told == {one: (status, self.last_seen[one]) for one, status in self.statuses.items()}
        for user in users:
            sockets = self.of_user(user.user_id)
            if sockets:
                ages = [socket.connected_at for socket in sockets]
                assert (user.connected_at, user.newest.connected_at) == (min(ages), max(ages))
            assert self.runner.run(self.registry.user(user.user_id)) == user

    @invariant()
    def the_counts_are_as_they_should_be(self) -> None:
        counts = self.runner.run(self.registry.status_counts())
        statuses = Counter(self.statuses.values())
        assert (counts.online, counts.away, counts.busy) == tuple(
            statuses[name] for name in ("online", "away", "busy")
        )
        assert self.runner.run(self.registry.count_users()) == len(self.statuses)
        assert self.runner.run(self.registry.count_typing()) == len({user for _, user in self.typing})
        for chat_id in ("c1", "c2"):
            typing = self.runner.run(self.registry.typing(chat_id))
            assert [one.user_id for one in typing] == [user for chat, user in self.typing if chat == chat_id]


class ValkeyRegistryMachine(RegistryMachine):
    """The same, with a real Valkey behind it."""

    name = "valkey"


TestLocalRegistry = RegistryMachine.TestCase
TestLocalRegistry.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestValkeyRegistry = ValkeyRegistryMachine.TestCase
TestValkeyRegistry.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)


async def test_a_socket_that_has_gone_cannot_enter(registry: Registry) -> None:
    """Entering a room with a socket that disconnected meanwhile leaves no ghost behind."""
    socket = connection("s", "u")
    await registry.connect(socket)
    await registry.disconnect(socket)
    occupancy = await registry.enter("c", socket)
    assert (occupancy.online, occupancy.devices, occupancy.changed) == (0, 0, False)
    assert await registry.room_users("c", "", 10) == []


async def test_a_user_who_came_back_is_not_forgotten(registry: Registry) -> None:
    """Only the newest departure, with nobody back since, ends a presence, and only once."""
    await registry.connect(first := connection("s1", "u"))
    early = await registry.disconnect(first)
    assert early is not None
    second = connection("s2", "u")
    assert not await registry.connect(second)
    assert await registry.forget("u", early) is None
    late = await registry.disconnect(second)
    assert late is not None
    assert await registry.forget("u", early) is None
    user = await registry.forget("u", late)
    assert user is not None
    assert user.newest == second
    assert await registry.forget("u", late) is None
    assert await registry.connect(connection("s3", "u"))


async def test_a_user_with_two_sockets_in_a_room_is_one_user(registry: Registry) -> None:
    """Rooms count and list users, not sockets; the last one out takes the user out."""
    sockets = [connection(f"s{number}", "u") for number in range(2)]
    for devices, socket in enumerate(sockets, 1):
        await registry.connect(socket)
        occupancy = await registry.enter("c", socket)
        assert (occupancy.online, occupancy.devices, occupancy.changed) == (1, devices, True)
    assert [user.user_id for user in await registry.room_users("c", "", 10)] == ["u"]
    again = await registry.enter("c", sockets[0])
    assert (again.online, again.devices, again.changed) == (1, 2, False)
    first = await registry.leave("c", sockets[0])
    assert (first.online, first.devices, first.changed) == (1, 1, True)
    await registry.disconnect(sockets[1])
    assert await registry.room_users("c", "", 10) == []


async def test_disconnecting_leaves_all_rooms(registry: Registry) -> None:
    """No room keeps a socket that is not connected."""
    await registry.connect(socket := connection("s", "u"))
    await registry.enter("c1", socket)
    await registry.enter("c2", socket)
    await registry.disconnect(socket)
    assert await registry.room_count("c1") == 0
    assert await registry.room_count("c2") == 0


async def test_nothing_is_left_when_everybody_has_gone() -> None:
    """After 1000 users came, entered, typed and went, the local registry holds nothing."""
    registry = LocalRegistry()
    for number in range(1000):
        socket = connection(f"s{number}", f"u{number}")
        await registry.connect(socket)
        await registry.enter("c", socket)
        await registry.start_typing(entry(socket.user_id, "c"))
        await registry.stop_typing("c", socket.user_id)
        departure = await registry.disconnect(socket)
        assert departure is not None
        await registry.forget(socket.user_id, departure)
    assert not any(vars(registry).values())


async def test_without_other_nodes_there_is_nothing_to_reap(registry: Registry) -> None:
    """Who is connected here is not dead."""
    await registry.connect(connection("s", "u"))
    assert await registry.reap(2.0) == Reaped()
