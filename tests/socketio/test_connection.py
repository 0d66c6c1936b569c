"""How a connection lives: who may enter, what comes after what, what is left when it is over."""

import asyncio
import gc
import json
import logging
import weakref
from collections.abc import Mapping
from typing import cast

import pytest

from hubbub.engineio import closing
from hubbub.socketio import ConnectionRefused, Server, Socket, TryAgainLater, Welcome
from tests.socketio.fakes import Client, FakeSession, Recorder, eventually, make_server

ONE = '{"_placeholder":true,"num":0}'


class Gate(Recorder):
    """An application whose `connect` waits for `opened`."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.cancelled = 0
        self.on_connect = self._wait

    async def _wait(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Welcome()


async def test_connect_is_answered_before_anything_else() -> None:
    """The client gets its id, then what `connected` emits; the application gets the auth as it was sent."""

    class Greeter(Recorder):
        def connected(self, socket: Socket) -> None:
            super().connected(socket)
            socket.emit("hello", socket.id)

    application = Greeter()
    client = Client(make_server({"/chat": application}))
    answer = await client.enter('0/chat,{"token":"t","pid":"p","offset":"o"}')
    sid = application.sockets[0].id
    assert json.loads(answer.removeprefix("0/chat,")) == {"sid": sid}
    assert len(sid) >= 22
    assert application.calls[0] == ("connect", {"token": "t", "pid": "p", "offset": "o"})
    client.say('2/chat,["x"]')
    await eventually(lambda: application.names() == ["x"])
    assert application.sockets[0].handshake.address == "192.0.2.1"


async def test_first_packet_after_the_answer_is_what_connected_emits() -> None:
    """Nothing comes between CONNECT and what `connected` sends, since both happen in one turn."""

    class Greeter(Recorder):
        def connected(self, socket: Socket) -> None:
            socket.emit("hello", 1)

    client = Client(make_server({"/": Greeter()}))
    client.say("0")
    await eventually(lambda: client.session.sent)
    assert client.session.sent[1:] == ['2["hello",1]']


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ConnectionRefused("Unauthorized"), '4{"message":"Unauthorized"}'),
        (ConnectionRefused("No", {"code": "X"}), '4{"message":"No","data":{"code":"X"}}'),
    ],
)
async def test_refused(error: Exception, answer: str) -> None:
    """A refusal is told with its data, and can be followed by another try; `disconnected` is not called."""

    class Doorman(Recorder):
        async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            await super().connect(socket, auth)
            if "token" not in auth:
                raise error
            return Welcome()

    application = Doorman()
    server = make_server({"/": application})
    client = Client(server)
    assert await client.enter() == answer
    assert server.sockets("/") == []
    assert (await client.enter('0{"token":1}')).startswith('0{"sid"')
    client.vanish(closing.TRANSPORT_CLOSE)
    await eventually(lambda: application.calls[-1] == ("disconnected", "transport close"))
    assert application.count("disconnected") == application.count("connected") == 1


async def test_put_off() -> None:
    """Who is to come back later is closed rather than refused, with all its namespaces."""

    class Tired(Recorder):
        async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            raise TryAgainLater("not now")

    application = Recorder()
    server = make_server({"/": application, "/tired": Tired()})
    client = Client(server)
    await client.enter()
    sent = len(client.session.sent)
    client.say("0/tired,")
    await eventually(lambda: client.session.reason)
    assert client.session.reason is closing.TRY_AGAIN_LATER
    assert (client.session.reason.code, client.session.reason.reconnect) == (1013, True)
    assert len(client.session.sent) == sent
    assert application.calls[-1] == ("disconnected", "try again later")
    assert server.sockets("/") == server.sockets("/tired") == []


async def test_an_error_in_connect_is_the_servers(caplog: pytest.LogCaptureFixture) -> None:
    """The client is told nothing about it, the log everything."""

    class Broken(Recorder):
        async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            raise LookupError("a secret")

    client = Client(make_server({"/": Broken()}))
    assert await client.enter() == '4{"message":"Internal server error"}'
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert client.session.reason is None


async def test_events_wait_for_the_answer_to_connect() -> None:
    """An event while CONNECT is pending closes the connection; `connect` is cancelled."""
    gate = Gate()
    client = Client(make_server({"/": gate}))
    client.say("0")
    await eventually(lambda: gate.calls)
    client.say('2["early"]')
    assert client.session.reason is closing.PARSE_ERROR
    await eventually(lambda: gate.cancelled)
    assert [call[0] for call in gate.calls] == ["connect"]


@pytest.mark.parametrize("how", ["disconnect", "transport"])
async def test_leaving_while_connect_runs(how: str) -> None:
    """Whoever leaves before the answer was never connected: `connect` is cancelled, no more is called."""
    gate = Gate()
    server = make_server({"/": gate})
    client = Client(server)
    client.say("0")
    await eventually(lambda: gate.calls)
    if how == "disconnect":
        client.say("1")
        assert client.session.reason is None
    else:
        client.vanish(closing.TRANSPORT_CLOSE)
    await eventually(lambda: gate.cancelled)
    gate.opened.set()
    await asyncio.sleep(0)
    assert [call[0] for call in gate.calls] == ["connect"]
    assert client.session.sent == []
    assert len(server._tasks) == 0


async def test_a_connect_that_ignores_its_cancellation_changes_nothing() -> None:
    """A welcome for somebody who has left is dropped."""

    class Stubborn(Gate):
        async def _wait(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            try:
                await self.opened.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
            return Welcome()

    stubborn = Stubborn()
    server = make_server({"/": stubborn})
    client = Client(server)
    client.say("0")
    await eventually(lambda: stubborn.calls)
    client.say("1")
    await eventually(lambda: stubborn.cancelled and not len(server._tasks))
    assert stubborn.count("connected") == 0
    assert client.session.sent == []


async def test_double_connect_while_pending() -> None:
    """A second CONNECT closes the connection also when the first one is not answered yet."""
    client = Client(make_server({"/": Gate()}))
    client.say("0", "0")
    assert client.session.reason is closing.PARSE_ERROR


async def test_packets_for_a_namespace_that_was_left_are_dropped() -> None:
    """They may have been on their way when the server ended the stay; so may their attachments."""
    application = Recorder()
    client = Client(make_server({"/": application}))
    await client.enter()
    application.sockets[0].disconnect()
    assert client.session.take() == ["1"]
    client.say('2["a"]', "31[]", f'51-["a",{ONE}]', b"x", "1")
    assert client.session.reason is None
    await eventually(lambda: application.calls[-1] == ("disconnected", "server namespace disconnect"))
    assert application.names() == []
    assert (await client.enter()).startswith('0{"sid"')


async def test_packets_for_a_namespace_that_was_never_entered() -> None:
    """They close the connection, even if another namespace was entered, and before attachments are kept."""
    server = make_server({"/": Recorder(), "/other": Recorder()})
    for packet in ('2/other,["a"]', "1/other,", "3/other,1[]", f'51-/other,["a",{ONE}]'):
        client = Client(server)
        await client.enter()
        client.say(packet)
        assert client.session.reason is closing.PARSE_ERROR


async def test_namespaces_are_apart() -> None:
    """Sockets of one connection have their own ids and lives; a heartbeat concerns all of them."""
    root, other = Recorder(), Recorder()
    server = make_server({"/": root, "/other": other})
    client = Client(server)
    await client.enter()
    await client.enter("0/other,")
    assert root.sockets[0].id != other.sockets[0].id
    client.beat()
    assert root.calls[-2:] == other.calls[-2:] == [("ping_sent",), ("pong",)]
    client.say("1/other,", '2["a"]')
    await eventually(lambda: root.names() and other.count("disconnected"))
    assert other.calls[-1] == ("disconnected", "client namespace disconnect")
    assert server.sockets("/other") == []
    client.beat()
    assert other.count("pong") == 1
    assert root.count("pong") == 2


async def test_namespaces_are_limited() -> None:
    """Eight at a time; one that was left makes room for another."""
    names = [f"/{number}" for number in range(9)]
    client = Client(make_server({name: Recorder() for name in names}))
    for name in names[:8]:
        await client.enter(f"0{name},")
    client.say("1/0,")
    await client.enter("0/8,")
    client.say("0/0,")
    assert client.session.reason is closing.PARSE_ERROR


async def test_no_namespace_no_stay() -> None:
    """Whoever was refused, or has left its last namespace, is closed after the connect timeout as well."""

    class Closed(Recorder):
        async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            raise ConnectionRefused("no")

    server = make_server({"/": Recorder(), "/closed": Closed()}, connect_timeout=0.05)
    left, refused, staying = Client(server), Client(server), Client(server)
    await left.enter()
    left.say("1")
    await refused.enter("0/closed,")
    await staying.enter()
    await eventually(lambda: left.session.reason and refused.session.reason)
    assert left.session.reason == refused.session.reason
    assert staying.session.reason is None


async def test_disconnect_by_the_server() -> None:
    """With `close` all namespaces are left, the client is told for each, and the connection ends."""
    root, other = Recorder(), Recorder()
    client = Client(make_server({"/": root, "/other": other}))
    await client.enter()
    await client.enter("0/other,")
    root.sockets[0].disconnect(close=True)
    assert client.session.take() == ["1", "1/other,"]
    assert client.session.reason is closing.FORCED_CLOSE
    await eventually(lambda: root.count("disconnected") and other.count("disconnected"))
    assert root.calls[-1] == other.calls[-1] == ("disconnected", "server namespace disconnect")
    root.sockets[0].disconnect()
    assert root.count("disconnected") == 1


async def test_disconnected_is_never_called_from_inside_disconnect() -> None:
    """An application may walk over its own sockets and disconnect them."""
    application = Recorder()
    client = Client(make_server({"/": application}))
    await client.enter()
    application.sockets[0].disconnect()
    assert application.count("disconnected") == 0
    assert not application.sockets[0].connected
    await eventually(lambda: application.count("disconnected") == 1)


async def test_a_socket_in_the_making_is_refused_not_disconnected() -> None:
    """What has no meaning before the welcome says so."""
    errors: list[str] = []

    class Hasty(Recorder):
        async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
            with pytest.raises(RuntimeError) as caught:
                socket.join("room")
            errors.append(str(caught.value))
            with pytest.raises(RuntimeError) as caught:
                socket.disconnect()
            errors.append(str(caught.value))
            return Welcome()

    client = Client(make_server({"/": Hasty()}))
    await client.enter()
    assert len(errors) == 2


async def test_welcome_with_an_id_takes_it_over() -> None:
    """The socket that has the id is gone, and the application knows, before the new one is connected."""
    application = Recorder()

    async def recover(socket: Socket, auth: Mapping[str, object]) -> Welcome:
        return Welcome(sid=cast("str", auth["sid"]), pid="p")

    application.on_connect = recover
    server = make_server({"/": application})
    first, second = Client(server), Client(server)
    assert await first.enter('0{"sid":"same"}') == '0{"sid":"same","pid":"p"}'
    assert await second.enter('0{"sid":"same"}') == '0{"sid":"same","pid":"p"}'
    assert first.session.reason is closing.FORCED_CLOSE
    kinds = [call[0] for call in application.calls]
    assert kinds == ["connect", "connected", "connect", "disconnected", "connected"]
    assert server.find("/", "same") is application.sockets[1]


async def churn(server: Server) -> weakref.ref[FakeSession]:
    """A client that enters, sends and goes; returns what would show that something of it is left."""
    client = Client(server)
    await client.enter()
    client.say('21["a"]', f'52-["a",{ONE},{ONE.replace("0", "1")}]', b"x")
    await eventually(lambda: client.session.sent)
    left = weakref.ref(client.session)
    client.vanish(closing.TRANSPORT_CLOSE)
    return left


async def test_nothing_is_left_behind() -> None:
    """After many connects and disconnects there are no tasks, timers, sockets nor garbage."""
    application = Recorder()
    server = make_server({"/": application})
    gc.collect()
    gc.disable()
    try:
        left = [await churn(server) for _ in range(200)]
        await eventually(lambda: application.count("disconnected") == 200)
        application.sockets.clear()
        await asyncio.sleep(0)
        assert sum(one() is not None for one in left) <= 1
    finally:
        gc.enable()
    shared = Client(server).connection._shared
    # The one task is the worker that waits for the next event of anybody.
    assert (len(server._tasks), len(shared.assembling), len(shared.entering)) == (1, 0, 1)
    assert server.sockets("/") == []
    assert server._spaces["/"].sockets == {}
