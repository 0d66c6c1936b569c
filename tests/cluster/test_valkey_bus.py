"""The bus between nodes: who hears what, and what happens to frames that are lost, repeated or no frames."""

import asyncio

import msgspec
import pytest

from hubbub.cluster.base import (
    CutOff,
    Expel,
    MessageNew,
    Missed,
    Telling,
    ToEveryone,
    ToRoom,
    ToUsers,
)
from hubbub.cluster.valkey import Cluster, frames, open_cluster, voice
from hubbub.contract import events, objects
from tests.cluster.implementations import Join, connection, wait_until
from tests.harness.valkey import ValkeyServer

TIME = "2026-01-01T00:00:00.000Z"


def message(seq: int, chat_id: str = "c") -> MessageNew:
    """A message as the bus tells it."""
    told = objects.Message(
        id=f"m{seq}",
        content="Füße\n🎉",
        type="text",
        chat_id=chat_id,
        user_id="u",
        created_at=TIME,
        user=objects.Author(id="u", username="u"),
        seq=seq,
        client_message_id=None,
    )
    return MessageNew(message=told, position=seq)


def typing(chat_id: str = "c") -> events.UserTyping:
    """An event."""
    return events.UserTyping(user_id="u", username="u", chat_id=chat_id, is_typing=True, timestamp=TIME)


ONLINE = events.RoomOnlineUpdate(
    chat_id="c",
    online_users=[
        objects.OnlineUser(user_id="u", username="u", status="away", last_seen=TIME, connected_at=TIME)
    ],
    count=2,
    timestamp=TIME,
    truncated=True,
)
SAMPLES: list[Telling] = [
    message(1),
    ToRoom(chat_id="c", event=typing(), skip_user="u"),
    ToRoom(chat_id="c", event=ONLINE, skip_socket="s"),
    ToUsers(user_ids=frozenset("ab"), event=typing(), chat_id="c"),
    ToUsers(user_ids=frozenset("ab"), event=typing()),
    ToEveryone(event=typing(), skip_user="u"),
    ToEveryone(event=ONLINE),
    Expel(chat_id="c", user_id="u"),
    CutOff(user_id="u"),
]


class Listener:
    """Remembers what a node heard."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.heard: list[Telling] = []
        cluster.bus.subscribe(self.heard.append)

    async def until(self, telling: Telling) -> None:
        """Wait until something was heard."""
        await wait_until(lambda: telling in self.heard, f"{telling} is heard")


def frame(number: int, telling: Telling, sender: str = "stranger") -> bytes:
    """A frame of another node."""
    return frames.encode((sender, 1), number, telling)


async def test_every_telling_reaches_the_other_nodes(join: Join) -> None:
    """What one node tells the others hear as it was told, in order; itself at once, and once."""
    here, there = Listener(await join("a")), Listener(await join("b"))
    await there.cluster.bus.watch("c")
    for telling in SAMPLES:
        here.cluster.bus.publish(telling)
    assert here.heard == SAMPLES
    await wait_until(lambda: len(there.heard) == len(SAMPLES), "everything is heard")
    # Between what is told to a room and what is told to all there is no order.
    in_room = [one for one in SAMPLES if frames.channel_of(one) != frames.ALL]
    assert [one for one in there.heard if one in in_room] == in_room
    assert [one for one in there.heard if one not in in_room] == [
        one for one in SAMPLES if one not in in_room
    ]
    assert here.heard == SAMPLES


async def test_only_watched_rooms_are_heard(join: Join, valkey: ValkeyServer) -> None:
    """A node subscribes to the chats that it watches, and to no others."""
    here, there = Listener(await join("a")), Listener(await join("b"))
    await there.cluster.bus.watch("watched")
    await there.cluster.bus.watch("left")
    there.cluster.bus.unwatch("left")
    for chat_id in ("left", "never", "watched"):
        here.cluster.bus.publish(message(1, chat_id))
    await there.until(message(1, "watched"))
    assert there.heard == [message(1, "watched")]
    channels = valkey.ask("PUBSUB", "SHARDCHANNELS", "*chat:*").decode()
    assert "chat:watched" in channels
    assert "chat:left" not in channels


async def test_what_is_no_frame_does_no_harm(join: Join, valkey: ValkeyServer) -> None:
    """Garbage, other versions and unknown kinds and events are counted; what comes after them is heard."""
    node = Listener(await join("a"))
    good = msgspec.msgpack.decode(frame(1, CutOff(user_id="x")))
    bad = [
        b"",
        b"\x80\x04\x95",
        b"\xc1garbage",
        msgspec.msgpack.encode({**good, "v": 2}),
        msgspec.msgpack.encode({**good, "k": "new"}),
        msgspec.msgpack.encode({**good, "b": {"user_id": 5}}),
        msgspec.msgpack.encode({**good, "k": "everyone", "b": {"name": "new:event", "event": {}}}),
        msgspec.msgpack.encode({**good, "k": "everyone", "b": {"name": "user:typing", "event": {}}}),
        msgspec.msgpack.encode({**good, "k": "room", "b": {"name": "user:typing", "event": {}}}),
    ]
    for data in bad:
        node.cluster.bus._hear("hubbub:0:all", data)
    heard = node.cluster.bus.heard
    assert (heard.malformed, heard.unknown, heard.good) == (6, 3, 0)
    # As the next version may write it.
    newer = {**good, "c": 2, "extra": [1], "b": {**good["b"], "why": "because"}}
    node.cluster.bus._hear("hubbub:0:all", msgspec.msgpack.encode(newer))
    assert node.heard == [CutOff(user_id="x")]


async def test_frames_that_come_twice_or_late(join: Join) -> None:
    """An event is told once, in whatever order its frames come; what concerns rights is never dropped."""
    node = Listener(await join("a"))

    def hear(number: int, telling: Telling) -> None:
        node.cluster.bus._hear("hubbub:0:chat:c", frame(number, telling))

    first, second = ToRoom(chat_id="c", event=typing()), ToRoom(chat_id="c", event=ONLINE)
    for number, telling in ((7, first), (7, first), (8, second), (7, first)):
        hear(number, telling)
    assert node.heard == [first, second]
    hear(8, message(1))
    hear(2, Expel(chat_id="c", user_id="u"))
    assert node.heard[2:] == [message(1), Expel(chat_id="c", user_id="u")]
    assert node.cluster.bus.heard.repeated == 4


async def test_a_number_left_out_is_told(join: Join) -> None:
    """A gap in a room's numbers is about that room; one in what concerns everybody, about everything."""
    node = Listener(await join("a"))
    bus = node.cluster.bus
    for sender in ("x", "y"):
        bus._hear("hubbub:0:chat:c", frame(5, message(1), sender))
    assert Missed(chat_ids=frozenset("c")) not in node.heard
    bus._hear("hubbub:0:chat:c", frame(7, message(2), "x"))
    assert node.heard[-2:] == [message(2), Missed(chat_ids=frozenset("c"))]
    bus._hear("hubbub:0:all", frame(1, CutOff(user_id="u")))
    bus._hear("hubbub:0:all", frame(3, CutOff(user_id="v")))
    assert node.heard[-1] == Missed(chat_ids=None)
    # A sender that begins anew has left nothing out.
    bus._hear("hubbub:0:all", frames.encode(("stranger", 2), 9, CutOff(user_id="w")))
    assert node.heard[-1:] == [CutOff(user_id="w")]


async def test_a_full_queue_drops_and_the_others_learn_of_it(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no place in the queue is dropped at once, counted, and shows as a gap to the others."""
    here, there = Listener(await join("a")), Listener(await join("b"))
    await there.cluster.bus.watch("c")
    here.cluster.bus.publish(message(1))
    await there.until(message(1))
    monkeypatch.setattr(voice, "MOST_FRAMES", 10)
    for seq in range(2, 52):
        here.cluster.bus.publish(message(seq))
    assert here.cluster.bus.voice.dropped >= 40
    assert here.heard == [message(seq) for seq in range(1, 52)]
    await wait_until(lambda: not here.cluster.bus.voice._queue, "the queue is empty")
    here.cluster.bus.publish(message(52))
    await there.until(Missed(chat_ids=frozenset("c")))
    assert message(52) in there.heard


async def test_a_bus_without_sharded_channels() -> None:
    """A server that has no sharded publishing is used with plain channels."""
    old = ValkeyServer("--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", "")
    try:
        old.start()
        first, second = await open_cluster(old.url), await open_cluster(old.url)
        there = Listener(second)
        await second.bus.watch("c")
        first.bus.publish(message(1))
        await there.until(message(1))
        second.bus.unwatch("c")
        await first.close()
        await second.close()
    finally:
        old.remove()


async def test_calls_that_are_cancelled_never_get_each_others_replies(join: Join) -> None:
    """Whenever a caller gives up, the answers to the others are their own."""
    cluster = await join("a")
    for number in range(20):
        await cluster.registry.connect(connection(f"s{number}", f"u{number}"))

    async def ask(number: int) -> bool:
        user = await cluster.registry.user(f"u{number}")
        return user is not None and user.user_id == f"u{number}"

    for turn in range(100):
        tasks = [asyncio.create_task(ask(number)) for number in range(20)]
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        for task in tasks[turn % 3 :: 3]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(answer is True or isinstance(answer, asyncio.CancelledError) for answer in answers)
    assert cluster.failures() == 0
