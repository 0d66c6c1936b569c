"""HTTP long-polling with a client that behaves."""

import asyncio
import json

import pytest

from hubbub.engineio import closing, prepare_binary, prepare_text
from tests.engineio.harness import (
    Http,
    Poller,
    Recorder,
    Running,
    eventually,
    polling_url,
    request,
    running,
)


def held(server: Running) -> bool:
    """Whether the only session's GET waits."""
    return server.application.sessions[0].wire.polling  # type: ignore[attr-defined,no-any-return]


async def test_handshake() -> None:
    """The OPEN packet has exactly the specified keys, and an id of at least 128 bits."""
    async with running(ping_interval=0.3, ping_timeout=0.2, max_payload=123) as server:
        reply = await request(server.port, "GET", polling_url())
        sid = server.application.sessions[0].sid
        assert reply.text[0] == "0"
        assert json.loads(reply.text[1:]) == {
            "sid": sid,
            "upgrades": ["websocket"],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 123,
        }
        assert len(sid) >= 22
        assert reply.headers["content-type"] == "text/plain; charset=UTF-8"
        assert reply.headers["cache-control"] == "no-store"


async def test_the_path_works_with_and_without_its_slash() -> None:
    """Clients may be told to leave the trailing slash out."""
    async with running() as server:
        assert (await request(server.port, "GET", polling_url(path="/engine.io"))).status == 200


async def test_answers_at_once_or_waits() -> None:
    """What is queued is answered at once, everything together; otherwise the poll waits for more."""
    async with running(application=Recorder(echo=False)) as server:
        client = await Poller.open(server.port)
        session = server.application.sessions[0]
        session.send(prepare_text("héllo"))
        session.send(prepare_binary(b"\1\2\3\4"))
        assert (await client.get()).text == "4héllo\x1ebAQIDBA=="
        poll = await client.start_get()
        await eventually(lambda: held(server))
        session.send(prepare_text("later"))
        session.send(prepare_text("too"))
        assert (await poll.reply()).text == "4later\x1e4too"


async def test_answers_stay_within_what_clients_accept() -> None:
    """No more than 16 packets, nor more bytes than `max_payload` unless one packet is larger."""
    async with running(application=Recorder(echo=False), max_payload=1000) as server:
        client = await Poller.open(server.port)
        session = server.application.sessions[0]
        sent = [prepare_text("x" * size) for size in (*range(40), 400, 400, 400, 5000, 10)]
        for packet in sent:
            session.send(packet)
        received: list[str] = []
        while len(received) < len(sent):
            reply = await client.get()
            packets = reply.text.split("\x1e")
            assert len(packets) <= 16
            assert len(reply.body) <= 1000 or len(packets) == 1
            received += packets
        assert received == [packet.packet.decode() for packet in sent]


async def test_a_repeated_get() -> None:
    """The same GET once more, as HTTP libraries send it when the answer did not come, has the same answer."""
    async with running(application=Recorder(echo=False)) as server:
        client = await Poller.open(server.port)
        session = server.application.sessions[0]
        session.send(prepare_text("one"))
        first = f"{polling_url(client.sid)}&t=first"
        lost = await request(server.port, "GET", first)
        session.send(prepare_text("two"))
        again = await request(server.port, "GET", first)
        assert (lost.text, again.text) == ("4one", "4one")
        assert (await request(server.port, "GET", f"{polling_url(client.sid)}&t=second")).text == "4two"
        session.send(prepare_text("three"))
        assert (await client.get()).text == "4three"
        session.send(prepare_text("four"))
        assert (await client.get()).text == "4four"


async def test_heartbeat() -> None:
    """PINGs answer the held poll, and their PONGs keep the session open."""
    async with running(ping_interval=0.1, ping_timeout=0.1) as server:
        client = await Poller.open(server.port)
        for count in (1, 2, 3):
            assert (await client.get()).text == "2"
            assert (await client.post("3")).text == "ok"
            assert server.application.pongs == count
        assert server.application.pings == 3
        # Nobody polls any more.
        await eventually(lambda: server.application.reasons == ["ping timeout"])
        assert (await client.get()).status == 400
        await eventually(lambda: server.idle)


async def test_close_delivers_what_is_queued() -> None:
    """A closed session's held poll gets the rest, the next one a CLOSE packet: clients act on that first."""
    async with running(application=Recorder(echo=False)) as server:
        client = await Poller.open(server.port)
        poll = await client.start_get()
        await eventually(lambda: held(server))
        session = server.application.sessions[0]
        session.send(prepare_text("last words"))
        session.close(closing.FORCED_CLOSE)
        assert (await poll.reply()).text == "4last words"
        assert (await client.get()).text == "1"
        assert (await client.get()).status == 400
        assert server.application.reasons == ["forced close"]
        poll.close()
        await eventually(lambda: server.idle)


async def test_close_waits_for_the_client_to_fetch() -> None:
    """Without a held poll the rest is kept for the next ones, however many they take."""
    async with running(application=Recorder(echo=False)) as server:
        client = await Poller.open(server.port)
        session = server.application.sessions[0]
        for number in range(20):
            session.send(prepare_text(str(number)))
        session.close(closing.FORCED_CLOSE)
        await eventually(lambda: server.application.reasons == ["forced close"])
        packets = (await client.get()).text.split("\x1e") + (await client.get()).text.split("\x1e")
        assert packets == [f"4{number}" for number in range(20)]
        assert (await client.get()).text == "1"
        assert (await client.get()).status == 400
        assert len(server.engine.sessions) == 0


async def test_an_unfetched_rest_is_forgotten() -> None:
    """A client that never comes back for the rest is forgotten at the next heartbeat."""
    async with running(ping_interval=0.1, ping_timeout=0.1) as server:
        await Poller.open(server.port)
        server.application.sessions[0].close(closing.FORCED_CLOSE)
        await eventually(lambda: server.idle)


async def test_backpressure_holds_the_post() -> None:
    """While the application takes no more, the POST that brought the last message is not answered."""

    class Reluctant(Recorder):
        def message(self, session: object, data: str | bytes) -> None:
            self.messages.append(data)
            if len(self.messages) % 2 == 0:
                self.sessions[0].pause_reading()

    async with running(application=Reluctant()) as server:
        client = await Poller.open(server.port)
        session = server.application.sessions[0]
        http = await Http.connect(server.port)
        http.send("POST", polling_url(client.sid), b"4a\x1e4b\x1e4c\x1e4d\x1e4e")
        answer = asyncio.create_task(http.reply())
        await eventually(lambda: server.application.messages == ["a", "b"])
        session.resume_reading()
        await eventually(lambda: server.application.messages == ["a", "b", "c", "d"])
        assert not answer.done()
        session.resume_reading()
        assert (await answer).text == "ok"
        assert server.application.messages == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("end", ["close", "fail"])
async def test_a_held_post_ends_with_its_session(end: str) -> None:
    """A POST that waits for the application does not outlive the session."""

    class Reluctant(Recorder):
        def message(self, session: object, data: str | bytes) -> None:
            self.messages.append(data)
            self.sessions[0].pause_reading()

    async with running(application=Reluctant()) as server:
        client = await Poller.open(server.port)
        answer = asyncio.create_task(client.post("4a\x1e4b"))
        await eventually(lambda: server.application.messages == ["a"])
        getattr(server.application.sessions[0], end)(closing.FORCED_CLOSE)
        await answer
        assert server.application.messages == ["a"]


async def test_a_burst_is_sliced() -> None:
    """Thousands of packets in one payload do not keep the loop from others."""
    async with running(application=Recorder(echo=False)) as server:
        client = await Poller.open(server.port)
        other = await Poller.open(server.port)
        seen: list[int] = []
        burst = asyncio.create_task(client.post("\x1e".join(["4x"] * 20_000)))
        await eventually(lambda: bool(server.application.messages))
        assert (await other.post("3")).text == "ok"
        seen.append(len(server.application.messages))
        assert (await burst).text == "ok"
        assert seen[0] < 20_000 == len(server.application.messages)
