"""Storms, signals and schedules: one thing too few or too many makes the result invalid."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.load import connects, idle, latency, presence, recovery, run, signals
from benchmarks.load.arrivals import Newcomer
from benchmarks.load.client import LoadError
from benchmarks.load.plan import (
    ConnectPlan,
    Endpoint,
    IdlePlan,
    LatencyPlan,
    Plan,
    PresencePlan,
    RecoveryPlan,
    Room,
    SignalsPlan,
    Tally,
)
from benchmarks.load.verdict import disturbances, overworked
from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, serving

Carry = Callable[[str, Callable[[Endpoint], Plan]], Tally]
USERS = tuple({"userId": f"user-{number}"} for number in range(8))
ROOMS = (Room("one", USERS[:4]), Room("two", USERS[4:]))


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come soon does not come."""
    for module, name, seconds in (
        (connects, "_CONNECT_SECONDS", 1.5),
        (connects, "_SILENCE_SECONDS", 0.1),
        (idle, "_SILENCE_SECONDS", 0.1),
        (latency, "_SETTLE_SECONDS", 0.5),
        (presence, "_SILENCE_SECONDS", 0.3),
        (recovery, "_RETURN_SECONDS", 1.0),
        (signals, "_SETTLE_SECONDS", 0.5),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def carry(tmp_path: Path) -> Carry:
    """Carry out a plan at a server with a fault."""

    @contextmanager
    def staged(script: str, fault: str) -> Iterator[Endpoint]:
        command = (sys.executable, str(Path(__file__).with_name(script)), fault)
        with serving(command, tmp_path, None, {**os.environ, "PYTHONPATH": str(ROOT)}) as address:
            yield Endpoint(address.host, address.port, address.process)

    def carry_out(fault: str, make: Callable[[Endpoint], Plan]) -> Tally:
        script, _, kind = fault.rpartition(":")
        with staged(script or "stage_server.py", kind) as endpoint:
            return run.carry_out(make(endpoint), os.getpid())

    return carry_out


def signalling(endpoint: Endpoint) -> Plan:
    """Typing and receipts."""
    return SignalsPlan(endpoint, ROOMS, messages=800, warm=0.05, measure=0.1)


def scheduled(endpoint: Endpoint) -> Plan:
    """40 messages, a hundred a second."""
    return LatencyPlan(endpoint, ROOMS, rate=100, warm=0.1, measure=0.4)


def recovering(endpoint: Endpoint) -> Plan:
    """Three of each room return."""
    return RecoveryPlan(endpoint, ROOMS, messages=5, in_flight=2)


def coming_and_going(endpoint: Endpoint) -> Plan:
    """Eight users."""
    return PresencePlan(endpoint, ROOMS, in_flight=2, to_chats=False, grace=0.0)


def connecting(endpoint: Endpoint) -> Plan:
    """Eight clients, three at a time."""
    return ConnectPlan(endpoint, USERS, in_flight=3)


def idling(endpoint: Endpoint) -> Plan:
    """Eight clients that do nothing."""
    return IdlePlan(endpoint, USERS, in_flight=3, seconds=0.1)


@pytest.mark.parametrize(
    ("make", "figure"),
    [
        (signalling, "requests"),
        (scheduled, "p99"),
        (recovering, "all"),
        (coming_and_going, "told"),
        (connecting, "clients"),
        (idling, "clients"),
    ],
)
def test_nothing_is_wrong_where_nothing_is(
    carry: Carry, make: Callable[[Endpoint], Plan], figure: str
) -> None:
    """A server that does everything right has no objection against it, and figures."""
    tally = carry("none", make)
    assert not tally.problems
    assert tally.figures[figure] > 0


@pytest.mark.parametrize(
    ("fault", "make", "wrong"),
    [
        ("lose_typing", signalling, "of user:typing where there should be"),
        ("repeat_typing", signalling, "of user:typing where there should be"),
        ("lose_read", signalling, "of message:read where there should be"),
        ("unanswered", signalling, "of 43/chat, where there should be"),
        ("refuse", signalling, 'of success":true where there should be'),
        ("faulty_server.py:lose", scheduled, "1 deliveries lost"),
        ("faulty_server.py:repeat", scheduled, "1 deliveries delivered twice"),
        ("faulty_server.py:swap", scheduled, "1 deliveries out of order"),
        ("lose_missed", recovering, "1 missed messages lost"),
        ("repeat_missed", recovering, "missed messages delivered twice"),
        ("swap_missed", recovering, "missed messages"),
        ("lose_offline", coming_and_going, "user 0 was not told of 1 who left"),
        ("repeat_offline", coming_and_going, "user 0 was told twice of 1 who left"),
    ],
)
def test_a_single_fault_is_noticed(
    carry: Carry, fault: str, make: Callable[[Endpoint], Plan], wrong: str
) -> None:
    """One thing lost, repeated, out of order or unanswered, to one client, is named."""
    assert wrong in " ".join(carry(fault, make).problems)


@pytest.mark.parametrize(
    ("fault", "make", "wrong"),
    [
        ("mute", connecting, "only 7 of 8 clients were let in in time"),
        ("welcome_twice", connecting, "client 2 was let in twice"),
        ("unrecovered", recovering, "was not recovered"),
    ],
)
def test_who_does_not_come_in_ends_the_measurement(
    carry: Carry, fault: str, make: Callable[[Endpoint], Plan], wrong: str
) -> None:
    """There is no figure for a storm in which somebody was left out in the rain."""
    with pytest.raises(LoadError, match=wrong):
        carry(fault, make)


def test_slow_clients_say_so(carry: Carry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load generator that does not keep up is what was measured, in a storm and on a schedule."""
    process = Newcomer.process

    def slowly(client: Newcomer, received: bytes) -> None:
        until = time.thread_time() + 0.005
        while time.thread_time() < until:
            pass
        process(client, received)

    monkeypatch.setattr(Newcomer, "process", slowly)
    assert "load generator was the bottleneck" in " ".join(disturbances(carry("none", connecting).effort))
    assert "load generator was the bottleneck" in " ".join(overworked(carry("none", scheduled).effort))


@pytest.mark.parametrize("name", ["hubbub", "node", "python-socketio"])
def test_every_peer_lets_in_by_polling_and_upgrade(name: str, tmp_path: Path) -> None:
    """The way of the stock client leads into each of the real servers."""
    peer = PEERS[name]
    if reason := peer.missing():
        pytest.skip(reason)
    with peer.serve(tmp_path, None, frozenset()) as venue:
        plan = ConnectPlan(venue.endpoint, venue.users(5), in_flight=2, polling=True)
        assert run.carry_out(plan, os.getpid()).figures["clients"] == 5
