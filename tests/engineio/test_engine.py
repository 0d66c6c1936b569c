"""The engine as a whole: what stays behind, how it stops, how it fans out."""

import asyncio
import gc

import pytest
from websockets.server import ServerProtocol

from hubbub.engineio import Handshake, Session, prepare_text
from hubbub.engineio import engine as engine_module
from hubbub.engineio import flusher as flusher_module
from hubbub.engineio.flusher import Flusher
from hubbub.engineio.frames import FrameReader
from hubbub.engineio.guard import GuardedHttp
from hubbub.engineio.heartbeat import Heartbeat
from hubbub.engineio.packets import join_frames
from hubbub.engineio.websocket import WebSocket
from tests.engineio.harness import (
    Poller,
    Recorder,
    Socket,
    eventually,
    polling_url,
    request,
    running,
)


async def test_nothing_is_left_of_a_thousand_clients() -> None:
    """After 1000 connects and disconnects no session, task, timer, connection or object is left (101)."""
    gc.collect()
    before = _ours()  # which other tests have left
    async with running() as server:
        tasks = len(asyncio.all_tasks())
        for number in range(500):
            client = await Socket.open(server.port)
            poller = await Poller.open(server.port)
            if number % 2:
                client.leave()
            client.close()
            if number % 3:
                await poller.post("1")
            else:
                server.engine.sessions.get(poller.sid).close()  # type: ignore[union-attr]
                assert (await poller.get()).text == "1"
        await eventually(lambda: server.idle)
        await eventually(lambda: len(asyncio.all_tasks()) == tasks)
        assert len(server.application.ended) == 1000
        assert not server.engine.sessions._per_address
        assert server.engine.sessions._silent == 0
        server.application.sessions.clear()
        server.application.ended.clear()
        gc.collect()
        assert not [thing for thing in _ours() if not any(thing is one for one in before)]


async def test_connections_need_no_garbage_collector() -> None:
    """A WebSocket that comes and goes leaves no reference cycle behind."""
    async with running() as server:
        await _come_and_go(server.port)
        await eventually(lambda: server.idle)
        server.application.sessions.clear()
        server.application.ended.clear()
        gc.collect()
        gc.disable()
        try:
            before = len(_ours())
            for _ in range(20):
                await _come_and_go(server.port)
            await eventually(lambda: server.idle)
            server.application.sessions.clear()
            server.application.ended.clear()
            assert len(_ours()) == before
        finally:
            gc.enable()


async def _come_and_go(port: int) -> None:
    client = await Socket.open(port)
    assert await client.echoes()
    client.close()


def _ours() -> list[object]:
    kinds = (Session, WebSocket, GuardedHttp, FrameReader, ServerProtocol, Handshake, Heartbeat)
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]


async def test_close_all() -> None:
    """WebSockets are closed with 1012, polls get a CLOSE packet, each after what was sent to it."""
    async with running(application=Recorder(echo=False)) as server:
        socket = await Socket.open(server.port)
        poller = await Poller.open(server.port)
        poll = await poller.start_get()
        candidate = await Socket.upgrade(server.port, (await Poller.open(server.port)).sid)
        await eventually(lambda: server.application.sessions[1].wire.polling)  # type: ignore[attr-defined]
        for session in server.engine.sessions:
            session.send(prepare_text("bye"))
        closing = asyncio.create_task(server.engine.close_all(timeout=1.0))
        assert (await poll.reply()).text == "4bye"
        assert (await poller.get()).text == "1"
        assert await socket.text() == "4bye"
        assert await socket.close_code() == 1012
        assert await candidate.close_code() == 1002
        assert set(server.application.reasons) == {"server shutting down"}
        for client in (socket, candidate):
            client.close()
        poll.close()
        # The third session's client never fetches its rest, and is given up at the deadline.
        await closing
        assert len(server.engine.sessions) == 0


async def test_close_all_cuts_off_who_does_not_leave() -> None:
    """A client that ignores the close does not delay the stop beyond its deadline."""
    async with running(close_timeout=60.0) as server:
        client = await Socket.open(server.port)
        client.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.engine.close_all(timeout=0.05), timeout=1.0)
        await eventually(lambda: server.idle)


async def test_close_all_without_clients() -> None:
    """An idle engine stops at once."""
    async with running() as server:
        await asyncio.wait_for(server.engine.close_all(timeout=60.0), timeout=1.0)


async def test_stop_accepting() -> None:
    """While it drains, an engine refuses new sessions and serves the old ones, upgrades included."""
    async with running() as server:
        poller = await Poller.open(server.port)
        server.engine.stop_accepting()
        assert (await request(server.port, "GET", polling_url())).status == 503
        assert (await Socket.connect(server.port)).answer.status == 503
        assert (await poller.post("4x")).status == 200
        socket = await Socket.upgrade(server.port, poller.sid)
        socket.send("2probe")
        assert await socket.text() == "3probe"
        assert [why for _, _, why in server.refused] == ["The server is shutting down"] * 2


@pytest.mark.parametrize("members", [3, 21])
async def test_broadcasts_arrive_whole_and_in_order(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets of one turn are written together, in slices of connections, in order for each of them."""
    monkeypatch.setattr(flusher_module, "_SLICE", 5)
    async with running(application=Recorder(echo=False)) as server:
        clients = [await Socket.open(server.port) for _ in range(members)]
        packets = [prepare_text(str(number)) for number in range(5)]
        for turn in range(3):
            for packet in packets:
                for session in server.application.sessions:
                    session.send(packet)
            if turn == 1:
                await asyncio.sleep(0)
        for client in clients:
            assert [await client.text() for _ in range(15)] == [f"4{n}" for n in range(5)] * 3


def test_joined_frames() -> None:
    """One frame is used as it is, several are put end to end."""
    one, two = prepare_text("1"), prepare_text("2")
    assert join_frames([one]) is one.frame
    assert join_frames((two, one)) == two.frame + one.frame


async def test_one_failing_flush_does_not_stop_the_others() -> None:
    """An error while flushing one session leaves the rest to the next turn."""

    class Flushed:
        write = None

        def __init__(self, error: Exception | None = None) -> None:
            self.error = error
            self.flushed = False

        def flush(self) -> None:
            self.flushed = True
            if self.error is not None:
                raise self.error

    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: errors.append(context["exception"])
    )
    flusher = Flusher()
    sessions = [Flushed(), Flushed(RuntimeError("a bug")), Flushed()]
    for session in sessions:
        flusher.wake(session)  # type: ignore[arg-type]
    await eventually(lambda: all(session.flushed for session in sessions))
    assert len(errors) == 1


async def test_all_are_closed_one_group_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come back to other nodes, which should not get all of them in one moment."""
    monkeypatch.setattr(engine_module, "_CLOSED_AT_ONCE", 2)
    monkeypatch.setattr(engine_module, "_CLOSING_PAUSE", 60.0)
    application = Recorder()
    async with running(application=application) as server:
        sockets = [await Socket.open(server.port) for _ in range(5)]
        await eventually(lambda: len(application.sessions) == 5)
        closing = asyncio.create_task(server.engine.close_all(timeout=600.0))
        assert [await socket.close_code() for socket in sockets[:2]] == [1012, 1012]
        assert [session.closed for session in application.sessions] == [True, True, False, False, False]
        assert await sockets[4].echoes()
        closing.cancel()
        monkeypatch.setattr(engine_module, "_CLOSING_PAUSE", 0.0)
        closing = asyncio.create_task(server.engine.close_all(timeout=600.0))
        assert [await socket.close_code() for socket in sockets[2:]] == [1012] * 3
        for socket in sockets:
            socket.close()
        await closing
