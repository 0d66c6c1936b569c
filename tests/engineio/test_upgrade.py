"""Upgrades from polling to WebSocket on a real server, spec section "Upgrade"."""

import asyncio

import pytest

from hubbub.engineio import closing, prepare_text
from tests.engineio.harness import (
    CLOSE_FRAME,
    PING_FRAME,
    PONG_FRAME,
    TEXT,
    Poller,
    Recorder,
    Running,
    Socket,
    eventually,
    frame,
    running,
)


async def upgraded(server: Running) -> tuple[Poller, Socket]:
    """A session that has moved to WebSocket."""
    client = await Poller.open(server.port)
    socket = await Socket.upgrade(server.port, client.sid)
    socket.send("2probe")
    assert await socket.text() == "3probe"
    socket.send("5")
    await eventually(lambda: server.application.sessions[-1].transport == "websocket")
    return client, socket


async def test_probe_lets_the_poll_go() -> None:
    """The held poll is ended by a NOOP, and so is one that comes while the client has not upgraded yet."""
    async with running() as server:
        client = await Poller.open(server.port)
        poll = await client.start_get()
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        assert (await poll.reply()).text == "6"
        assert (await client.get()).text == "6"
        assert (await client.post("4by polling")).text == "ok"
        assert (await client.get()).text == "4by polling"
        socket.send("5")
        assert await socket.echoes()


async def test_requests_after_the_upgrade() -> None:
    """GET and POST are answered 400 and a second WebSocket is closed, while the first one lives (12, 13)."""
    async with running() as server:
        client, socket = await upgraded(server)
        assert (await client.get()).status == 400
        assert (await client.post("4x")).status == 400
        second = await Socket.upgrade(server.port, client.sid)
        assert await second.close_code() == 1002
        assert await socket.echoes()
        assert server.application.messages == ["still here"]


async def test_two_upgrades_racing() -> None:
    """Of two upgrades at once one wins; the session is unharmed (38)."""
    async with running() as server:
        client = await Poller.open(server.port)
        sockets = await asyncio.gather(*(Socket.upgrade(server.port, client.sid) for _ in range(2)))
        for socket in sockets:
            socket.send("2probe")
        answers = [(await socket.frame())[0] for socket in sockets]
        assert sorted(answers) == [TEXT, CLOSE_FRAME]
        winner = sockets[answers.index(TEXT)]
        winner.send("5")
        assert await winner.echoes()


async def test_an_upgrade_that_is_not_completed() -> None:
    """The candidate is closed after the timeout; polling continues, and another upgrade may follow (35)."""
    async with running(upgrade_timeout=0.1) as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        assert await socket.close_code() == 1002
        socket.close()
        assert (await client.post("4x")).text == "ok"
        assert (await client.get()).text == "4x"
        again = await Socket.upgrade(server.port, client.sid)
        again.send("2probe")
        again.send("5")
        assert await again.text() == "3probe"
        assert await again.echoes()


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"5"),
        frame(TEXT, b"4x"),
        frame(TEXT, b"2probe") + frame(TEXT, b"4x"),
        frame(TEXT, b""),
        frame(2, b"\1"),
        frame(TEXT, b"4x", rsv=4),
        frame(TEXT, b"\xff"),
    ],
    ids=["36-no-probe", "message", "message-after-probe", "empty", "binary", "85-rsv", "91-not-utf8"],
)
async def test_bad_candidates(data: bytes) -> None:
    """A candidate that breaks the rules is closed; its session goes on polling."""
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.write(data)
        assert await socket.close_code() in (1002, 1007)
        socket.close()
        assert (await client.post("4x")).text == "ok"
        await eventually(lambda: not server.engine.sessions.sockets)
        assert (await client.get()).text == "4x"
        assert server.application.messages == ["x"]


async def test_a_candidate_that_goes_away() -> None:
    """A WebSocket that is lost before the upgrade is no loss."""
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.http.abort()
        await eventually(lambda: not server.engine.sessions.sockets)
        assert (await client.post("4x")).text == "ok"
        assert (await client.get()).text == "4x"


async def test_candidates_answer_pings() -> None:
    """The WebSocket of an upgrade is a WebSocket already."""
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.write(frame(PING_FRAME, b"hi"))
        assert await socket.frame() == (PONG_FRAME, b"hi")


async def test_the_session_ends_during_an_upgrade() -> None:
    """The candidate does not outlive its session."""
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        assert (await client.post("1")).status == 200
        assert await socket.close_code() == 1002
        socket.close()
        await eventually(lambda: server.idle)


async def test_an_upgrade_during_a_post_is_refused() -> None:
    """A client that upgrades before its POST was answered loses the WebSocket, not its messages (37)."""

    class Reluctant(Recorder):
        def message(self, session: object, data: str | bytes) -> None:
            self.messages.append(data)
            self.sessions[0].pause_reading()

    async with running(application=Reluctant()) as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        answer = asyncio.create_task(client.post("4a"))
        await eventually(lambda: server.application.messages == ["a"])
        socket.send("5")
        assert await socket.close_code() == 1002
        server.application.sessions[0].resume_reading()
        assert (await answer).text == "ok"


async def test_closing_right_after_the_upgrade() -> None:
    """A session closed in the turn of its upgrade ends with the reason's code on its new transport (37)."""
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        session = server.application.sessions[0]
        session.send(prepare_text("last words"))
        socket.send("5")
        await eventually(lambda: session.transport == "websocket")
        session.close(closing.SERVER_SHUTDOWN)
        assert await socket.text() == "4last words"
        assert await socket.close_code() == 1012


@pytest.mark.parametrize("polls", [True, False])
async def test_closing_behind_the_probe(polls: bool) -> None:
    """The client learns of it by its next poll or, when it polls no more, on its new transport: stock clients
    whose WebSocket goes away between probe and UPGRADE are stuck until their ping timeout.
    """
    async with running() as server:
        client = await Poller.open(server.port)
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        session = server.application.sessions[0]
        session.send(prepare_text("last words"))
        session.close(closing.TRY_AGAIN_LATER)
        await eventually(lambda: bool(server.application.reasons))
        if polls:
            assert [(await client.get()).text for _ in range(2)] == ["4last words", "1"]
            assert await socket.close_code() == 1002
        else:
            socket.send("5")
            assert await socket.text() == "4last words"
            assert await socket.close_code() == 1013
        socket.close()
        await eventually(lambda: server.idle)


class Counting(Recorder):
    """Sends numbers without pause, whatever the client does."""

    def __init__(self) -> None:
        super().__init__(echo=False)
        self.sent = 0
        self.sending = True

    async def count(self) -> None:
        while self.sending:
            for _ in range(3):
                self.sessions[0].send(prepare_text(str(self.sent)))
                self.sent += 1
            await asyncio.sleep(0.0005)


@pytest.mark.parametrize("before", [0, 1, 5])
async def test_no_message_is_lost_doubled_or_moved(before: int) -> None:
    """Across an upgrade under traffic both ways, each message arrives once and in order (37)."""
    application = Counting()
    async with running(application=application) as server:
        client = await Poller.open(server.port)
        counting = asyncio.create_task(application.count())
        received: list[str] = []
        sent = [f"c{number}" for number in range(60)]
        for number in range(before):
            received += (await client.get()).text.split("\x1e")
            await client.post("4" + "\x1e4".join(sent[number * 4 : number * 4 + 4]))
        socket = await Socket.upgrade(server.port, client.sid)
        socket.send("2probe")
        polls = [await client.start_get()]
        assert await socket.text() == "3probe"
        while polls:
            received += (await polls.pop().reply()).text.split("\x1e")
        socket.send("5")
        for message in sent[before * 4 :]:
            socket.send("4" + message)
        await eventually(lambda: len(application.messages) == len(sent))
        application.sending = False
        await counting
        received = [packet for packet in received if packet != "6"]
        while len(received) < application.sent:
            received.append(await socket.text())
        assert received == [f"4{number}" for number in range(application.sent)]
        assert application.messages == sent
