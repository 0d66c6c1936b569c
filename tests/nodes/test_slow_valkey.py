"""The rate of messages over several nodes, and that nobody who sends waits for a Valkey that answers late."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.clients import Client, Json
from tests.harness.users import new_user
from tests.harness.valkey import ValkeyServer
from tests.harness.world import PYTHON_MODES
from tests.lossless.proxy import Pipe, Proxy, Weather
from tests.nodes import patient
from tests.nodes.several import AGAIN, Several, counted_alone, counted_together, several
from tests.postgres import Postgres

RATE = 25
"""How many messages a user may send in ten minutes."""


class Slow:
    """Three nodes, and their way to Valkey."""

    def __init__(self, nodes: Several, proxy: Proxy) -> None:
        self.nodes = nodes
        self.proxy = proxy

    def hold(self) -> None:
        """Let no answer of Valkey through."""
        self.proxy.become(lambda: (Weather(), Weather(hold=True)))

    def answers(self) -> dict[Pipe, int]:
        """How many bytes of answers have come through, by connection."""
        return {pipe: pipe.down.passed for pipe in self.proxy.pipes if pipe.down.passed}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def slow(
    postgres_server: Postgres, shared_valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Slow]:
    """Nodes that would wait for Valkey for as long as it takes."""
    folder, database = tmp_path_factory.mktemp("slow"), (postgres_server, postgres_server.create())
    proxy = Proxy([shared_valkey.path])
    await proxy.start()
    try:
        url, rates = f"redis://127.0.0.1:{proxy.port}/1", {"message_rate": f"{RATE}/10m"}
        rates["request_rate"] = "6000/1m"
        async with several(folder, database, url, 3, patient.PROGRAM, **rates) as nodes:
            yield Slow(nodes, proxy)
            proxy.heal()
    finally:
        await proxy.close()


async def say_until_refused(nodes: Several) -> tuple[list[Json], list[Json]]:
    """What a user is answered who sends on all nodes, by many sockets and all transports at once, more than
    may be sent; and what is stored of it.
    """
    user = new_user()
    chat_id = await nodes.chat_of(user)
    clients = [await world.connect(user, mode) for world in nodes.worlds for mode in PYTHON_MODES]
    message = {"chatId": chat_id, "content": "hello"}

    async def send(client: Client) -> list[Json]:
        return [await client.request("message:send", message, AGAIN) for _ in range(RATE // 4)]

    told = await asyncio.gather(*map(send, clients))
    for client in clients:
        await client.disconnect()
    stored = await nodes.worlds[1].rest.history(user, chat_id)
    return [answer for answers in told for answer in answers], stored


def check(answers: list[Json], stored: list[Json]) -> None:
    """Exactly as many were sent as may be; all others were told to wait."""
    sent = [answer["sentMessage"]["id"] for answer in answers if answer["success"]]
    assert len(sent) == RATE < len(answers)
    assert sorted(sent) == sorted(message["id"] for message in stored)
    refused = [answer for answer in answers if not answer["success"]]
    assert {answer["code"] for answer in refused} == {"RATE_LIMITED"}
    assert all(0 < answer["retryAfter"] <= 600 for answer in refused)


async def test_the_rate_is_one_over_all_nodes(slow: Slow) -> None:
    """Neither more sockets nor more nodes nor other transports let anybody send more."""
    check(*await counted_together(slow.nodes, lambda: say_until_refused(slow.nodes)))


async def test_nobody_who_sends_waits_for_valkey(slow: Slow) -> None:
    """While not one of its answers comes through, messages are acknowledged, and found in the log for those
    who should hear them: those of members in the room, of those who have come just now and are not in
    it, and of one who was typing. Each node keeps to the rate alone; all together, once Valkey answers again.
    """
    nodes = slow.nodes
    typist, *others = [new_user() for _ in range(4)]
    chat_id, clients = await nodes.room_of(typist, *others)
    outside = [new_user("outside") for _ in range(3)]
    for user in outside:
        await nodes.worlds[0].rest.add(typist, chat_id, user)
    # On the typist's node.
    watching = clients.pop()
    await clients[0].done("message:typing", {"chatId": chat_id, "isTyping": True})
    await watching.wait("user:typing", userId=typist.id, isTyping=True)
    alone = await counted_alone(nodes)
    slow.hold()
    answers = slow.answers()
    newcomers = await asyncio.gather(*map(nodes.connect, range(3), outside))
    await asyncio.gather(*(say(client, chat_id, RATE) for client in [*clients, *newcomers]))
    refused = await clients[0].refused("message:send", {"chatId": chat_id, "content": "too much"})
    assert refused["code"] == "RATE_LIMITED"
    for client in [*clients, watching]:
        heard = await client.inbox.wait_count("message:new", 6 * RATE, AGAIN)
        assert [message["seq"] for message in heard] == list(range(1, 6 * RATE + 1))
    assert all(passed == answers.get(pipe) for pipe, passed in slow.answers().items())
    assert await counted_alone(nodes) > alone

    slow.proxy.heal()
    await watching.wait("user:typing", timeout=AGAIN, userId=typist.id, isTyping=False)
    check(*await counted_together(nodes, lambda: say_until_refused(nodes)))


async def say(client: Client, chat_id: str, count: int) -> None:
    """Send one message after the other."""
    for number in range(count):
        await client.say(chat_id, f"{number} of {client.user.username}")
