"""What nodes ask each other: who there is, and what each reports."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hubbub.cluster.base import Missed, Nodes, Reported, Telling
from hubbub.cluster.reports import Event, Figures, Question, Report
from hubbub.cluster.valkey import Cluster, Place, asking, frames, open_cluster
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType
from tests.cluster.implementations import NAMES, open_ports, wait_until
from tests.harness.valkey import ValkeyServer

PLACE = Place(host="192.0.2.1", port=4000, key=b"key")
OTHERS = {"b", "c"}
FIGURES = Figures(**dict.fromkeys(Figures.__struct_fields__, 1))
QUESTION = Question(events=ConnectionEvents(limit=7, ip="x"), only_of="u", busiest=True, health=True)


def report(node: str, events: int = 0) -> Report:
    """What a node reports of itself."""
    event = Event(
        type=ConnectionEventType.ERROR,
        socket_id=None,
        user_id="Füße",
        address="x" * 256,
        user_agent="🎉" * 256,
        at=1,
        details={"a": "b", "c": 1, "d": None, "e": True},
    )
    return Report(node=node, host="h", pid=1, figures=FIGURES, events=[event] * events, agents={"y": 2})


@pytest.fixture(params=NAMES)
async def alone(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    """One of the implementations, of a node without others."""
    async with open_ports(request.param) as ports:
        yield ports.nodes


async def test_a_node_that_is_alone(alone: Nodes) -> None:
    """It knows itself, and has nobody to ask."""

    async def never(_question: Question) -> Report:
        raise AssertionError

    alone.answer_with(never)
    assert await alone.names() == [alone.name]
    assert await alone.ask(Question(), set()) == []


@pytest.fixture
async def three(valkey: ValkeyServer) -> AsyncIterator[list[Cluster]]:
    """Nodes that can be found; `a` is the one to ask with."""
    async with AsyncExitStack() as stack:
        found = []
        for name in "abc":
            cluster = await open_cluster(valkey.url, node=name, place=PLACE)
            stack.push_async_callback(cluster.close)
            found.append(cluster)
        yield found


def answer(cluster: Cluster, events: int = 0) -> list[Question]:
    """Have a node report; what it is asked from now on."""
    asked: list[Question] = []

    async def give(question: Question) -> Report:
        asked.append(question)
        return report(cluster.nodes.name, events)

    cluster.nodes.answer_with(give)
    return asked


async def test_those_who_are_named_report(three: list[Cluster]) -> None:
    """They are asked word for word, the others not at all; reports come whole, the largest too."""
    asked = [answer(one, events=1000) for one in three]
    a = three[0].nodes
    assert await a.names() == ["a", "b", "c"]
    found = {one.node: one for one in await a.ask(QUESTION, OTHERS)}
    assert found == {name: report(name, 1000) for name in OTHERS}
    assert [one.node for one in await a.ask(Question(), {"c"})] == ["c"]
    assert asked == [[], [QUESTION], [QUESTION, Question()]]
    many = await asyncio.gather(*(one.nodes.ask(Question(), {"a", "b", "c"}) for one in three * 5))
    assert [len(reports) for reports in many] == [2] * 15


async def test_a_node_that_does_not_report(
    three: list[Cluster], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not waited for longer than the others have, whether it is slow, fails or is no node at all."""
    monkeypatch.setattr(asking, "PATIENCE", 0.3)

    async def hang(_question: Question) -> Report:
        await asyncio.Event().wait()
        raise AssertionError

    async def fail(_question: Question) -> Report:
        raise ValueError("a defect")

    answer(three[1])
    for behave in (hang, fail):
        three[2].nodes.answer_with(behave)
        begun = time.monotonic()
        with caplog.at_level(logging.WARNING):
            found = await three[0].nodes.ask(Question(), {*OTHERS, "nobody"})
        assert [one.node for one in found] == ["b"]
        assert time.monotonic() - begun < 5.0
        assert "c, nobody" in caplog.text
    assert not three[0].nodes._asked


async def test_a_busy_node_does_not_report(three: list[Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports give way to tellings when the queue to the bus is long."""
    monkeypatch.setattr(asking, "PATIENCE", 0.3)
    monkeypatch.setattr(asking, "_MOST_WAITING", -1)
    answer(three[1])
    assert await three[0].nodes.ask(Question(), {"b"}) == []


async def test_reports_that_nobody_waits_for(three: list[Cluster]) -> None:
    """One that is late, of a node that was not asked, or too large to be one, does no harm; nor does one that
    was lost make anybody look for messages.
    """
    a = three[0]
    told: list[Telling] = []
    a.bus.subscribe(told.append)
    channel = f"hubbub:0:{frames.node_channel('a')}"
    late = Reported(number=1, asker="a", report=report("b"))
    a.bus._hear(channel, frames.encode(("b", 9), 1, late))
    a.bus._hear(channel, frames.encode(("b", 9), 5, late))
    malformed = a.bus.heard.malformed
    large = Reported(number=1, asker="a", report=report("b", 1001))
    a.bus._hear(channel, frames.encode(("b", 9), 6, large))
    assert a.bus.heard.malformed == malformed + 1
    assert a.bus.heard.gaps == 1
    assert told == [late, late]
    assert not any(isinstance(one, Missed) for one in told)


async def test_names_without_valkey(three: list[Cluster], valkey: ValkeyServer) -> None:
    """While it is away the nodes are those that were there last; what they report does not come."""
    a = three[0]
    assert await a.nodes.names() == ["a", "b", "c"]
    valkey.kill()
    await wait_until(lambda: a.places._membership._batches.is_away, "Valkey to be missed")
    assert await a.nodes.names() == ["a", "b", "c"]
    assert await a.nodes.ask(Question(), OTHERS) == []
    valkey.start()
