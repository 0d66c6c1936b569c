"""The server as a whole: closing it, and telling what was refused."""

import asyncio

import aiohttp

from hubbub.engineio import EngineConfig, closing
from hubbub.socketio import Ack, Server, ServerConfig, Socket
from tests.socketio.fakes import Client, Recorder, eventually, make_server
from tests.socketio.harness import RawClient, serving


async def test_close_all_tells_everybody() -> None:
    """Clients are told by the close code, the applications by `disconnected`; no task is left."""
    application = Recorder()
    server = make_server({"/": application})
    async with serving(server) as address, RawClient(address) as client, RawClient(address):
        await client.ask("0")
        closing_down = asyncio.create_task(server.close_all(timeout=1.0))
        assert await client.closed() == (1012, "server shutting down")
        await closing_down
    assert application.calls[-1] == ("disconnected", "server shutting down")
    assert len(server._tasks) == 0


async def test_close_all_lets_handlers_end() -> None:
    """A handler has its time; one that takes longer is cancelled, and the end is told anyway."""
    application = Recorder()
    ended: list[str] = []
    never = asyncio.Event()

    async def work(socket: Socket, name: str, args: list[object]) -> Ack:
        await (asyncio.sleep(0.02) if name == "short" else never.wait())
        ended.append(name)
        return None

    application.on_event = work
    server = make_server({"/": application})
    short, long = Client(server), Client(server)
    await short.enter()
    await long.enter()
    short.say('2["short"]')
    long.say('2["long"]', '2["never begun"]')
    await eventually(lambda: len(application.names()) == 2)
    short.vanish(closing.SERVER_SHUTDOWN)
    long.vanish(closing.SERVER_SHUTDOWN)
    await server.close_all(timeout=0.1)
    assert ended == ["short"]
    assert application.names() == ["short", "long"]
    assert application.count("disconnected") == 2
    assert len(server._tasks) == 0


async def test_draining_refuses_newcomers_and_tells_who() -> None:
    """Open sessions go on; refused requests are reported with address and user agent."""
    refused: list[tuple[str, str, str]] = []
    application = Recorder()
    server = Server(ServerConfig(EngineConfig()), {"/": application}, lambda *facts: refused.append(facts))
    async with serving(server) as address, RawClient(address) as client, aiohttp.ClientSession() as http:
        await client.ask("0")
        server.stop_accepting()
        url = f"http://{address}/socket.io/?EIO=4&transport=polling"
        async with http.get(url, headers={"User-Agent": "late"}) as answer:
            assert answer.status == 503
        assert await client.ask('21["a"]') == "31[]"
    assert [(facts[0], facts[1]) for facts in refused] == [("127.0.0.1", "late")]
