"""What a bus promises within one node."""

import logging
from collections.abc import AsyncIterator

import pytest

from hubbub.cluster.base import Bus, CutOff, Telling
from tests.cluster.implementations import NAMES, open_ports


@pytest.fixture(params=NAMES)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """One of the implementations."""
    async with open_ports(request.param) as ports:
        yield ports.bus


def telling(name: str) -> CutOff:
    """Something to tell."""
    return CutOff(user_id=name)


async def test_everybody_is_told_in_the_order_of_publishing(bus: Bus) -> None:
    """All subscribers get everything, in one order."""
    first: list[Telling] = []
    second: list[Telling] = []
    bus.subscribe(first.append)
    bus.subscribe(second.append)
    told = [telling(str(number)) for number in range(50)]
    for one in told:
        bus.publish(one)
    assert first == told
    assert second == told


async def test_a_subscriber_hears_nothing_from_before(bus: Bus) -> None:
    """What was told before a subscription is gone."""
    heard: list[Telling] = []
    bus.publish(telling("early"))
    bus.subscribe(heard.append)
    bus.publish(telling("late"))
    assert heard == [telling("late")]


async def test_what_a_subscriber_publishes_comes_behind_what_it_is_told(bus: Bus) -> None:
    """A telling that answers another reaches everybody after it, also those who are told later."""
    orders: list[list[str]] = [[], []]

    def answer(one: Telling) -> None:
        assert isinstance(one, CutOff)
        orders[0].append(one.user_id)
        if len(one.user_id) < 3:
            bus.publish(telling(one.user_id + "x"))

    def listen(one: Telling) -> None:
        assert isinstance(one, CutOff)
        orders[1].append(one.user_id)

    bus.subscribe(answer)
    bus.subscribe(listen)
    bus.publish(telling("a"))
    bus.publish(telling("b"))
    assert orders == [["a", "ax", "axx", "b", "bx", "bxx"]] * 2


async def test_watching_is_confirmed(bus: Bus) -> None:
    """Whoever watches a chat is told when it is certain to be heard, again too, and may stop at any time."""
    await bus.watch("c")
    await bus.watch("c")
    bus.unwatch("c")
    bus.unwatch("c")
    await bus.watch("c")


async def test_a_failing_subscriber_harms_nobody_else(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber that raises is logged; publishing goes on for the others, now and later."""
    heard: list[Telling] = []

    def fail(one: Telling) -> None:
        raise ValueError("a defect")

    bus.subscribe(fail)
    bus.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(telling("a"))
        bus.publish(telling("b"))
    assert heard == [telling("a"), telling("b")]
    assert len([one for one in caplog.records if "subscriber" in one.message]) == 2
