"""The life of the process: it starts, tells its clients that it goes, and keeps what it promised to keep."""

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import Client, RefusedError
from tests.harness.inbox import eventually
from tests.harness.servers import STOP, launch
from tests.harness.users import new_user
from tests.harness.world import NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON, World

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_listening_line(start: Worlds) -> None:
    """`listening on http://HOST:PORT` is printed, once, when it can be connected to."""
    world = await start()
    lines = [line for line in world.server.out if "listening on" in line]
    assert lines == [f"listening on {world.server.url}"]
    assert world.server.url.startswith("http://127.0.0.1:")
    await world.connect()


@pytest.mark.node
async def test_sigterm_with_clients(start: Worlds) -> None:
    """SIGTERM tells every client, on both transports, and ends the process with 0 in time."""
    world = await start()
    clients = [await world.connect(mode=mode) for mode in (NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON)]
    chat_id = await world.chat_of(clients[0].user)
    await clients[0].join(chat_id)
    since = time.monotonic()
    await world.server.stop()
    assert time.monotonic() - since < STOP
    for client in clients:
        await client.wait_disconnect()
    told = [(await client.inbox.wait("connection:closing"))["retryAfter"] for client in clients]
    assert set(told) == {1, 2, 3}, "they are not to come back in the same moment"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_acknowledged_is_kept(start: Worlds, number: signal.Signals) -> None:
    """What was acknowledged is there after the end; numbers go on, and retries find the first message."""
    world = await start()
    user = new_user()
    chat_id, (client,) = await world.room_of(user)
    epoch = (await client.join(chat_id))["epoch"]
    acknowledged = await talk_until_gone(world, client, chat_id, number)
    code = await world.server.exited()
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)

    again = await start(world.server.data_dir)
    stored = await again.rest.history(user, chat_id)
    contents = {message["content"]: message["seq"] for message in stored}
    assert sorted(contents.values()) == list(range(1, len(stored) + 1))
    assert acknowledged.items() <= contents.items()
    heir = await again.connect(user)
    info = await heir.join(chat_id)
    assert (info["lastSeq"], info["epoch"]) == (len(stored), epoch)
    payload = {"chatId": chat_id, "content": "m0", "clientMessageId": "m0"}
    answer = await heir.done("message:send", payload)
    assert (answer["duplicate"], answer["sentMessage"]["seq"]) == (True, 1)
    assert (await heir.say(chat_id, "after the restart"))["seq"] == len(stored) + 1


async def talk_until_gone(
    world: World, client: Client, chat_id: str, number: signal.Signals
) -> dict[str, int]:
    """Send without pause, signal the server in the middle of it, and return what was acknowledged."""
    acknowledged: dict[str, int] = {}

    async def say(count: int) -> None:
        content = f"m{count}"
        acknowledged[content] = (await client.say(chat_id, content, clientMessageId=content))["seq"]

    for count in range(20):
        await say(count)
    rest = [asyncio.create_task(say(count)) for count in range(20, 120)]
    await rest[0]
    world.server.process.send_signal(number)
    await client.wait_disconnect()
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return acknowledged


async def test_recovery_over_a_restart(start: Worlds) -> None:
    """A recovery token survives the death of the server, and brings back what was missed."""
    world = await start()
    user, friend = new_user(), new_user()
    chat_id, (client, peer) = await world.room_of(user, friend)
    token = (await client.done("connection:create-session"))["recoveryToken"]
    await client.disconnect()
    await peer.wait("user:left", userId=user.id)
    await peer.say(chat_id, "missed")
    await world.server.kill()

    again = await start(world.server.data_dir)
    heir, peer = await again.connect_all(user, friend)
    await peer.say(chat_id, "after the restart")
    answer = await heir.done("connection:recover", {"recoveryToken": token, "lastSeq": {chat_id: 0}})
    contents = [message["content"] for message in answer["session"]["messageQueue"]]
    assert contents == ["missed", "after the restart"]
    assert answer["reset"] == []
    await peer.say(chat_id, "live")
    assert (await heir.wait("message:new"))["content"] == "live"


@pytest.mark.node
async def test_state_recovery_over_a_restart(start: Worlds) -> None:
    """The stock npm client is recovered even when the server was killed and started again on its port."""
    world = await start()
    user, friend = new_user(), new_user()
    chat_id, (peer,) = await world.room_of(friend)
    await world.rest.add(friend, chat_id, user)
    client = world.npm(user, NPM_WEBSOCKET)
    await client.connect(manager={"reconnectionDelay": 300, "reconnectionDelayMax": 600})
    await client.join(chat_id)
    await peer.say(chat_id, "m1")
    await client.wait("message:new", seq=1)
    await world.server.kill()
    await client.wait_disconnect()
    client.forget()
    again = await start(world.server.data_dir, port=str(world.server.port))
    assert (await client.wait("$connect", timeout=20))["recovered"] is True
    peer = await again.connect(friend)
    await peer.say(chat_id, "m2")
    assert [(await client.wait("message:new"))["seq"]] == [2]


async def start_fails(folder: Path, **settings: str) -> str:
    """The one line that a server which cannot start prints before it exits with 2."""
    server = await launch(folder, settings)
    assert await server.exited(20) == 2, server.log()
    assert server.out == []
    assert len(server.err) == 1, server.log()
    return server.err[0]


async def test_port_in_use(tmp_path: Path) -> None:
    """A port in use is one readable line that names it, and exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in await start_fails(tmp_path, port=str(port))


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", "many"), ("message_rate", "fast"), ("jwt_secret", "short"), ("log_level", "loud")],
)
async def test_bad_setting(tmp_path: Path, name: str, value: str) -> None:
    """A bad setting is one readable line that names the setting, and exit code 2."""
    assert f"HUBBUB_{name.upper()}" in await start_fails(tmp_path, **{name: value})


async def test_unopenable_database(tmp_path: Path) -> None:
    """A file that is no database is one readable line, and exit code 2; the file stays as it was."""
    file = tmp_path / "hubbub.db"
    file.write_bytes(b"this is no database\n" * 1000)
    assert str(file) in await start_fails(tmp_path)
    assert file.read_bytes() == b"this is no database\n" * 1000


async def test_data_folder_in_use(start: Worlds) -> None:
    """A second server on the same data folder is refused, and the first goes on."""
    world = await start()
    assert str(world.server.data_dir) in await start_fails(world.server.data_dir)
    await world.connect()


async def test_stubborn_client(start: Worlds) -> None:
    """A client that answers nothing holds nobody up: from SIGTERM on nobody new is let in, and 0 in 10 s."""
    world = await start()
    await world.connect()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    world.server.process.terminate()

    async def refused() -> bool:
        try:
            await world.client().connect()
        except (RefusedError, OSError, ConnectionError):
            return True
        return False

    try:
        await eventually(refused, what="new connections to be refused")
        assert await world.server.exited(STOP) == 0
    finally:
        writer.close()
