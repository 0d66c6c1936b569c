"""Valkey stopped, slow, emptied, hung up on: nothing waits for it for long, and all comes back by itself."""

import asyncio
import time
from typing import Any

import pytest

from hubbub.cluster.base import MessageNew, Missed
from hubbub.cluster.valkey import Cluster, Unreachable, ears, open_cluster
from tests.cluster.implementations import Join, connection, wait_until
from tests.cluster.test_valkey_bus import Listener, message
from tests.cluster.test_valkey_nodes import entry, settle
from tests.harness.valkey import ValkeyServer


async def hears(here: Cluster, there: Listener, first: int) -> None:
    """Wait until what one node tells in the room reaches the other."""
    seqs = iter(range(first, first + 10_000))

    def heard() -> bool:
        here.bus.publish(message(next(seqs)))
        return any(isinstance(one, MessageNew) and one.message.seq >= first for one in there.heard)

    await wait_until(heard, "messages are heard")


async def is_known(cluster: Cluster, user_ids: list[str]) -> bool:
    """Whether a node knows, from the others, that these users are present and in the room."""
    present = await cluster.registry.users("", 10)
    inside = await cluster.registry.room_users("c", "", 10)
    names = [[user.user_id for user in users] for users in (present, inside)]
    return names == [user_ids, user_ids] and not cluster._batches[1].is_away


async def test_a_subscriber_that_is_hung_up_on(join: Join, valkey: ValkeyServer) -> None:
    """As Valkey does with one that reads too slowly: it connects again, and what was missed is told."""
    here, there = await join("a"), Listener(await join("b"))
    await there.cluster.bus.watch("c")
    valkey.ask("CLIENT", "KILL", "TYPE", "PUBSUB")
    await there_missed(there)
    await hears(here, there, 1)
    assert there.cluster.bus.ears.reconnects == 1


async def there_missed(listener: Listener) -> None:
    """Wait until a node was told that anything may have been missed."""
    await listener.until(Missed(chat_ids=None))


async def test_a_deaf_node_notices(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection over which nothing comes any more is given up; until then health can see the silence."""
    monkeypatch.setattr(ears, "DEAF", 1.5)
    node = Listener(await join("a"))
    await node.cluster.bus.watch("c")
    for line, _ in node.cluster.bus.ears._lines.values():
        line._receive = None
    await wait_until(lambda: node.cluster.bus_silence() > 1.2, "the silence shows")
    await there_missed(node)
    await wait_until(lambda: node.cluster.bus_silence() < 1.2, "the node hears itself again")


async def test_while_valkey_is_stopped_nothing_waits(join: Join, valkey: ValkeyServer) -> None:
    """Each call answers within its deadline, from what the node knows; publishing never blocks."""
    here, there = await join("a"), Listener(await join("b"))
    await there.cluster.bus.watch("c")
    await settle(here, "u")
    valkey.pause()
    since = time.monotonic()
    other = connection("s2", "v")
    calls = [
        here.registry.connect(other),
        here.registry.enter("c", other),
        here.registry.room_count("c"),
        here.registry.users("", 10),
        here.registry.set_status("u", "busy"),
        here.registry.typing("c"),
        here.registry.count_users(),
        here.registry.reap(2.0),
    ]
    answers: list[Any] = await asyncio.gather(*calls)
    assert answers[0] is True
    assert answers[2] == 2
    assert [user.user_id for user in answers[3]] == ["u", "v"]
    assert answers[4:6] == ["online", [entry("u")]]
    assert await here.limiter.hit("k", 1, 60.0) is None
    assert await here.limiter.hit("k", 1, 60.0) == 60
    await here.bus.watch("another")
    for seq in range(1, 20_001):
        here.bus.publish(message(seq))
    assert here.bus.voice.dropped > 0
    # Several deadlines of a second each, and not all of the minute after which pytest gives up.
    assert time.monotonic() - since < 20.0
    valkey.go_on()
    await wait_until(lambda: is_known(there.cluster, ["u", "v"]), "all of it is known to the other node")
    await hears(here, there, 30_000)
    user = await there.cluster.registry.user("u")
    assert user is not None
    await wait_until(lambda: here.limiter.is_shared, "the limits are counted over all nodes again")
    assert await here.limiter.hit("k", 1, 60.0) is None


async def test_valkey_comes_back_empty(join: Join, valkey: ValkeyServer) -> None:
    """Every node says again who is connected to it, where, and how; nobody is told as gone or as new."""
    here, there = await join("a"), Listener(await join("b"))
    await there.cluster.bus.watch("c")
    await settle(here, "u")
    await here.registry.set_status("u", "away")
    await settle(there.cluster, "v")
    valkey.kill()
    await wait_until(lambda: here.failures() > 0, "the loss shows")
    assert await here.registry.connect(connection("s2", "w"))
    valkey.start()
    gone = connection("s2", "w")
    departure = await here.registry.disconnect(gone)
    assert departure is not None
    await wait_until(lambda: is_known(here, ["u", "v"]), "both are known again here")
    await wait_until(lambda: is_known(there.cluster, ["u", "v"]), "both are known again there")
    assert (await here.registry.forget("w", departure)) is not None
    # Whoever says so again first is first now.
    assert {one.user_id for one in await here.registry.typing("c")} == {"u", "v"}
    await hears(here, there, 1)
    for cluster in (here, there.cluster):
        reaped = await cluster.registry.reap(2.0)
        assert (reaped.departures, reaped.returned, reaped.vacancies) == ([], [], [])


async def test_a_user_told_as_gone_meanwhile_is_not_told_again(join: Join, valkey: ValkeyServer) -> None:
    """Who left while Valkey was away was told as gone by this node: the registry forgets it in silence."""
    here = await join("a")
    socket = await settle(here, "u")
    valkey.pause()
    departure = await here.registry.disconnect(socket)
    assert departure is not None
    assert (await here.registry.forget("u", departure)) is not None
    valkey.go_on()

    async def is_forgotten() -> bool:
        return not here._batches[1].is_away and await here.registry.count_users() == 0

    await wait_until(is_forgotten, "the user is forgotten")
    await wait_until(lambda: not here._membership._stale, "all is said")
    assert (await here.registry.reap(2.0)).departures == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("unix:///nowhere/valkey.sock", "cannot be reached"),
        ("redis://127.0.0.1:1", "cannot be reached"),
        ("redis+sentinel://127.0.0.1:1/main", "cannot be reached"),
    ],
)
async def test_a_valkey_that_is_not_there_is_refused(url: str, problem: str) -> None:
    """A node does not start without the Valkey that it was told of, and says so in a line."""
    with pytest.raises(Unreachable, match=problem):
        await open_cluster(url)


async def test_a_wrong_password_is_told_without_it(valkey: ValkeyServer) -> None:
    """The refusal is Valkey's own, and shows no secret."""
    with pytest.raises(Unreachable, match="WRONGPASS") as refused:
        await open_cluster(valkey.url_for("nobody", "geheim"))
    assert "geheim" not in str(refused.value)
