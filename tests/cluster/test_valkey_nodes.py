"""The registry and the limits over several nodes, and what becomes of a node's users when it dies."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hubbub.cluster.base import Connection, Departure, PresentUser, Reaped, ToRoom, TypingEntry
from hubbub.cluster.valkey import Cluster, counts
from hubbub.contract import events
from tests.cluster.implementations import Join, connection, wait_until
from tests.harness.valkey import ValkeyServer

CHILD = Path(__file__).with_name("node_process.py")


def entry(user_id: str, chat_id: str = "c") -> TypingEntry:
    """Somebody typing."""
    return TypingEntry(user_id=user_id, username=user_id, chat_id=chat_id, started_at=1)


async def settle(cluster: Cluster, user_id: str) -> Connection:
    """Connect a user, enter the room and type."""
    socket = connection(f"s of {user_id}", user_id)
    await cluster.registry.connect(socket)
    await cluster.registry.enter("c", socket)
    await cluster.registry.start_typing(entry(user_id))
    return socket


async def freeze(cluster: Cluster) -> None:
    """Have a node do nothing by itself any more, as one that is stopped."""
    assert cluster._membership._task is not None
    cluster._membership._task.cancel()
    await asyncio.wait((cluster._membership._task,))


def thaw(cluster: Cluster) -> None:
    """Have it go on."""
    cluster._membership._task = asyncio.create_task(cluster._membership._live())


async def reap_until(clusters: list[Cluster], departures: int, grace: float = 2.0) -> Reaped:
    """Have all nodes reap side by side until that many users have departed; all that they were given."""
    total = Reaped()

    async def enough() -> bool:
        for one in await asyncio.gather(*(cluster.registry.reap(grace) for cluster in clusters)):
            total.departures.extend(one.departures)
            total.vacancies.extend(one.vacancies)
            total.typing.extend(one.typing)
            total.returned.extend(one.returned)
        return len(total.departures) >= departures

    await wait_until(enough, f"{departures} users departed")
    return total


async def test_a_user_on_three_nodes_is_one_user(join: Join) -> None:
    """Present once, in a room once, with all devices; gone with the last socket, wherever that is."""
    nodes = [await join(name) for name in "abc"]
    sockets = [connection(f"s{number}", "u", number) for number in range(3)]
    for number, (node, socket) in enumerate(zip(nodes, sockets, strict=True)):
        assert await node.registry.connect(socket) == (number == 0)
        occupancy = await node.registry.enter("c", socket)
        assert (occupancy.online, occupancy.devices, occupancy.changed) == (1, number + 1, True)
    for node in nodes:
        user = await node.registry.user("u")
        assert user is not None
        assert (user.connected_at, user.newest) == (0, sockets[2])
        assert await node.registry.count_users() == 1
        assert await node.registry.room_count("c") == 1
    assert await nodes[0].registry.set_status("u", "away") == "online"
    assert await nodes[1].registry.set_status("u", "busy") == "away"
    assert (await nodes[2].registry.status_counts()).busy == 1
    assert await nodes[2].registry.disconnect(sockets[2]) is None
    assert await nodes[0].registry.disconnect(sockets[0]) is None
    departure = await nodes[1].registry.disconnect(sockets[1])
    assert departure is not None
    gone = await asyncio.gather(*(node.registry.forget("u", departure) for node in nodes))
    (told,) = [user for user in gone if user is not None]
    assert (told.status, told.newest) == ("busy", sockets[1])
    assert await nodes[2].registry.room_users("c", "", 10) == []
    assert await nodes[2].registry.users("", 10) == []


async def test_typing_is_known_everywhere(join: Join) -> None:
    """Whether somebody was typing is one answer for all nodes; the end is told by one of them."""
    first, second = [await join(name) for name in "ab"]
    assert await first.registry.start_typing(entry("u"))
    assert not await second.registry.start_typing(entry("u"))
    assert await second.registry.typing("c") == [entry("u")]
    assert await second.registry.count_typing() == 1
    ended = await asyncio.gather(*(node.registry.stop_typing("c", "u") for node in (first, second)))
    assert sorted(ended) == [False, True]
    assert await first.registry.count_typing() == 0


async def test_limits_hold_over_all_nodes(join: Join) -> None:
    """However many nodes try at the same time, exactly as many attempts succeed as may."""
    nodes = [await join(name) for name in "abc"]
    attempts = (node.limiter.hit("user", 25, 60.0) for _ in range(20) for node in nodes)
    answers = await asyncio.gather(*attempts)
    assert answers.count(None) == 25
    assert all(0 < answer <= 60 for answer in answers if answer is not None)


async def test_a_rooms_count_follows_the_other_nodes(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that was just asked for is not believed any longer once the bus tells of somebody new; who
    cannot wait knows what the bus has told.
    """
    monkeypatch.setattr(counts, "_FRESH", 3600.0)
    here, there = [await join(name) for name in "ab"]
    await settle(here, "u1")
    await here.bus.watch("c")
    assert await here.registry.room_count("c") == 1
    await settle(there, "u2")
    joined = events.UserJoined(
        user_id="u2", username="u2", chat_id="c", online_count=2, device_count=1, timestamp=""
    )
    there.bus.publish(ToRoom(chat_id="c", event=joined))

    async def is_known() -> bool:
        return await here.registry.room_count("c") == 2

    await wait_until(lambda: here.registry.known_room_count("c") == 2, "the other user is heard of")
    await wait_until(is_known, "the other user counts")


@pytest.mark.usefixtures("short_leases")
async def test_what_a_dead_node_left_is_told_once(join: Join) -> None:
    """Two nodes clear a third one away side by side: each thing is given to one of them, and once."""
    alive = [await join(name) for name in "ab"]
    dead = await join("dead")
    for number in range(5):
        await settle(dead, f"u{number}")
    await settle(alive[0], "u0")
    await freeze(dead)
    reaped = await reap_until(alive, 4)
    departed = {f"u{number}" for number in range(1, 5)}
    assert sorted(one.user_id for one in reaped.departures) == sorted(departed)
    assert sorted(one.user_id for one in reaped.vacancies) == sorted({"u0", *departed})
    assert {one.user_id for one in reaped.typing} == {*departed, "u0"}
    assert {one.occupancy.devices for one in reaped.vacancies if one.user_id == "u0"} == {1}
    assert min(one.occupancy.online for one in reaped.vacancies) == 1
    assert {one.username for one in reaped.vacancies} == {f"name of u{number}" for number in range(5)}
    assert (await reap_until(alive, 0)).vacancies == []
    told: list[PresentUser | None] = []
    for departure in reaped.departures:
        told += await asyncio.gather(
            *(node.registry.forget(departure.user_id, departure.number) for node in alive)
        )
    assert sorted(user.user_id for user in told if user is not None) == sorted(departed)
    assert [user.user_id for user in await alive[1].registry.users("", 10)] == ["u0"]
    assert await alive[1].registry.room_count("c") == 1
    assert await alive[1].registry.count_typing() == 0


@pytest.mark.usefixtures("short_leases")
async def test_a_node_that_was_stopped_writes_nothing_stale(join: Join) -> None:
    """Taken for dead, a node changes nothing until it has begun anew; then its living users are back."""
    alive, stopped = await join("a"), await join("b")
    socket = await settle(stopped, "u")
    await freeze(stopped)
    reaped = await reap_until([alive], 1)
    (departure,) = reaped.departures
    assert (await alive.registry.forget("u", departure.number)) is not None
    # What it says now, before it knows, does not count.
    late = connection("late", "v")
    await stopped.registry.connect(late)
    await stopped.registry.enter("c", late)
    await stopped.registry.leave("c", socket)
    assert await alive.registry.users("", 10) == []
    assert await alive.registry.room_count("c") == 0
    thaw(stopped)

    async def is_back() -> bool:
        return [user.user_id for user in await alive.registry.users("", 10)] == ["u", "v"]

    await wait_until(is_back, "both users are back")
    returned: list[str] = []

    async def is_told() -> bool:
        again = await stopped.registry.reap(2.0)
        returned.extend(user.user_id for user in again.returned)
        return again.restored == {"c"}

    await wait_until(is_told, "the room is to be told who is in it")
    assert returned == ["u"]
    assert [user.user_id for user in await alive.registry.room_users("c", "", 10)] == ["v"]


@pytest.mark.usefixtures("short_leases")
async def test_a_departure_whose_node_died_is_taken_up(join: Join) -> None:
    """A user whose last node died within the grace time goes offline all the same, told by another node."""
    alive, dead = await join("a"), await join("b")
    socket = await settle(dead, "u")
    departure = await dead.registry.disconnect(socket)
    await freeze(dead)
    reaped = await reap_until([alive], 1, grace=0.1)
    assert reaped.departures == [Departure(user_id="u", number=departure or 0)]
    assert (await alive.registry.forget("u", departure or 0)) is not None
    assert await alive.registry.count_users() == 0


@pytest.mark.slow
async def test_kill_and_stop_of_a_real_node(join: Join, valkey: ValkeyServer) -> None:
    """Users of a node that is killed go within 15 s; one that was stopped comes back as it was."""
    alive = await join("a")
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(CHILD), valkey.url, name), stdout=asyncio.subprocess.PIPE
        )
        for name in ("killed", "stopped")
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        killed, stopped = processes
        since = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)
        os.kill(stopped.pid, signal.SIGSTOP)
        reaped = await reap_until([alive], 2)
        for departure in reaped.departures:
            assert await alive.registry.forget(departure.user_id, departure.number) is not None
        # The grace time of 2 s comes on top.
        assert time.monotonic() - since < 13.0
        assert await alive.registry.count_users() == 0
        os.kill(stopped.pid, signal.SIGCONT)

        async def is_back() -> bool:
            users = await alive.registry.room_users("c", "", 10)
            return [user.user_id for user in users] == ["user of stopped"]

        await wait_until(is_back, "the user of the stopped node is back in the room")
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
