"""Rows of the section "Room Management"."""

from tests.api import objects
from tests.api.table.cast import ME, PEER, Cast, Expected, Rows, Told

rows = Rows()


@rows("join:chat")
async def join_chat(cast: Cast) -> Expected:
    """A member enters a room in which another one is."""
    await cast.enter(cast.peer)
    info = {
        **objects.JOINED_ROOM_INFO,
        "chatId": cast.chat_id,
        "name": "The table",
        "participantCount": 2,
        "isActive": True,
        "lastSeq": 0,
        "unreadCount": 0,
    }
    joined = {
        "chatId": cast.chat_id,
        "roomInfo": info,
        "onlineCount": 2,
        "message": "Successfully joined room",
    }
    told = {**objects.membership(cast.me.user, cast.chat_id), "onlineCount": 2, "deviceCount": 1}
    update = {**objects.ONLINE_UPDATE, "chatId": cast.chat_id, "count": 2}
    return Expected(
        {"chatId": cast.chat_id},
        {"success": True, "message": "Joined chat successfully", "roomInfo": info},
        (
            Told("user:joined", (PEER,), told),
            Told("room:joined", (ME,), joined),
            Told("room:online-update", (ME, PEER), update),
        ),
    )


@rows("leave:chat")
async def leave_chat(cast: Cast) -> Expected:
    """A member leaves a room in which another one stays."""
    await cast.enter(cast.peer, cast.me)
    for client in (cast.peer, cast.me):
        await client.wait("room:online-update", count=2)
    left = {"chatId": cast.chat_id, "onlineCount": 1, "message": "Successfully left room"}
    told = {**objects.membership(cast.me.user, cast.chat_id), "onlineCount": 1, "deviceCount": 0}
    update = {**objects.ONLINE_UPDATE, "chatId": cast.chat_id, "count": 1}
    return Expected(
        {"chatId": cast.chat_id},
        {"success": True, "message": "Left chat successfully"},
        (
            Told("user:left", (PEER,), told),
            Told("room:left", (ME,), left),
            Told("room:online-update", (PEER,), update),
        ),
    )


@rows("room:info")
async def room_info(cast: Cast) -> Expected:
    """A member asks from outside the room."""
    await cast.enter(cast.peer)
    info = {
        **objects.ROOM_INFO,
        "chatId": cast.chat_id,
        "name": "The table",
        "description": "For rows",
        "participantCount": 2,
        "onlineCount": 1,
        "isActive": True,
    }
    return Expected({"chatId": cast.chat_id}, {"success": True, "roomInfo": info})


@rows("room:list")
async def room_list(cast: Cast) -> Expected:
    """The asker has one chat, with one message of the other member."""
    sent = await cast.peer.say(cast.chat_id, "the newest")
    summary = {
        "chatId": cast.chat_id,
        "name": "The table",
        "participantCount": 2,
        "lastActivity": sent["createdAt"],
        "unreadCount": 1,
        "lastMessage": objects.message(cast.peer.user, cast.chat_id, "the newest", seq=1),
    }
    return Expected({}, {"success": True, "rooms": [summary], "nextCursor": None})


@rows("room:online")
async def room_online(cast: Cast) -> Expected:
    """One user is in the room."""
    await cast.enter(cast.peer)
    user = {
        **objects.ONLINE_USER,
        "userId": cast.peer.user.id,
        "username": cast.peer.user.username,
        "status": "online",
    }
    answer = {"success": True, "onlineUsers": [user], "nextCursor": None}
    return Expected({"chatId": cast.chat_id}, answer)
