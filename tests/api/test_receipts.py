"""Receipts: who may confirm what, who is told, and the status of a message (contract, section 4)."""

from tests.api import objects
from tests.api.conftest import SMALL_ROOMS, Worlds
from tests.harness.clients import Client, Json, settle
from tests.harness.shapes import check, failure
from tests.harness.users import new_user
from tests.harness.world import World

RECEIPTS = ("message:delivered", "message:read")


async def status(client: Client, message_id: str) -> Json:
    """What the server knows of a message's way."""
    found: Json = (await client.done("message:delivery-status", {"messageId": message_id}))["status"]
    return found


async def test_status_of_a_new_message(world: World) -> None:
    """Nobody has it yet, the sender never counts, and `lastUpdate` is `sentAt`."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = await client.say(chat_id, "hello")
    expected = {
        "messageId": sent["id"],
        "deliveredTo": [],
        "readBy": [],
        "sentAt": sent["createdAt"],
        "lastUpdate": sent["createdAt"],
    }
    for asker in (client, peer):
        check(await status(asker, sent["id"]), expected)


async def test_reading_implies_delivered(world: World) -> None:
    """A reader counts among those who have received; `lastUpdate` is the newest receipt."""
    chat_id, (client, reader, receiver) = await world.room_of(new_user(), new_user(), new_user())
    sent = await client.say(chat_id, "hello")
    named = {"chatId": chat_id, "messageId": sent["id"]}
    await reader.done("message:read", named)
    told = await client.wait("message:read")
    check(told, objects.receipt(reader.user, chat_id, sent["id"], delivered=1, read=1))
    await receiver.done("message:delivered", named)
    told = await client.wait("message:delivered", userId=receiver.user.id)
    check(told, objects.receipt(receiver.user, chat_id, sent["id"], delivered=2, read=1))
    found = await status(client, sent["id"])
    assert sorted(found["deliveredTo"]) == sorted([reader.user.id, receiver.user.id])
    assert found["readBy"] == [reader.user.id]
    assert found["lastUpdate"] == told["timestamp"] >= sent["createdAt"]


async def test_confirming_twice(world: World) -> None:
    """Confirming again succeeds and broadcasts nothing, from another socket of the user too."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    second = await world.connect(peer.user)
    sent = await client.say(chat_id, "hello")
    named = {"chatId": chat_id, "messageId": sent["id"]}
    for event in RECEIPTS:
        for confirmer in (peer, peer, second):
            await confirmer.done(event, named)
    await peer.done("message:delivered", named)
    await settle(client, peer)
    for event in RECEIPTS:
        assert len(client.seen(event)) == 1, event


async def test_own_message(world: World) -> None:
    """Confirming one's own message succeeds and records nothing."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = await client.say(chat_id, "mine")
    for event in RECEIPTS:
        await client.done(event, {"chatId": chat_id, "messageId": sent["id"]})
    await settle(client, peer)
    assert [peer.seen(event) for event in RECEIPTS] == [[], []]
    found = await status(peer, sent["id"])
    assert (found["deliveredTo"], found["readBy"]) == ([], [])


async def test_many_at_once(world: World) -> None:
    """`messageIds` confirms up to 500 messages in one request; each new receipt is told."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = [(await client.say(chat_id, f"m{number}"))["id"] for number in range(6)]
    await peer.done("message:delivered", {"chatId": chat_id, "messageId": sent[2]})
    client.forget()
    await peer.done("message:delivered", {"chatId": chat_id, "messageIds": sent[:5]})
    told = await client.inbox.wait_count("message:delivered", 4)
    await settle(client)
    assert {receipt["messageId"] for receipt in told} == {*sent[:2], *sent[3:5]}
    assert len(client.seen("message:delivered")) == 4
    await peer.done("message:read", {"chatId": chat_id, "messageIds": [*sent, *sent]})
    assert len(await client.inbox.wait_count("message:read", 6)) == 6


async def test_500_at_once(world: World) -> None:
    """500 ids in one request are accepted."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = (await client.say(chat_id, "hello"))["id"]
    await peer.done("message:read", {"chatId": chat_id, "messageIds": [sent] * 500})
    assert (await status(client, sent))["readBy"] == [peer.user.id]


async def test_one_unknown_among_many(world: World) -> None:
    """One id that is not in the chat refuses the whole request, and nothing of it is recorded."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = (await client.say(chat_id, "hello"))["id"]
    ids = [sent, "01890000-0000-7000-8000-000000000000"]
    answer = await peer.refused("message:read", {"chatId": chat_id, "messageIds": ids})
    check(answer, failure("Message not found", "NOT_FOUND"))
    assert (await status(client, sent))["readBy"] == []


async def test_member_outside_the_room(world: World) -> None:
    """A member may confirm without having joined; the room is told."""
    user, friend = new_user(), new_user()
    chat_id = await world.chat_of(user, friend)
    client, outside = await world.connect_all(user, friend)
    await client.join(chat_id)
    sent = await client.say(chat_id, "hello")
    await outside.done("message:read", {"chatId": chat_id, "messageId": sent["id"]})
    await client.wait("message:read", userId=friend.id)


async def test_sender_only_in_large_rooms(world_with: Worlds) -> None:
    """Past the limit of online users a receipt is told to the message's sender only."""
    world = await world_with(**SMALL_ROOMS)
    chat_id, (sender, reader, third) = await world.room_of(new_user(), new_user(), new_user())
    sent = await sender.say(chat_id, "hello")
    for event in RECEIPTS:
        await reader.done(event, {"chatId": chat_id, "messageId": sent["id"]})
        await sender.wait(event, userId=reader.user.id)
    await settle(third, reader)
    for event in RECEIPTS:
        assert third.seen(event) == []
        assert reader.seen(event) == []
    await third.done("leave:chat", {"chatId": chat_id})
    again = await sender.say(chat_id, "now we are two")
    await reader.done("message:read", {"chatId": chat_id, "messageId": again["id"]})
    await reader.wait("message:read", messageId=again["id"])


async def test_unread_count(world: World) -> None:
    """`unreadCount` is of messages by others that this user has not read."""
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    sent = [(await client.say(chat_id, f"m{number}"))["id"] for number in range(4)]
    await peer.say(chat_id, "mine")
    await peer.done("message:delivered", {"chatId": chat_id, "messageIds": sent})
    await peer.done("message:read", {"chatId": chat_id, "messageIds": [sent[1], sent[3]]})
    assert [room["unreadCount"] for room in (await peer.done("room:list"))["rooms"]] == [2]
    assert [room["unreadCount"] for room in (await client.done("room:list"))["rooms"]] == [1]
