"""Rows of the section "Real-time Messaging"."""

from tests.api import objects
from tests.api.table.cast import ME, PEER, Cast, Expected, Rows, Told
from tests.harness.shapes import COUNT, TIME, UUID

rows = Rows()


@rows("message:send")
async def send(cast: Cast) -> Expected:
    """A member in the room sends."""
    await cast.enter(cast.peer, cast.me)
    message = objects.message(cast.me.user, cast.chat_id, "Hello, world!", seq=1)
    sent = {"messageId": UUID, "chatId": cast.chat_id, "seq": 1, "deliveredTo": 2, "timestamp": TIME}
    return Expected(
        {"chatId": cast.chat_id, "content": "Hello, world!", "type": "text"},
        {"success": True, "message": "Message sent successfully", "sentMessage": message},
        (Told("message:new", (ME, PEER), message), Told("message:sent", (ME,), sent)),
    )


@rows("message:typing")
async def typing(cast: Cast) -> Expected:
    """A user in the room begins to type."""
    await cast.enter(cast.peer, cast.me)
    return Expected(
        {"chatId": cast.chat_id, "isTyping": True},
        {"success": True, "message": "Typing status updated"},
        (Told("user:typing", (PEER,), objects.typing(cast.me.user, cast.chat_id, True)),),
    )


@rows("message:typing-users")
async def typing_users(cast: Cast) -> Expected:
    """Another user is typing."""
    await cast.enter(cast.peer, cast.me)
    await cast.peer.done("message:typing", {"chatId": cast.chat_id, "isTyping": True})
    typist = {
        "userId": cast.peer.user.id,
        "username": cast.peer.user.username,
        "chatId": cast.chat_id,
        "startedAt": TIME,
    }
    return Expected({"chatId": cast.chat_id}, {"success": True, "typingUsers": [typist]})


@rows("message:delivered")
async def delivered(cast: Cast) -> Expected:
    """A member confirms a message of another one."""
    await cast.enter(cast.peer, cast.me)
    message_id = (await cast.peer.say(cast.chat_id, "arrive"))["id"]
    told = objects.receipt(cast.me.user, cast.chat_id, message_id, delivered=1, read=0)
    return Expected(
        {"messageId": message_id, "chatId": cast.chat_id},
        {"success": True, "message": "Delivery confirmed"},
        (Told("message:delivered", (ME, PEER), told),),
    )


@rows("message:read")
async def read(cast: Cast) -> Expected:
    """A member has read a message that was confirmed as delivered before."""
    await cast.enter(cast.peer, cast.me)
    message_id = (await cast.peer.say(cast.chat_id, "be read"))["id"]
    named = {"messageId": message_id, "chatId": cast.chat_id}
    await cast.me.done("message:delivered", named)
    told = objects.receipt(cast.me.user, cast.chat_id, message_id, delivered=1, read=1)
    return Expected(
        named,
        {"success": True, "message": "Read confirmation recorded"},
        (Told("message:read", (ME, PEER), told),),
    )


@rows("message:delivery-status")
async def delivery_status(cast: Cast) -> Expected:
    """The sender asks about a message that the other member has read."""
    await cast.enter(cast.peer, cast.me)
    sent = await cast.me.say(cast.chat_id, "who got me?")
    await cast.peer.done("message:read", {"messageId": sent["id"], "chatId": cast.chat_id})
    status = {
        "messageId": sent["id"],
        "deliveredTo": [cast.peer.user.id],
        "readBy": [cast.peer.user.id],
        "sentAt": sent["createdAt"],
        "lastUpdate": TIME,
    }
    return Expected({"messageId": sent["id"]}, {"success": True, "status": status})


@rows("message:stats")
async def stats(cast: Cast) -> Expected:
    """Anybody asks for the figures of the server."""
    figures = {
        "activeTypingUsers": COUNT,
        "trackedMessages": COUNT,
        "totalDelivered": COUNT,
        "totalRead": COUNT,
    }
    return Expected({}, {"success": True, "stats": figures})
