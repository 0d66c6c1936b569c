"""The door from what arrives to what the application awaits: order, bounds, acknowledgements, ends."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from hubbub.engineio import closing
from hubbub.socketio import Ack, Deferred, Socket
from tests.socketio.fakes import Client, Recorder, eventually, make_server

LIMIT = 64


class Slow(Recorder):
    """An application whose events end one by one, when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = asyncio.Semaphore(0)
        self.done: list[object] = []
        self.on_event = self._wait

    async def _wait(self, socket: Socket, name: str, args: list[object]) -> Ack:
        await self.steps.acquire()
        self.done.append(name)
        return args

    def finish(self, count: int) -> None:
        """Let so many events end."""
        for _ in range(count):
            self.steps.release()


class Deferring(Recorder):
    """An application that accepts every event and acknowledges it when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Deferred[Sequence[object]]] = []
        self.on_event = self._accept

    async def _accept(self, socket: Socket, name: str, args: list[object]) -> Ack:
        self.open.append(Deferred())
        return self.open[-1]


async def test_events_are_handled_one_after_the_other() -> None:
    """In the order of arrival, whatever each of them takes; acknowledgements come in that order, too."""
    slow = Slow()
    client = Client(make_server({"/": slow}))
    await client.enter()
    client.say('21["a"]', '22["b"]', '23["c"]')
    await eventually(lambda: slow.names() == ["a"])
    slow.finish(1)
    await eventually(lambda: slow.names() == ["a", "b"])
    slow.finish(2)
    await eventually(lambda: len(client.session.sent) == 3)
    assert client.session.sent == ["31[]", "32[]", "33[]"]


async def test_connections_do_not_wait_for_each_other() -> None:
    """A slow event of one client keeps nobody else waiting."""
    slow = Slow()
    server = make_server({"/": slow})
    first, second = Client(server), Client(server)
    await first.enter()
    await second.enter()
    first.say('2["a"]')
    second.say('2["b"]')
    await eventually(lambda: slow.names() == ["a", "b"])


async def test_a_full_inbox_stops_the_reading() -> None:
    """Above the limit reading pauses, below its half it goes on; what had arrived is handled all the same."""
    slow = Slow()
    client = Client(make_server({"/": slow}))
    await client.enter()
    client.say('2["begun"]')
    await eventually(slow.names)
    client.say(*['2["a"]'] * LIMIT)
    assert client.session.reading
    client.say(*['2["a"]'] * 100)
    assert not client.session.reading
    slow.finish(1 + 100 + LIMIT // 2)
    await eventually(lambda: len(slow.done) == 101 + LIMIT // 2)
    assert not client.session.reading
    slow.finish(1)
    await eventually(lambda: client.session.reading)
    slow.finish(LIMIT)
    await eventually(lambda: len(slow.done) == 101 + LIMIT)


async def test_a_burst_in_one_payload_is_kept() -> None:
    """A stock client that sends 200 small events at once gets 200 answers."""
    application = Recorder()
    client = Client(make_server({"/": application}))
    await client.enter()
    client.say(*(f'2{number}["a",{number}]' for number in range(200)))
    await eventually(lambda: len(client.session.sent) == 200)
    assert client.session.sent == [f"3{number}[{number}]" for number in range(200)]
    assert client.session.reading


async def test_a_long_inbox_leaves_others_their_turn() -> None:
    """Handlers that never wait do not keep the loop for themselves."""
    application = Recorder()
    client = Client(make_server({"/": application}))
    await client.enter()
    client.say(*['2["a"]'] * 1000)
    turns = 0
    while application.count("event") < 1000:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_deferred_acknowledgements() -> None:
    """Deferred means accepted: the next event begins at once, acknowledgements go when they are known."""
    deferring = Deferring()
    client = Client(make_server({"/": deferring}))
    await client.enter()
    client.say('21["a"]', '22["b"]', '2["no ack wanted"]')
    await eventually(lambda: len(deferring.open) == 3)
    deferring.open[1].settle(["second"])
    deferring.open[2].settle(["nobody asked"])
    await eventually(lambda: client.session.sent)
    deferring.open[0].settle(["first"])
    await eventually(lambda: len(client.session.sent) == 2)
    assert client.session.sent == ['32["second"]', '31["first"]']


async def test_deferred_acknowledgements_fill_the_inbox() -> None:
    """What is accepted and not acknowledged counts: no more than the limit is begun, and reading pauses."""
    deferring = Deferring()
    client = Client(make_server({"/": deferring}))
    await client.enter()
    client.say(*(f'2{number}["a"]' for number in range(100)))
    await eventually(lambda: len(deferring.open) == LIMIT)
    await asyncio.sleep(0)
    assert len(deferring.open) == LIMIT
    assert not client.session.reading
    settled = 0
    while settled < 100:
        for deferred in deferring.open[settled:]:
            deferred.settle([])
            settled += 1
        await asyncio.sleep(0)
    await eventually(lambda: client.session.reading)
    await eventually(lambda: len(client.session.sent) == 100)


async def test_a_deferred_acknowledgement_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """One that is not JSON is logged once, and the connection goes on."""
    deferring = Deferring()
    client = Client(make_server({"/": deferring}))
    await client.enter()
    client.say('21["a"]', '22["b"]')
    await eventually(lambda: len(deferring.open) == 2)
    deferring.open[0].settle([object()])
    deferring.open[1].settle([])
    await eventually(lambda: client.session.sent == ["32[]"])
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_an_acknowledgement_that_is_known_at_once() -> None:
    """A deferred one may be settled before anybody listens."""
    application = Recorder()

    async def answer(socket: Socket, name: str, args: list[object]) -> Ack:
        deferred: Deferred[Sequence[object]] = Deferred()
        deferred.settle([name])
        return deferred

    application.on_event = answer
    client = Client(make_server({"/": application}))
    await client.enter()
    client.say('21["a"]')
    await eventually(lambda: client.session.sent == ['31["a"]'])


@pytest.mark.parametrize("error", [LookupError("a defect"), asyncio.CancelledError()], ids=repr)
async def test_an_error_in_an_event(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once with its traceback, and the next event is handled."""
    application = Recorder()

    async def fail_first(socket: Socket, name: str, args: list[object]) -> Ack:
        if name == "a":
            raise error
        return args

    application.on_event = fail_first
    client = Client(make_server({"/": application}))
    await client.enter()
    client.say('21["a"]', '22["b"]')
    await eventually(lambda: client.session.sent == ["32[]"])
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert client.session.reason is None


@pytest.mark.parametrize("end", ["disconnect", "transport", "malformed"])
async def test_what_came_before_the_end_is_handled_before_it(end: str) -> None:
    """A client may send and leave: its events are handled, then `disconnected` is called."""
    slow = Slow()
    client = Client(make_server({"/": slow}))
    await client.enter()
    client.say('21["a"]', '2["b"]')
    if end == "disconnect":
        client.say("1")
    elif end == "malformed":
        client.say("2{}")
    if end != "disconnect":
        client.vanish(closing.TRANSPORT_CLOSE)
    assert not slow.sockets[0].connected
    slow.finish(2)
    await eventually(lambda: slow.count("disconnected") == 1)
    assert slow.names() == ["a", "b"]
    assert slow.calls[-1][0] == "disconnected"
    assert client.session.sent == []


async def test_the_servers_word_ends_at_once() -> None:
    """After `disconnect` by the server no further event of the socket begins; the one that runs may end."""
    slow = Slow()
    client = Client(make_server({"/": slow}))
    await client.enter()
    client.say('2["a"]', '2["b"]')
    await eventually(lambda: slow.names() == ["a"])
    slow.sockets[0].disconnect()
    client.say('2["c"]')
    assert slow.count("disconnected") == 0
    slow.finish(3)
    await eventually(lambda: slow.count("disconnected") == 1)
    assert slow.done == ["a"]


async def test_an_idle_connection_owns_no_worker_and_no_queue() -> None:
    """Both come with an event and are gone after it; however many connections, a worker is left for all."""
    server = make_server({"/": Recorder()})
    for _ in range(20):
        client = Client(server)
        await client.enter()
        client.say('21["a"]')
        assert client.connection._inbox._working
        await eventually(lambda client=client: client.session.sent)  # type: ignore[misc]
        await eventually(lambda client=client: not client.connection._inbox._working)  # type: ignore[misc]
        assert client.connection._inbox._queue is None
    assert len(server._tasks) == 1


async def test_whoever_runs_the_loop_can_end_a_worker() -> None:
    """A worker that is cancelled ends, although the handlers' own cancellations are only logged."""
    slow = Slow()
    server = make_server({"/": slow})
    client = Client(server)
    await client.enter()
    await eventually(lambda: not len(server._tasks))
    client.say('2["a"]', '2["b"]')
    await eventually(slow.names)
    (worker,) = server._tasks._running
    worker.cancel()
    await eventually(lambda: not len(server._tasks))
    assert slow.names() == ["a"]


async def test_an_ack_is_not_kept_waiting_by_events() -> None:
    """A handler may await the client's answer, although the inbox is busy with just that handler."""
    application = Recorder()

    async def ask(socket: Socket, name: str, args: list[object]) -> Ack:
        return await socket.call("question", timeout=5)

    application.on_event = ask
    client = Client(make_server({"/": application}))
    await client.enter()
    client.say('27["a"]')
    await eventually(lambda: client.session.sent)
    assert client.session.take() == ['21["question"]']
    client.say('31["answer"]')
    await eventually(lambda: client.session.sent)
    assert client.session.sent == ['37["answer"]']
