"""Several nodes are one server: messages, presence, rooms, typing, receipts, rights and limits."""

import asyncio

from tests.harness.clients import Client, Json
from tests.harness.inbox import eventually, watch
from tests.harness.users import User, new_user
from tests.nodes.several import TYPING_RATE, Several, counted_together, metrics_of

GRACE = 2.0


def told_of(client: Client, event: str, user: User) -> int:
    """How often a client was told an event about a user."""
    return len([told for told in client.seen(event) if told["userId"] == user.id])


async def test_one_order_for_all(nodes: Several) -> None:
    """Sent on three nodes at once, heard on each in the order of `seq`, each once, the same as the log."""
    users = [new_user() for _ in range(3)]
    chat_id, clients = await nodes.room_of(*users)
    sent = await asyncio.gather(
        *(client.say(chat_id, f"{client.sid} {number}") for number in range(20) for client in clients)
    )
    numbers = list(range(1, 61))
    assert sorted(message["seq"] for message in sent) == numbers
    history = await nodes.worlds[2].rest.history(users[0], chat_id)
    for client in clients:
        told = await client.inbox.wait_count("message:new", 60)
        assert [message["seq"] for message in told] == numbers
        assert [message["id"] for message in told] == [message["id"] for message in history]
    for client in clients:
        of_one = [message["content"] for message in history if message["userId"] == client.user.id]
        assert of_one == [f"{client.sid} {number}" for number in range(20)]


async def test_an_ack_stands_for_a_commit(nodes: Several) -> None:
    """What one node has acknowledged another one reads at once, and knows when it is sent there again."""
    user = new_user()
    chat_id = await nodes.chat_of(user)
    client, other = await nodes.connect(0, user), await nodes.connect(1, user)
    await client.join(chat_id)
    first = await client.say(chat_id, "hello", clientMessageId="one")
    assert await nodes.worlds[1].rest.history(user, chat_id) == [first]
    assert (await other.say(chat_id, "hello", clientMessageId="one"))["id"] == first["id"]
    assert len(await nodes.worlds[2].rest.history(user, chat_id)) == 1


async def test_one_user_on_two_nodes(nodes: Several) -> None:
    """One user, online once, counted once, and offline once: 2 s after the last socket."""
    user, witness = new_user(), new_user()
    watcher = await nodes.connect(2, witness)
    first = await nodes.connect(0, user)
    await watcher.wait("user:online", userId=user.id)
    second = await nodes.connect(1, user)
    rows = (await watcher.done("presence:online-users", {"limit": 200}))["users"]
    assert [row["userId"] for row in rows].count(user.id) == 1
    await second.done("presence:update-status", {"status": "busy"})
    assert (await first.wait("user:status-changed", userId=user.id))["newStatus"] == "busy"
    await first.disconnect()
    await watch(GRACE + 0.5)
    assert told_of(watcher, "user:offline", user) == 0
    await second.disconnect()
    await watcher.wait("user:offline", userId=user.id)
    await watch(GRACE + 1.0)
    assert (told_of(watcher, "user:online", user), told_of(watcher, "user:offline", user)) == (1, 1)


async def test_one_room(nodes: Several) -> None:
    """A room is full of users, not of sockets; comings, goings and typing are told on every node."""
    user, peer = new_user(), new_user()
    chat_id, (first, listener) = await nodes.room_of(user, peer)
    second = await nodes.connect(2, user)
    await second.join(chat_id)
    assert (await listener.done("room:info", {"chatId": chat_id}))["roomInfo"]["onlineCount"] == 2
    await listener.wait("user:joined", userId=user.id, deviceCount=2)
    await second.done("message:typing", {"chatId": chat_id, "isTyping": True})
    await listener.wait("user:typing", userId=user.id, isTyping=True)
    typing = (await listener.done("message:typing-users", {"chatId": chat_id}))["typingUsers"]
    assert [one["userId"] for one in typing] == [user.id]
    await second.done("message:typing", {"chatId": chat_id, "isTyping": False})
    await listener.wait("user:typing", userId=user.id, isTyping=False)
    await second.disconnect()
    await listener.wait("user:left", userId=user.id, deviceCount=1)
    await first.disconnect()
    await listener.wait("user:left", userId=user.id, deviceCount=0)
    await listener.wait("room:online-update", chatId=chat_id, count=1)


async def test_receipts(nodes: Several) -> None:
    """A receipt given on one node is told on the others and counted there."""
    chat_id, (author, reader) = await nodes.room_of(new_user(), new_user())
    message = await author.say(chat_id, "hello")
    await reader.wait("message:new", id=message["id"])
    await reader.done("message:read", {"chatId": chat_id, "messageId": message["id"]})
    assert (await author.wait("message:read", messageId=message["id"]))["readCount"] == 1
    status = (await author.done("message:delivery-status", {"messageId": message["id"]}))["status"]
    assert status["readBy"] == [reader.user.id]


async def test_rights_end_everywhere(nodes: Several) -> None:
    """Who is removed through one node gets nothing more on another one."""
    owner, member = new_user(), new_user()
    chat_id, (client, removed) = await nodes.room_of(owner, member)
    await nodes.worlds[2].rest.remove(owner, chat_id, member)
    await removed.wait("room:left", chatId=chat_id)
    await client.say(chat_id, "without you")
    await client.wait("message:new")
    refused = await removed.refused("message:send", {"chatId": chat_id, "content": "let me"})
    assert refused["code"] == "NOT_FOUND"
    assert removed.seen("message:new") == []


async def test_limits_are_shared(nodes: Several) -> None:
    """A user has N attempts over all nodes, at whatever pace."""

    async def type_nine_times() -> list[Json]:
        user = new_user()
        chat_id = await nodes.chat_of(user)
        clients = [await nodes.connect(node, user) for node in range(3)]
        for client in clients:
            await client.join(chat_id)
        typing = {"chatId": chat_id, "isTyping": True}
        return await asyncio.gather(*(one.request("message:typing", typing) for one in clients * 3))

    answers = await counted_together(nodes, type_nine_times)
    assert sum(answer["success"] for answer in answers) == TYPING_RATE
    refused = [answer["code"] for answer in answers if not answer["success"]]
    assert refused == ["RATE_LIMITED"] * (9 - TYPING_RATE)


async def test_metrics(nodes: Several) -> None:
    """Each node tells what the bus and Valkey do for it."""
    chat_id, (client, peer) = await nodes.room_of(new_user(), new_user())
    await client.say(chat_id, "hello")
    await peer.wait("message:new")

    async def figures() -> bool:
        metrics = await metrics_of(nodes.server(1).url)
        return metrics['hubbub_bus_heard_total{kind="good"}'] >= 1 <= metrics["hubbub_bus_published_total"]

    await eventually(figures)
