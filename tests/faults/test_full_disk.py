"""A database that cannot be written, seen from the front door: refusals, reads, health, and the way back."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from hubbub.store.audit import audit
from tests.faults.disks import KINDS, Disk
from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import eventually
from tests.harness.node_client import NodeHost
from tests.harness.servers import Server, serve
from tests.harness.users import User, new_user
from tests.harness.world import World

PATIENCE = 20.0
"""Seconds for what may take the server several of its looks at the database."""


CALM = {
    f"health_{name}_{status}": "30s"
    for name in ("loop_lag", "database_latency")
    for status in ("warning", "critical")
}
"""Settings by which a busy machine is no reason to worry."""


async def endure(disk: Disk) -> None:
    """Go through it with a server on that disk. Nothing that happens is worth a traceback in its log."""
    server = await serve(disk.folder, **CALM)
    world = World(server, NodeHost())
    try:
        await go_through(world, disk)
    finally:
        await world.close()
        await server.end()
    assert audit(disk.folder / "hubbub.db", lambda *_: None).findings == []


async def test_a_database_that_cannot_be_written(tmp_path: Path) -> None:
    """What has to be stored is refused with a time to wait, and nothing of it is ever seen; reads go on.

    Health and readiness say so. When there is room again all is well without anybody's doing, and what was
    refused and is sent again is there once. On a full disk, with files that cannot grow, and behind a foreign
    lock, side by side, since most of it is waiting.
    """
    disks = [kind(tmp_path / kind.__name__) for kind in KINDS]
    usable = [disk for disk in disks if disk.mount()]
    try:
        async with asyncio.TaskGroup() as group:
            for disk in usable:
                group.create_task(endure(disk), name=type(disk).__name__)
    finally:
        for disk in usable:
            disk.unmount()
    if usable != disks:
        pytest.skip(
            "a small file system cannot be mounted here, which takes root; the other disks were tried"
        )


async def ready(server: Server) -> tuple[int, list[str]]:
    """What a probe is told."""
    async with aiohttp.request("GET", f"{server.url}/health/ready") as answer:
        return answer.status, (await answer.json())["problems"]


async def health(client: Client) -> str:
    """What `monitoring:health` says."""
    return str((await client.done("monitoring:health"))["health"]["status"])


def message(chat_id: str, number: int) -> Json:
    """A long message with an id."""
    return {"chatId": chat_id, "content": "x" * 3000, "clientMessageId": f"{number}"}


async def send_until_refused(client: Client, chat_id: str) -> tuple[int, Json]:
    """Send until the disk is really full; the number of the first message refused, and the refusal."""
    for number in range(1, 2000):
        answer = await client.request("message:send", message(chat_id, number))
        if not answer["success"]:
            return number, answer
    raise AssertionError("the disk is not full")


async def go_through(world: World, disk: Disk) -> None:
    """Fill the disk, see what is refused and what is not, make room, and see all come back."""
    ann, bob = new_user("ann"), new_user("bob")
    chat_id, (writer, reader) = await world.room_of(ann, bob)
    first = await writer.say(chat_id, "before")
    token = (await reader.done("connection:create-session"))["recoveryToken"]
    assert (await ready(world.server), await health(writer)) == ((200, []), "healthy")
    await settle(writer, reader)
    disk.fill(world.server)

    refused, answer = await send_until_refused(writer, chat_id)
    assert (answer["message"], answer["code"]) == ("Service temporarily unavailable", "UNAVAILABLE")
    assert answer["retryAfter"] >= 1
    # Smaller changes may find room where a message did not, for a while.
    await eventually(lambda: is_chat_refused(world, ann), PATIENCE, "a new chat to be refused")
    await eventually(lambda: is_unready(world.server), PATIENCE, "readiness to be lost")
    await eventually(lambda: is_health(writer, "critical"), PATIENCE, "health to be critical")

    await read_everything(world, reader, chat_id, refused)
    again = await world.connect(bob)
    await again.join(chat_id)
    answer = await again.request("connection:recover", {"recoveryToken": token})
    assert answer["success"] or answer["code"] == "UNAVAILABLE"
    token = answer["session"]["recoveryToken"] if answer["success"] else token

    disk.free(world.server)
    await eventually(lambda: is_sent(writer, message(chat_id, refused)), PATIENCE, "a send to succeed")
    await eventually(lambda: is_ready(world.server), PATIENCE, "readiness to come back")
    await eventually(lambda: is_health(writer, "healthy"), PATIENCE, "health to come back")
    assert (await writer.done("message:send", message(chat_id, refused)))["duplicate"] is True
    await again.done("connection:recover", {"recoveryToken": token})
    await reader.done("message:read", {"chatId": chat_id, "messageId": first["id"]})
    await settle(reader)
    assert [one["seq"] for one in reader.seen("message:new")] == list(range(1, refused + 2))


async def read_everything(world: World, reader: Client, chat_id: str, stored: int) -> None:
    """Everything that asks and changes nothing is answered as ever."""
    expected = ["before", *["x" * 3000] * (stored - 1)]
    history = await world.rest.history(reader.user, chat_id, "?limit=200&after=0")
    assert [one["content"] for one in history] == expected[:200]
    rooms = {one["chatId"]: one for one in (await reader.done("room:list"))["rooms"]}
    assert rooms[chat_id]["lastMessage"]["seq"] == stored
    assert (await reader.done("room:info", {"chatId": chat_id}))["roomInfo"]["participantCount"] == 2
    about = {"messageId": history[0]["id"]}
    assert (await reader.done("message:delivery-status", about))["status"]["readBy"] == []


async def is_chat_refused(world: World, user: User) -> bool:
    """Whether a chat cannot be made now, and the answer says when to try again."""
    status, answer = await world.rest.ask(user, "POST", "/chats", {"name": "x"})
    return status == 503 and answer["retryAfter"] >= 1


async def is_unready(server: Server) -> bool:
    """Whether a probe is told that the database is the reason."""
    return await ready(server) == (503, ["The database does not answer"])


async def is_ready(server: Server) -> bool:
    """Whether a probe is told that all is well."""
    return await ready(server) == (200, [])


async def is_health(client: Client, status: str) -> bool:
    """Whether `monitoring:health` says so."""
    return await health(client) == status


async def is_sent(client: Client, payload: Json) -> bool:
    """Whether a message could be sent."""
    return bool((await client.request("message:send", payload))["success"])
