"""The load generator believes no server and not itself either."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import run
from benchmarks.load.crowd import Crowd
from benchmarks.load.member import LoadError, Member
from benchmarks.load.plan import Plan, Tally
from benchmarks.load.verdict import disturbances, objections
from benchmarks.processes import ROOT, serving

Drive = Callable[[str], Tally]
MEMBERS = 8

GOOD = Tally(
    seconds=2.0,
    deliveries=1000,
    messages=100,
    server_cpu=2.0,
    server_waited=0.0,
    own_cpu=1.0,
    own_waited=0.0,
    taken=0.0,
    sent=150,
    acknowledged=150,
    broadcast=150,
    lost=0,
    repeated=0,
    swapped=0,
)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Send through a server with the named fault for a moment."""
    monkeypatch.setattr(run, "_SILENT_SECONDS", 0.02)
    monkeypatch.setattr(run, "_SETTLE_SECONDS", 0.3)

    def carry_out(fault: str) -> Tally:
        command = (sys.executable, str(Path(__file__).with_name("faulty_server.py")), fault)
        with serving(command, tmp_path, None, {**os.environ, "PYTHONPATH": str(ROOT)}) as address:
            auths: tuple[dict[str, str], ...] = ({},) * MEMBERS
            plan = Plan(address.host, address.port, address.process, "room", auths, 2, warm=0.1, measure=0.3)
            return run.carry_out(plan, os.getpid())

    return carry_out


def test_counts_add_up_when_the_server_is_right(drive: Drive) -> None:
    """Every member gets every message once, in order, however the bytes are cut up."""
    tally = drive("dribble")
    assert (tally.lost, tally.repeated, tally.swapped, tally.problems) == (0, 0, 0, ())
    assert tally.sent == tally.acknowledged == tally.broadcast > 20
    assert tally.deliveries == pytest.approx(MEMBERS * tally.messages, abs=MEMBERS * 4)


@pytest.mark.parametrize(
    ("fault", "counts", "objection"),
    [
        ("lose", (1, 0, 0), "1 deliveries lost"),
        ("repeat", (0, 1, 0), "1 deliveries delivered twice"),
        ("swap", (0, 0, 1), "1 deliveries out of order"),
        ("lose_for_all", (MEMBERS, 0, 0), f"{MEMBERS} deliveries lost"),
    ],
)
def test_a_single_wrong_delivery_is_noticed(
    drive: Drive, fault: str, counts: tuple[int, int, int], objection: str
) -> None:
    """One lost, repeated or swapped delivery to one of the members makes the result invalid and is named."""
    tally = drive(fault)
    assert (tally.lost, tally.repeated, tally.swapped) == counts
    assert objection in objections(tally)
    assert tally.sent > 40, "the others went on"


def test_a_closed_connection_ends_the_measurement(drive: Drive) -> None:
    """A server that drops a client has not delivered: there is no tally to print."""
    with pytest.raises(LoadError, match=r"the connection of member \d ended: closed by the server"):
        drive("cut")


def test_a_slow_load_generator_says_so(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Correct counts do not help when the clients kept the server waiting."""
    read = Crowd._read

    def slowly(crowd: Crowd, member: Member) -> None:
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        read(crowd, member)

    monkeypatch.setattr(Crowd, "_read", slowly)
    tally = drive("dribble")
    assert tally.lost == tally.repeated == tally.swapped == 0
    assert [text for text in disturbances(tally) if "load generator was the bottleneck" in text]


@pytest.mark.parametrize(
    ("tally", "disturbed"),
    [
        (GOOD, ""),
        (replace(GOOD, own_cpu=1.98), ""),
        (replace(GOOD, own_cpu=1.98, server_cpu=1.0), "bottleneck"),
        (replace(GOOD, own_cpu=1.0, own_waited=0.98, server_cpu=1.0), "bottleneck"),
        (replace(GOOD, own_cpu=1.98, server_cpu=1.0, server_waited=0.9), ""),
        (replace(GOOD, taken=0.1), ""),
        (replace(GOOD, taken=0.3), "other programs took 15% of the server's core"),
    ],
)
def test_speed_counts_when_it_is_the_servers(tally: Tally, disturbed: str) -> None:
    """The load generator had time left, or the server had none, and nobody else was on its core."""
    assert disturbed in " ".join(disturbances(tally))
    assert bool(disturbances(tally)) == bool(disturbed)
    assert not objections(tally)


@pytest.mark.parametrize(
    ("tally", "wrong"),
    [
        (GOOD, ""),
        (replace(GOOD, acknowledged=149), "150 messages sent but 149 acknowledged"),
        (replace(GOOD, broadcast=151), "150 messages sent but 151 broadcast"),
        (replace(GOOD, deliveries=0), "nothing was delivered"),
        (replace(GOOD, problems=("member 3 was refused",)), "member 3 was refused"),
    ],
)
def test_all_counts_agree(tally: Tally, wrong: str) -> None:
    """What was sent was acknowledged and broadcast, no more and no less."""
    assert wrong in " ".join(objections(tally))
    assert bool(objections(tally)) == bool(wrong)
