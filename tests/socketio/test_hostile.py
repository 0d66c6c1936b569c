"""Hostile packets end the connection that sent them and nothing else, shown over real connections."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from hubbub.engineio import EngineConfig
from hubbub.socketio import Server, ServerConfig
from hubbub.socketio.packets import decode
from hubbub.socketio.payloads import PacketError
from tests.socketio.fakes import Recorder, eventually, make_server
from tests.socketio.harness import RawClient, serving
from tests.socketio.hostile import BEFORE_CONNECT, ONE, REFUSED, Frames, Row

module_loop = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """A running server, its application, and a client that must not notice anything."""

    server: Server
    application: Recorder
    address: str
    bystander: RawClient

    async def check_unharmed(self) -> None:
        """Whoever is gone is gone completely; the bystander is served."""
        await eventually(lambda: len(self.server.engine.sessions) == 1)
        await eventually(
            lambda: self.application.count("connected") == 1 + self.application.count("disconnected")
        )
        assert len(self.server.sockets("/")) == 1
        assert await self.bystander.ask('21["hello"]') == "31[]"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place() -> AsyncIterator[Place]:
    """One server for all rows."""
    application = Recorder()
    server = Server(ServerConfig(EngineConfig()), {"/": application, "/other": Recorder()})
    async with serving(server) as address, RawClient(address) as bystander:
        await bystander.ask("0")
        yield Place(server, application, address, bystander)


@pytest.mark.parametrize("row", [row for row in REFUSED if row.codec], ids=str)
def test_codec_refuses(row: Row) -> None:
    """What is malformed in itself is refused by the pure codec, with `PacketError` and nothing else."""
    first = row.frames[0]
    assert isinstance(first, str)
    with pytest.raises(PacketError):
        decode(first)


@module_loop
@pytest.mark.parametrize("row", REFUSED, ids=str)
async def test_closes_the_connection(place: Place, row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Every row ends its connection with 1002 "parse error" and one line in the log at most, no traceback."""
    with caplog.at_level(logging.DEBUG, logger="hubbub"):
        async with RawClient(place.address) as attacker:
            await attacker.ask("0")
            await attacker.send(*row.frames, '2["too late"]')
            assert await attacker.closed() == (1002, "parse error")
        await place.check_unharmed()
    records = [record for record in caplog.records if record.name.startswith("hubbub")]
    assert len(records) <= 1
    assert not any(record.exc_info for record in records)
    assert "too late" not in place.application.names()


@module_loop
@pytest.mark.parametrize("frames", BEFORE_CONNECT, ids=lambda frames: ascii(frames[0]))
async def test_nothing_before_connect(place: Place, frames: Frames) -> None:
    """40: a session that begins with anything but CONNECT is closed, and nothing is kept for it."""
    async with RawClient(place.address) as attacker:
        await attacker.send(*frames)
        assert await attacker.closed() == (1002, "parse error")
    await place.check_unharmed()


@module_loop
@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param('2["' + "a" * 128 + '"]', [], id="45: a name of 128 bytes"),
        pytest.param('29007199254740991["a"]', ["39007199254740991[]"], id="51: the greatest ack id"),
        pytest.param("399[]", [], id="53: a forged ACK"),
        pytest.param(f"61-99[{ONE}]", [], id="53: a forged binary ACK"),
        pytest.param(
            "0/unknown,{}", ['4/unknown,{"message":"Invalid namespace"}'], id="56: unknown namespace"
        ),
        pytest.param("0/a?q", ['4/a?q,{"message":"Invalid namespace"}'], id="58: namespace with a query"),
        pytest.param('21["a",9007199254740993]', ["31[9007199254740993]"], id="75: an integer past 2^53"),
        pytest.param('21["a",18446744073709551616]', ["31[18446744073709551616]"], id="75: past 2^64"),
        pytest.param('21["a",{"__proto__":{"x":1}}]', ['31[{"__proto__":{"x":1}}]'], id="79: opaque keys"),
        pytest.param(
            r'21["a","\u0000\ud83d\ude00"]', [r'31["\u0000😀"]'], id="77: text is the application's"
        ),
    ],
)
async def test_lives_on(place: Place, sent: str, answers: list[str]) -> None:
    """What is odd but allowed is answered, or ignored, and the connection goes on."""
    async with RawClient(place.address) as client:
        await client.ask("0")
        await client.send(sent, b"x") if sent.startswith("6") else await client.send(sent)
        for answer in answers:
            assert await client.next() == answer
        assert await client.ask('22["still here"]') == "32[]"
    await place.check_unharmed()


@module_loop
async def test_reused_ack_ids_are_both_answered(place: Place) -> None:
    """52: two events with the same ack id are two events, and each gets its acknowledgement."""
    async with RawClient(place.address) as client:
        await client.ask("0")
        await client.send('25["a",1]', '25["a",2]')
        assert [await client.next(), await client.next()] == ["35[1]", "35[2]"]


@module_loop
async def test_many_values_are_refused(place: Place) -> None:
    """81: a packet has a bounded number of values, since each takes far more memory parsed than sent."""
    keys = ",".join(f'"{number}":0' for number in range(9_000))
    commas = '","' * 20_000
    async with RawClient(place.address) as client:
        await client.ask("0")
        assert await client.ask(f'21["a",{{{keys}}}]') == f"31[{{{keys}}}]"
        await client.send(f'21["a",[{",".join(["{}"] * 10_000)}]]')
        assert (await client.closed())[0] == 1002
    async with RawClient(place.address) as client:
        await client.ask("0")
        assert str(await client.ask(f'21["a","{"," * 20_000}"]')).startswith("31["), "text is no values"
        await client.send(f'21["a",["{commas}"]]')
        assert (await client.closed())[0] == 1002


@module_loop
@pytest.mark.parametrize("packet", ["3999[]", '2/other,["a"]'])
async def test_frames_without_effect_are_counted(place: Place, packet: str) -> None:
    """53: what leads nowhere, by the ten thousand, ends the connection."""
    async with RawClient(place.address) as client:
        await client.ask("0")
        await client.ask("0/other,")
        await client.send("1/other,")
        await client.send(*[packet] * 10_001)
        assert (await client.closed())[0] == 1008


@module_loop
async def test_costly_numbers_are_numbers(place: Place) -> None:
    """73: numbers at the ends of a double's range are read, those beyond refused."""
    async with RawClient(place.address) as client:
        await client.ask("0")
        assert await client.ask('21["a",1e308,-1e308,5e-324]') == "31[1e308,-1e308,5e-324]"
        await client.send('21["a",1e400]')
        assert (await client.closed())[0] == 1002


@module_loop
async def test_closes_a_polling_session(place: Place) -> None:
    """Over polling the end is a CLOSE packet; what came earlier in the same payload was handled."""
    url = f"http://{place.address}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http:

        async def ask(method: str, data: str | None = None) -> tuple[int, str]:
            async with http.request(method, url, data=data) as answer:
                return answer.status, await answer.text()

        _, opened = await ask("GET")
        url += "&sid=" + json.loads(opened[1:])["sid"]
        await ask("POST", "40")
        _, welcome = await ask("GET")
        assert welcome.startswith("40{")
        await ask("POST", '42["first"]\x1e42{}\x1e42["too late"]')
        assert await ask("GET") == (200, "1")
        assert (await ask("GET"))[0] == 400
    await place.check_unharmed()
    assert "first" in place.application.names()
    assert "too late" not in place.application.names()


async def test_no_connect_in_time() -> None:
    """41: a session without a namespace is closed when its time is over; one in a namespace stays."""
    server = make_server({"/": Recorder()}, connect_timeout=0.1)
    async with serving(server) as address, RawClient(address) as idle, RawClient(address) as good:
        await good.ask("0")
        assert await idle.closed() == (1008, "connect timeout")
        assert await good.ask('21["a"]') == "31[]"


async def test_stalled_attachments() -> None:
    """67: attachments that were announced and do not come end the connection; nothing of them is kept."""
    server = make_server({"/": Recorder()}, attachment_timeout=0.1)
    async with serving(server) as address, RawClient(address) as slow, RawClient(address) as good:
        await slow.ask("0")
        await good.ask("0")
        await slow.send(f'52-["a",{ONE},{ONE.replace("0", "1")}]', b"x")
        await good.send(f'51-1["a",{ONE}]', b"x")
        assert [await good.next(), await good.next()] == [f"61-1[{ONE}]", b"x"]
        assert await slow.closed() == (1002, "parse error")
        assert await good.ask('22["a"]') == "32[]"
