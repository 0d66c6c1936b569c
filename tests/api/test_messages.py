"""Messages: content, numbers, who receives them, and retries (contract, section 4)."""

import asyncio
from typing import Any

import pytest

from tests.api import objects
from tests.harness.clients import Client, settle
from tests.harness.shapes import TIME, check
from tests.harness.users import new_user
from tests.harness.world import NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON, World

CONFLICT = "CONFLICT"

CONTENTS = {
    "trimmed": ("  hello \n", "hello"),
    "4000 characters": ("x" * 4000, "x" * 4000),
    "4000 characters and space": (" " + "x" * 4000 + " ", "x" * 4000),
    "4000 characters outside the first plane": ("🙂" * 4000, "🙂" * 4000),
    "tab and newline stay": ("a\tb\nc", "a\tb\nc"),
    "other control characters go": ("a\u0007b\u001b[31mc\u007f", "ab[31mc"),
    "markup stays as it is": ("<b onload='x'>&amp;</b>", "<b onload='x'>&amp;</b>"),
    "bidi and zero width stay": ("a\u202eb\u200bc", "a\u202eb\u200bc"),
    "braces and percents": ("{0} %s {x!r} ${y}", "{0} %s {x!r} ${y}"),
    "line separators": ("a\u2028b\u2029c", "a\u2028b\u2029c"),
}


@pytest.mark.parametrize("case", CONTENTS)
async def test_content(world: World, case: str) -> None:
    """Content is trimmed and freed of control characters; text is otherwise kept as it was sent."""
    given, kept = CONTENTS[case]
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    assert (await client.say(chat_id, given))["content"] == kept
    assert (await peer.wait("message:new"))["content"] == kept


async def test_types(world: World) -> None:
    """Each type in any letter case comes out in lower case; `text` is the default."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    for name in ("text", "image", "file", "audio", "video", "code"):
        for written in (name, name.upper(), name.title()):
            assert (await client.say(chat_id, "x", type=written))["type"] == name
    assert (await client.say(chat_id, "x"))["type"] == "text"


async def test_one_object(world: World) -> None:
    """`sentMessage` and `message:new` are the same object, `seq` and `clientMessageId` included."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = await client.say(chat_id, "hello", clientMessageId="mine-1")
    check(sent, objects.message(client.user, chat_id, "hello", seq=1, clientMessageId="mine-1"))
    assert await client.wait("message:new") == sent
    assert await peer.wait("message:new") == sent


async def test_receivers(world: World) -> None:
    """`message:new` goes to every socket in the room, the sender's too; `message:sent` to the sending one."""
    user = new_user()
    chat_id, (client, peer) = await world.room_of(user, new_user())
    in_room, outside = await world.connect_all(user, peer.user)
    await in_room.join(chat_id)
    sent = await client.say(chat_id, "hello")
    for receiver in (client, peer, in_room):
        assert (await receiver.wait("message:new"))["id"] == sent["id"]
    told = await client.wait("message:sent")
    assert (told["messageId"], told["chatId"], told["seq"]) == (sent["id"], chat_id, 1)
    assert told["deliveredTo"] == 2, "users, not sockets"
    await settle(in_room, peer, outside)
    assert outside.seen("message:new") == []
    for other in (in_room, peer, outside):
        assert other.seen("message:sent") == []


async def test_sender_need_not_join(world: World) -> None:
    """The sender must be a member; the socket need not have joined, and then hears no echo."""
    user = new_user()
    chat_id, (_, peer) = await world.room_of(user, new_user())
    outside = await world.connect(user)
    sent = await outside.say(chat_id, "from outside")
    assert (await peer.wait("message:new"))["id"] == sent["id"]
    assert (await outside.wait("message:sent"))["seq"] == sent["seq"]
    await settle(outside)
    assert outside.seen("message:new") == []


@pytest.mark.node
async def test_numbers(world: World) -> None:
    """`seq` is 1, 2, 3, ... with no gap and no repeat; each client sees each message once, in that order."""
    modes = [NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON]
    users = [new_user() for _ in range(8)]
    chat_id = await world.chat_of(*users)
    clients = [await world.connect(user, modes[number % 4]) for number, user in enumerate(users)]
    for client in clients:
        await client.join(chat_id)

    async def chatter(client: Client) -> list[dict[str, Any]]:
        return [await client.say(chat_id, f"{client.user.id} {number}") for number in range(20)]

    sent = [message for batch in await asyncio.gather(*map(chatter, clients)) for message in batch]
    assert sorted(message["seq"] for message in sent) == list(range(1, 161))
    in_order = sorted(sent, key=lambda message: int(message["seq"]))
    for client in clients:
        assert await client.inbox.wait_count("message:new", 160) == in_order


@pytest.mark.node
async def test_burst_by_polling(world: World) -> None:
    """200 sends at once by a polling client, in one payload or few, keep their order."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user, NPM_POLLING)
    await client.join(chat_id)
    sends = (client.say(chat_id, f"m{number}") for number in range(200))
    sent = await asyncio.gather(*sends)
    assert [message["seq"] for message in sent] == list(range(1, 201))
    assert [message["content"] for message in sent] == [f"m{number}" for number in range(200)]


async def test_each_chat_counts_for_itself(world: World) -> None:
    """Every chat begins at 1."""
    user = new_user()
    client = await world.connect(user)
    for _ in range(2):
        chat_id = await world.chat_of(user)
        assert [(await client.say(chat_id, "x"))["seq"] for _ in range(3)] == [1, 2, 3]


async def test_retry(world: World) -> None:
    """The same `clientMessageId` with the same content returns the first message and broadcasts nothing."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    payload = {"chatId": chat_id, "content": "once", "clientMessageId": "x" * 64}
    first = await client.done("message:send", payload)
    assert "duplicate" not in first
    for _ in range(3):
        again = await client.done("message:send", payload)
        assert again == {**first, "duplicate": True}
    other_socket = await world.connect(client.user)
    assert (await other_socket.done("message:send", payload))["duplicate"] is True
    await settle(client, peer)
    assert len(peer.seen("message:new")) == len(client.seen("message:new")) == 1


async def test_retries_at_once(world: World) -> None:
    """Any number of retries under way at the same time make exactly one message."""
    user = new_user()
    chat_id, (client, peer) = await world.room_of(user, new_user())
    sockets = [client, *await world.connect_all(*[user] * 4)]
    payload = {"chatId": chat_id, "content": "once", "clientMessageId": "racing"}
    answers = await asyncio.gather(*(s.done("message:send", payload) for s in sockets for _ in range(4)))
    assert {answer["sentMessage"]["id"] for answer in answers} == {answers[0]["sentMessage"]["id"]}
    assert sum("duplicate" not in answer for answer in answers) == 1
    await peer.say(chat_id, "last")
    await peer.wait("message:new", content="last")
    assert [message["seq"] for message in peer.seen("message:new")] == [1, 2]


async def test_conflict(world: World) -> None:
    """The same `clientMessageId` with other content is a conflict and stores nothing."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    await client.say(chat_id, "one", clientMessageId="id")
    for other in ({"content": "two"}, {"content": "one", "type": "code"}):
        answer = await client.refused("message:send", {"chatId": chat_id, "clientMessageId": "id", **other})
        assert answer["code"] == CONFLICT
    assert (await client.say(chat_id, "next"))["seq"] == 2


async def test_client_id_is_per_user_and_chat(world: World) -> None:
    """The same `clientMessageId` of another user or in another chat is another message."""
    user, friend = new_user(), new_user()
    first, second = await world.chat_of(user, friend), await world.chat_of(user, friend)
    mine, theirs = await world.connect_all(user, friend)
    sent = [
        await mine.say(first, "a", clientMessageId="id"),
        await mine.say(second, "b", clientMessageId="id"),
        await theirs.say(first, "c", clientMessageId="id"),
    ]
    assert [message["seq"] for message in sent] == [1, 1, 2]


async def test_duplicates_are_told_by_id(world: World) -> None:
    """An old id is recognised after newer ones: by the stored id, never by a high-water mark."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    for number in (5, 3, 9, 1):
        await client.say(chat_id, f"m{number}", clientMessageId=f"{number:04}")
    for number in (1, 9, 3, 5):
        payload = {"chatId": chat_id, "content": f"m{number}", "clientMessageId": f"{number:04}"}
        assert (await client.done("message:send", payload))["duplicate"] is True
    assert (await client.say(chat_id, "m2", clientMessageId="0002"))["seq"] == 5


async def test_history(world: World) -> None:
    """History over HTTP holds the same objects."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    sent = [await client.say(chat_id, f"m{number}") for number in range(5)]
    assert sorted(await world.rest.history(user, chat_id), key=lambda m: int(m["seq"])) == sent
    after = await world.rest.history(user, chat_id, "?after=2&limit=2")
    assert [message["seq"] for message in after] == [3, 4]


async def test_message_stats(world: World) -> None:
    """`message:stats` counts the whole server: messages stored, receipts of each kind, who types now."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())

    async def stats() -> dict[str, int]:
        return dict((await client.done("message:stats"))["stats"])

    before = await stats()
    sent, *_ = [await client.say(chat_id, f"m{number}") for number in range(3)]
    await peer.done("message:delivered", {"chatId": chat_id, "messageId": sent["id"]})
    await peer.done("message:read", {"chatId": chat_id, "messageId": sent["id"]})
    await peer.done("message:typing", {"chatId": chat_id, "isTyping": True})
    after = await stats()
    grown = {name: after[name] - before[name] for name in before}
    assert grown.pop("activeTypingUsers") <= 1
    assert after["activeTypingUsers"] >= 1
    assert grown == {"trackedMessages": 3, "totalDelivered": 1, "totalRead": 1}


async def test_sent_is_told_after_the_commit(world: World) -> None:
    """`message:sent` carries a time in the documented format, not before the message's own."""
    chat_id, (client,) = await world.room_of(new_user())
    sent = await client.say(chat_id, "hello")
    told = await client.wait("message:sent")
    check(told["timestamp"], TIME)
    assert told["timestamp"] >= sent["createdAt"]
