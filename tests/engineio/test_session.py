"""The session without I/O: what it queues, what it takes, when it ends."""

import logging
from dataclasses import replace

import pytest

from hubbub.engineio import PacketError, Prepared, Session, closing, prepare_text
from hubbub.engineio.packets import NOOP_PACKET, PING_PACKET
from hubbub.engineio.requests import Handshake
from hubbub.engineio.session import IDLE_FRAMES
from hubbub.engineio.states import State
from tests.engineio.fakes import CONFIG, SMALL, FakeHost, FakeWire, open_session

# Sending.


def test_one_flush_a_turn() -> None:
    """However much is sent in a turn, the wire is flushed once, and finds it all in order."""
    host = FakeHost()
    session, wire = open_session(host)
    packets = [prepare_text(str(n)) for n in range(5)]
    for packet in packets:
        session.send(packet)
    assert wire.calls == []
    host.turn()
    assert wire.calls == ["flush"]
    assert session.backlog == sum(packet.size for packet in packets)
    assert session.take_all() == packets
    assert session.backlog == 0


def test_backlog_counts_what_the_transport_holds() -> None:
    """Bytes that left the outbox but not the process are backlog, too."""
    session, wire = open_session(FakeHost())
    session.send(SMALL)
    wire.buffered = 100
    assert session.backlog == 100 + SMALL.size


@pytest.mark.parametrize(("count", "survives"), [(9, True), (10, True), (11, False)])
def test_outbox_is_bounded_in_packets(count: int, survives: bool) -> None:
    """A reader that is behind by more packets than allowed is closed as slow, once, and its outbox freed."""
    host = FakeHost()
    session, wire = open_session(host)
    for _ in range(count):
        session.send(SMALL)
    assert session.closed is not survives
    host.turn()
    assert wire.reasons == ([] if survives else [closing.SLOW_READER])
    assert len(session.outbox) == (count if survives else 0)


@pytest.mark.parametrize(("size", "survives"), [(999, True), (1000, True), (1001, False)])
def test_outbox_is_bounded_in_bytes(size: int, survives: bool) -> None:
    """The bound is checked before a packet is added: a backlog past it ends the session at the next."""
    session, _ = open_session(FakeHost())
    overhead = prepare_text("x" * 200).size - 200
    session.send(prepare_text("x" * (size - overhead)))
    session.send(SMALL)
    assert session.closed is not survives


def test_one_big_packet_always_passes() -> None:
    """A packet larger than the whole bound is delivered to a client that reads."""
    host = FakeHost()
    session, _ = open_session(host)
    session.send(prepare_text("x" * 5000))
    host.turn()
    assert session.take_all()
    session.send(SMALL)
    assert not session.closed


def test_take_keeps_to_both_limits() -> None:
    """Polls get packets up to a count and a size, at least one, in order, and the rest next time."""
    session, _ = open_session(FakeHost())
    packets = [prepare_text("x" * 99) for _ in range(6)]
    for packet in packets:
        session.send(packet)
    assert session.take(max_packets=2, max_bytes=10_000) == packets[:2]
    assert session.take(max_packets=9, max_bytes=250) == packets[2:4]
    assert session.take(max_packets=9, max_bytes=1) == packets[4:5]
    assert session.take(max_packets=9, max_bytes=10_000) == packets[5:]
    assert session.take(max_packets=9, max_bytes=10_000) == []
    assert session.backlog == 0


# Receiving.


def test_messages_reach_the_application() -> None:
    """Text and binary messages arrive as they were sent; the first one makes the session known as talking."""
    host = FakeHost()
    session, _ = open_session(host)
    session.receive("4hello")
    session.receive("bAQID")
    session.deliver(b"raw")
    assert host.application.messages == ["hello", b"\1\2\3", b"raw"]
    assert host.talking == [session]


@pytest.mark.parametrize("text", ["", "0", "0{}", "2", "2probe", "5", "6", "3x", "1x", "7", "b!"])
def test_packets_that_clients_do_not_send(text: str) -> None:
    """OPEN, PING, UPGRADE, NOOP and malformed packets are refused (hostile inputs 28, 29, 31, 32, 36)."""
    session, _ = open_session(FakeHost())
    with pytest.raises(PacketError):
        session.receive(text)


def test_nothing_counts_after_the_end() -> None:
    """Text after a CLOSE packet is ignored, malformed or not (hostile input 39)."""
    host = FakeHost()
    session, wire = open_session(host)
    session.receive("1")
    session.receive("4late")
    session.receive("nonsense")
    session.deliver(b"late")
    assert host.application.messages == []
    assert host.application.ended == [(session, closing.TRANSPORT_CLOSE)]
    assert wire.calls == ["drop"]


def test_pausing_passes_on_to_the_wire() -> None:
    """Backpressure is the driver's to apply; asking twice changes nothing."""
    session, wire = open_session(FakeHost())
    for call in (
        session.pause_reading,
        session.pause_reading,
        session.resume_reading,
        session.resume_reading,
    ):
        call()
    assert wire.calls == ["pause", "resume"]
    session.receive("4arrived before")
    assert session.reading


# Heartbeat.


def test_ping_and_pong() -> None:
    """A PING goes behind what was sent before it; only its answer is reported."""
    host = FakeHost()
    session, _ = open_session(host)
    session.receive("3")
    assert session.heartbeat(24.9) == 25.0
    session.send(SMALL)
    assert session.heartbeat(25.0) == 45.0
    assert session.take_all() == [SMALL, PING_PACKET]
    assert host.application.pings == 1
    session.receive("3")
    session.receive("3")
    assert host.application.pongs == 1
    assert session.heartbeat(45.0) == 50.0


def test_ping_timeout() -> None:
    """A silent client's session ends, and is not scheduled again."""
    host = FakeHost()
    session, wire = open_session(host)
    session.heartbeat(25.0)
    assert session.heartbeat(45.0) is None
    assert host.application.reasons == ["ping timeout"]
    assert wire.reasons == [closing.PING_TIMEOUT]
    assert host.forgotten == [session]


def test_no_timeout_while_paused() -> None:
    """A client that the application does not listen to cannot time out."""
    session, _ = open_session(FakeHost())
    session.heartbeat(25.0)
    session.pause_reading()
    assert session.heartbeat(45.0) == 50.0
    assert session.heartbeat(50.0) == 70.0
    assert not session.closed


@pytest.mark.parametrize(("count", "survives"), [(IDLE_FRAMES, True), (IDLE_FRAMES + 1, False)])
def test_pong_flood(count: int, survives: bool) -> None:
    """Unasked PONGs are ignored, but not without end; a heartbeat resets the count (hostile input 33)."""
    host = FakeHost()
    session, wire = open_session(host)
    for _ in range(count):
        session.receive("3")
    assert session.closed is not survives
    assert host.application.pongs == 0
    if survives:
        session.heartbeat(25.0)
        session.receive("3")
        session.receive("3")
        assert not session.closed
    else:
        assert wire.reasons == [closing.FLOODING]


# Ending.


def test_close_flushes_first() -> None:
    """`close` lets the wire send what is queued, takes nothing more and tells the application once, later."""
    host = FakeHost()
    session, wire = open_session(host)
    session.send(SMALL)
    session.close(closing.FORCED_CLOSE)
    session.close(closing.SERVER_SHUTDOWN)
    session.send(SMALL)
    assert session.closed
    assert host.application.ended == []
    host.turn()
    assert wire.calls == ["finish"]
    assert session.outbox == [SMALL]
    assert host.application.ended == [(session, closing.FORCED_CLOSE)]
    session.end()
    session.fail(closing.TRANSPORT_CLOSE)
    assert host.application.reasons == ["forced close"]
    assert host.forgotten == [session]
    assert session.state is State.CLOSED


def test_an_undelivered_rest_lingers_until_the_next_heartbeat() -> None:
    """A polling client has until the next heartbeat to fetch what was queued at `close`."""
    host = FakeHost()
    session, _ = open_session(host)
    session.close()
    assert session.heartbeat(25.0) == 25.0, "not flushed yet: asked again at once"
    host.turn()
    assert host.forgotten == []
    assert session.heartbeat(25.0) is None
    assert host.forgotten == [session]


def test_fail_ends_at_once() -> None:
    """`fail` drops what is queued; the first reason stands."""
    host = FakeHost()
    session, wire = open_session(host)
    session.send(SMALL)
    session.fail(closing.PARSE_ERROR)
    session.fail(closing.TRANSPORT_CLOSE)
    host.turn()
    assert wire.calls == ["drop"]
    assert session.backlog == 0
    assert host.application.ended == [(session, closing.PARSE_ERROR)]


def test_a_connection_lost_while_closing() -> None:
    """The application hears the reason of its own `close`, once, when the client goes in the same turn."""
    host = FakeHost()
    session, _ = open_session(host)
    session.close(closing.FORCED_CLOSE)
    session.fail(closing.TRANSPORT_CLOSE)
    host.turn()
    assert host.application.reasons == ["forced close"]


def test_a_session_that_never_opened_is_not_reported() -> None:
    """`closed` answers to `opened`: who heard of no session hears of no end."""
    host = FakeHost()
    session = Session("sid", Handshake("", "polling", 0.0), host, FakeWire(), 0.0)
    session.fail(closing.TRANSPORT_CLOSE)
    assert host.application.ended == []
    assert host.forgotten == [session]


def test_an_error_of_the_application_ends_its_session(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing listener is logged once with its traceback, and takes only its own session with it."""
    host = FakeHost()
    session, wire = open_session(host)

    def fail(_session: Session, _data: str | bytes) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(host.application, "message", fail)
    with caplog.at_level(logging.ERROR):
        session.receive("4x")
        session.receive("4x")
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert wire.reasons == [closing.APPLICATION_ERROR]
    assert host.forgotten == [session]


def test_limits_are_the_configurations() -> None:
    """Each engine has its own bounds."""
    session, _ = open_session(FakeHost(replace(CONFIG, max_outbox_packets=1)))
    packets: list[Prepared] = [SMALL, NOOP_PACKET]
    for packet in packets:
        session.send(packet)
    assert session.reason is closing.SLOW_READER
