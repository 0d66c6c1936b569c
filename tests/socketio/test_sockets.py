"""What the server asks a client: acknowledgements the other way round, and their ends."""

import asyncio

import pytest

from hubbub.engineio import closing
from hubbub.socketio import NotConnectedError, Socket
from tests.socketio.fakes import Client, Recorder, eventually, make_server


async def connected(packet: str = "0") -> tuple[Client, Socket]:
    """A client in a namespace, and its socket."""
    application = Recorder()
    client = Client(make_server({"/": application, "/chat": application}))
    await client.enter(packet)
    return client, application.sockets[0]


async def test_call_returns_what_the_client_answers() -> None:
    """Each call waits for its own answer, in whatever order they come, with attachments both ways."""
    client, socket = await connected("0/chat,")
    first = asyncio.create_task(socket.call("a", 1, timeout=5))
    second = asyncio.create_task(socket.call("b", b"\1", timeout=5))
    await eventually(lambda: len(client.session.sent) == 3)
    assert client.session.take() == [
        '2/chat,1["a",1]',
        '51-/chat,2["b",{"_placeholder":true,"num":0}]',
        b"\1",
    ]
    client.say('61-/chat,2[{"_placeholder":true,"num":0}]', b"\2", "3/chat,1[]")
    assert await second == [b"\2"]
    assert await first == []


async def test_only_the_first_answer_counts() -> None:
    """Answers to nothing, and further answers to the same, are ignored."""
    client, socket = await connected()
    client.say("31[0]")
    call = asyncio.create_task(socket.call("a", timeout=5))
    await eventually(lambda: client.session.sent)
    client.say("32[0]", "31[1]", "31[2]")
    assert await call == [1]
    client.say("31[3]")
    assert client.session.reason is None


async def test_call_gives_up() -> None:
    """After its time-out, and a late answer changes nothing."""
    client, socket = await connected()
    with pytest.raises(TimeoutError):
        await socket.call("a", timeout=0.01)
    client.say("31[]")
    assert socket._acks == {}


@pytest.mark.parametrize("end", ["client", "server", "transport"])
async def test_call_ends_with_the_client(end: str) -> None:
    """Whoever waits for the answer of a client that is gone hears so at once."""
    client, socket = await connected()
    call = asyncio.create_task(socket.call("a", timeout=5))
    await eventually(lambda: client.session.sent)
    if end == "client":
        client.say("1")
    elif end == "server":
        socket.disconnect()
    else:
        client.vanish(closing.TRANSPORT_CLOSE)
    with pytest.raises(NotConnectedError):
        await call
    with pytest.raises(NotConnectedError):
        await socket.call("b", timeout=5)


async def test_a_call_that_is_cancelled_leaves_nothing() -> None:
    """Not even when its client goes at the same moment."""
    client, socket = await connected()
    call = asyncio.create_task(socket.call("a", timeout=5))
    await eventually(lambda: client.session.sent)
    call.cancel()
    client.say("1")
    with pytest.raises(asyncio.CancelledError):
        await call
    assert socket._acks == {}


async def test_emit_refuses_reserved_names() -> None:
    """A client could not tell them from what they mean."""
    _, socket = await connected()
    with pytest.raises(ValueError, match="reserved"):
        socket.emit("disconnect")
