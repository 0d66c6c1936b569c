"""A user with sockets on three nodes is one user; figures are those of all nodes."""

import asyncio

from tests.harness.inbox import eventually, watch
from tests.harness.users import new_user
from tests.nodes.several import Several

GRACE = 2.0


async def test_one_user(nodes: Several) -> None:
    """Counted once in the room, among those online and among those typing, and gone once."""
    user, witness = new_user(), new_user()
    chat_id, (watcher,) = await nodes.room_of(witness)
    await nodes.worlds[0].rest.add(witness, chat_id, user)
    watcher.forget()
    sockets = await asyncio.gather(*(nodes.connect(node, user) for node in range(3)))
    for socket in sockets:
        await socket.join(chat_id)
    await watcher.wait("user:joined", userId=user.id, deviceCount=3)
    for socket in sockets:
        room = (await socket.done("room:info", {"chatId": chat_id}))["roomInfo"]
        assert room["onlineCount"] == 2
        rows = (await socket.done("presence:online-users", {"limit": 200}))["users"]
        assert [row["userId"] for row in rows].count(user.id) == 1
    for socket in sockets[:2]:
        await socket.done("message:typing", {"chatId": chat_id, "isTyping": True})
    for socket in sockets:
        typing = (await socket.done("message:typing-users", {"chatId": chat_id}))["typingUsers"]
        assert [one["userId"] for one in typing] == [user.id]
    await sockets[2].done("presence:update-status", {"status": "away"})
    for socket in sockets[:2]:
        assert (await socket.wait("user:status-changed", userId=user.id))["newStatus"] == "away"
    for left, socket in enumerate(sockets, start=1):
        await socket.disconnect()
        await watcher.wait("user:left", userId=user.id, deviceCount=3 - left)
    await watcher.wait("user:offline", userId=user.id)
    await watch(GRACE)
    told = [
        [one["userId"] for one in watcher.seen(f"user:{how}")].count(user.id) for how in ("online", "offline")
    ]
    assert told == [1, 1]


async def test_statistics(nodes: Several) -> None:
    """What is asked of any node is told of all."""
    users = [new_user() for _ in range(3)]
    chat_id, clients = await nodes.room_of(*users)

    async def figures() -> list[dict[str, int]]:
        return [dict((await client.done("message:stats"))["stats"]) for client in clients]

    before = (await figures())[0]
    sent = [await client.say(chat_id, "hello") for client in clients]
    for client in clients:
        await client.inbox.wait_count("message:new", 3)
    await clients[1].done("message:read", {"chatId": chat_id, "messageId": sent[0]["id"]})

    async def agree() -> bool:
        told = await figures()
        grown = told[0]["trackedMessages"] - before["trackedMessages"]
        return told[0] == told[1] == told[2] and grown == len(sent)

    await eventually(agree, 20.0, "all nodes to tell the same")
    stats = [(await client.done("presence:stats"))["stats"]["totalUsers"] for client in clients]
    assert stats == [stats[0]] * 3


async def test_sent_thrice_at_once(nodes: Several) -> None:
    """One message sent to all nodes at the same time is stored once, and answered the same."""
    user = new_user()
    chat_id = await nodes.chat_of(user)
    clients = [await nodes.connect(node, user) for node in range(3)]
    answers = await asyncio.gather(*(one.say(chat_id, "once", clientMessageId="one") for one in clients * 3))
    assert {answer["id"] for answer in answers} == {answers[0]["id"]}
    assert len(await nodes.worlds[0].rest.history(user, chat_id)) == 1
