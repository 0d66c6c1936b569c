"""What is over when a membership ends or a user is switched off: everything, at once (I8)."""

import asyncio
from typing import Any

import pytest

from tests.harness.clients import Client, Json, RefusedError, settle
from tests.harness.users import User, new_user
from tests.harness.world import World

NO_CHAT = ("Chat not found or access denied", "NOT_FOUND")


async def token_of(client: Client) -> str:
    """A recovery token of the client's."""
    return str((await client.done("connection:create-session"))["recoveryToken"])


async def refusal(client: Client, event: str, payload: Json) -> tuple[str, str]:
    """Why a request is refused."""
    answer = await client.refused(event, payload)
    return answer["message"], answer["code"]


async def chatter(client: Client, chat_id: str, sent: list[Json], stop: asyncio.Event) -> None:
    """Say one thing after the other until told to stop."""
    while not stop.is_set():
        sent.append(await client.say(chat_id, f"m{len(sent)}"))


async def test_a_removed_member_hears_nothing_more(world: World, mode: str) -> None:
    """In the middle of a busy chat: what is sent after the answer to the removal never reaches the socket."""
    owner, user = new_user(), new_user()
    chat_id, (peer, client) = await world.room_of(owner, user, mode=mode)
    other_id = await world.chat_of(owner, user)
    for one in (peer, client):
        await one.join(other_id)
    sent: list[Json] = []
    stop = asyncio.Event()
    talking = asyncio.create_task(chatter(peer, chat_id, sent, stop))
    await client.inbox.wait_count("message:new", 20)
    await world.rest.remove(owner, chat_id, user)
    last = len(sent) + 1  # the one that was on its way
    stop.set()
    await talking
    for number in range(20):
        await peer.say(chat_id, f"secret {number}")
    await peer.say(other_id, "not secret")
    await client.wait("message:new", chatId=other_id)
    await client.wait("room:left", chatId=chat_id)
    heard = [one["seq"] for one in client.seen("message:new") if one["chatId"] == chat_id]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) <= last
    names = [(event.name, event.payload.get("chatId")) for event in client.inbox.log]
    assert chat_id not in [about for _, about in names[names.index(("room:left", chat_id)) + 1 :]]


async def test_a_removed_member_can_do_nothing(world: World) -> None:
    """Every request about the chat is refused as it is to a stranger, by socket and over HTTP."""
    owner, user = new_user(), new_user()
    chat_id, (peer, client) = await world.room_of(owner, user)
    message = await peer.say(chat_id, "before")
    mine = await client.say(chat_id, "mine", clientMessageId="mine")
    await world.rest.remove(owner, chat_id, user)
    of_chat: dict[str, Json] = {
        "join:chat": {},
        "message:send": {"content": "after"},
        "room:info": {},
        "room:online": {},
        "message:typing-users": {},
        "message:delivered": {"messageId": message["id"]},
        "message:read": {"messageId": message["id"]},
    }
    for event, payload in of_chat.items():
        assert await refusal(client, event, {"chatId": chat_id, **payload}) == NO_CHAT, event
    retry = {"chatId": chat_id, "content": "mine", "clientMessageId": "mine"}
    assert await refusal(client, "message:send", retry) == NO_CHAT
    for event in ("leave:chat", "message:typing"):
        assert (await refusal(client, event, {"chatId": chat_id, "isTyping": True}))[1] == "NOT_IN_ROOM"
    status = {"messageId": mine["id"]}
    assert await refusal(client, "message:delivery-status", status) == ("Message not found", "NOT_FOUND")
    assert (await client.done("room:list"))["rooms"] == []
    for path in (f"/chats/{chat_id}", f"/chats/{chat_id}/messages", f"/chats/{chat_id}/participants"):
        assert (await world.rest.ask(user, "GET", path))[0] == 404, path
    assert [one["content"] for one in await world.rest.history(owner, chat_id)] == ["before", "mine"]


async def test_a_removed_member_recovers_the_rest_only(world: World) -> None:
    """A session recovers its other chats; nothing tells of the one that was lost, whatever was asked for."""
    owner, user = new_user(), new_user()
    lost, (peer, client) = await world.room_of(owner, user)
    kept = await world.chat_of(owner, user)
    for one in (peer, client):
        await one.join(kept)
    token = await token_of(client)
    await client.disconnect()
    for chat_id in (lost, kept):
        await peer.say(chat_id, "news")
    await world.rest.remove(owner, lost, user)
    again = await world.connect(user)
    said = {"recoveryToken": token, "lastSeq": {lost: 99, kept: 0}, "epoch": "another"}
    answer = await again.done("connection:recover", said)
    assert (answer["reset"], answer["session"]["rooms"]) == ([kept], [kept])
    assert lost not in str(answer)
    await peer.say(lost, "secret")
    await peer.say(kept, "not secret")
    await again.wait("message:new", chatId=kept)
    await settle(again)
    assert lost not in str(again.inbox.log)


async def test_a_member_who_is_back(world: World) -> None:
    """Who is made a member again sees the whole history, and is in the room only after joining."""
    owner, user = new_user(), new_user()
    chat_id, (peer, client) = await world.room_of(owner, user)
    await world.rest.remove(owner, chat_id, user)
    await peer.say(chat_id, "meanwhile")
    await world.rest.add(owner, chat_id, user)
    await peer.say(chat_id, "again")
    await settle(client)
    assert client.seen("message:new") == []
    info = await client.join(chat_id)
    assert (info["lastSeq"], info["unreadCount"]) == (2, 1)
    assert len(await world.rest.history(user, chat_id)) == 2


async def switch(world: World, user: User, active: bool) -> None:
    """Switch a user off, or on."""
    admin = new_user("admin", "admin")
    await world.rest.done(admin, "PATCH", f"/users/{user.id}", {"active": active})


async def test_a_user_who_is_switched_off(world: World, mode: str) -> None:
    """The live socket is cut and hears nothing more; no token, `pid`, recovery token or history is of use."""
    owner, user = new_user(), new_user()
    chat_id, (peer, client) = await world.room_of(owner, user, mode=mode)
    token = await token_of(client)
    await peer.say(chat_id, "before")
    await client.wait("message:new")
    await switch(world, user, active=False)
    await peer.say(chat_id, "secret")
    await client.wait_disconnect()
    await peer.wait("user:left", userId=user.id, deviceCount=0)
    assert [one["content"] for one in client.seen("message:new")] == ["before"]
    attempts: list[dict[str, Any]] = [{}, {"auth": {"token": user.token(), "recoveryToken": token}}]
    for options in attempts:
        with pytest.raises(RefusedError) as refused:
            await world.client(user, mode).connect(**options)
        assert refused.value.data == {"code": "USER_INACTIVE"}
    status, answer = await world.rest.ask(user, "GET", f"/chats/{chat_id}/messages")
    assert (status, answer["details"][0]["problem"]) == (401, "the user is switched off")


async def test_the_own_recovery_of_a_user_who_is_switched_off(world: World) -> None:
    """Neither does Socket.IO's own recovery let the user in, nor what was missed out."""
    owner, user = new_user(), new_user()
    chat_id, (peer,) = await world.room_of(owner)
    await world.rest.add(owner, chat_id, user)
    socket = world.raw()
    await socket.open({"token": user.token()})
    pid = (await socket.inbox.wait("40")).split('"pid":"')[1].split('"')[0]
    await socket.request("join:chat", {"chatId": chat_id})
    await socket.close()
    await peer.wait("user:left", userId=user.id)
    await switch(world, user, active=False)
    await peer.say(chat_id, "secret")
    again = world.raw()
    await again.open({"token": user.token(), "pid": pid})
    assert "USER_INACTIVE" in await again.inbox.wait("44")
    assert not any("secret" in packet for packet in again.packets)


async def test_logins_of_a_user_who_is_switched_off(world: World) -> None:
    """Neither password nor refresh token gives anything; switched on again, only the password does."""
    name = new_user("login").username[:30]
    body = {"username": name, "password": "correct horse"}
    status, registered = await world.rest.ask(None, "POST", "/auth/register", body)
    assert status == 201, registered
    user = User(registered["user"]["id"], name, "")
    await switch(world, user, active=False)
    refresh = {"refreshToken": registered["refreshToken"]}
    assert (await world.rest.ask(None, "POST", "/auth/refresh", refresh))[0] == 401
    assert (await world.rest.ask(None, "POST", "/auth/login", body))[0] == 403
    await switch(world, user, active=True)
    assert (await world.rest.ask(None, "POST", "/auth/refresh", refresh))[0] == 401
    assert (await world.rest.ask(None, "POST", "/auth/login", body))[0] == 200
