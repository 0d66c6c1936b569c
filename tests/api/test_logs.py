"""What the log tells the operator: at info the server's life, at debug every coming, going and request."""

import re

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import RefusedError
from tests.harness.inbox import eventually
from tests.harness.servers import Server
from tests.harness.users import new_user

CONTENT = "nobody but members reads this"


def lines(server: Server, words: str) -> list[str]:
    """The lines of the log with these words."""
    return [line for line in server.err if words in line]


async def told(server: Server, words: str) -> str:
    """The first line with these words, once there is one."""

    async def first() -> str | None:
        return next(iter(lines(server, words)), None)

    return await eventually(first, what=f"a line with {words!r}")


async def test_a_server_tells_of_its_life(start: Worlds) -> None:
    """Version, profile and database at the start, and at the end that it is one; nothing of each client."""
    world = await start()
    client = await world.connect()
    await client.disconnect()
    await world.server.stop()
    [beginning] = lines(world.server, "production profile")
    assert re.search(r"hubbub \d+\.\d+\S*, production profile, database \S+hubbub\.db", beginning)
    assert world.server.err.index(beginning) == 0
    assert "stopped" in world.server.err[-1]
    assert len(world.server.err) == 3


async def test_debug_follows_a_client(start: Worlds) -> None:
    """Connect, each request with its outcome and time, disconnect with its reason; no token, no content."""
    world = await start(log_level="debug")
    user = new_user()
    chat_id, (client,) = await world.room_of(user)
    await client.say(chat_id, CONTENT)
    await client.refused("join:chat", {"chatId": "nowhere"})
    await client.disconnect()
    assert "127.0.0.1" in await told(world.server, f"user '{user.id}' connected")
    assert re.search(
        r"message:send of user '\S+': OK, \d+\.\d ms", await told(world.server, "message:send of")
    )
    await told(world.server, f"join:chat of user '{user.id}': NOT_FOUND")
    assert "is gone: " in await told(world.server, f"user '{user.id}' from 127.0.0.1")
    assert re.search(r"POST /api/v1/chats: 201, \d+\.\d ms", await told(world.server, "POST /api/v1/chats"))
    log = world.server.log()
    assert CONTENT not in log
    assert "eyJ" not in log


async def test_debug_tells_why_somebody_is_refused(start: Worlds) -> None:
    """A bad token and one attempt too many have a line each; the end that follows has none."""
    world = await start(log_level="debug", connect_timeout="300ms", connection_rate="1/5m")
    for code in ("INVALID_TOKEN", "RATE_LIMITED"):
        socket = world.raw()
        await socket.open({"token": "nonsense"})
        await socket.inbox.wait("$disconnect")
        assert "127.0.0.1" in await told(world.server, f"is refused: {code}")
    silent = world.raw()
    await silent.open(None)
    await silent.inbox.wait("$disconnect")
    await told(world.server, "asked for none in time")
    assert len(lines(world.server, "in time")) == 1
    assert "nonsense" not in world.server.log()


async def test_a_refused_client_is_no_news(start: Worlds) -> None:
    """At info, anybody with a bad token writes no line."""
    world = await start(connect_timeout="100ms")
    with pytest.raises(RefusedError):
        await world.client().connect(token="nonsense")
    socket = world.raw()
    await socket.open({"token": "nonsense"})
    await socket.inbox.wait("$disconnect")
    await world.server.stop()
    assert len(world.server.err) == 3
