"""The load generator believes no server and not itself either."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import rooms, run
from benchmarks.load.client import LoadError
from benchmarks.load.crowd import Crowd
from benchmarks.load.member import Member
from benchmarks.load.plan import Counts, Effort, Endpoint, Room, RoomsPlan, Tally
from benchmarks.load.transcript import Deviation, Transcript
from benchmarks.load.verdict import disturbances, wrong_counts
from benchmarks.processes import ROOT, serving

Drive = Callable[..., Tally]
MEMBERS = 8

QUIET = Effort(seconds=2.0, server_cpu=2.0, server_waited=0.0, own_cpu=1.0, own_waited=0.0, taken=0.0)
RIGHT = Counts(sent=150, acknowledged=150, broadcast=150, lost=0, repeated=0, swapped=0)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Send through a server with the named fault for a moment."""
    monkeypatch.setattr(rooms, "_SILENT_SECONDS", 0.02)
    monkeypatch.setattr(rooms, "_SETTLE_SECONDS", 2.0)

    def carry_out(fault: str, count: int = 1) -> Tally:
        command = (sys.executable, str(Path(__file__).with_name("faulty_server.py")), fault)
        with serving(command, tmp_path, None, {**os.environ, "PYTHONPATH": str(ROOT)}) as address:
            endpoint = Endpoint(address.host, address.port, address.process)
            auths: tuple[dict[str, str], ...] = ({},) * MEMBERS
            chats = tuple(Room(f"room {number}", auths) for number in range(count))
            plan = RoomsPlan(endpoint, chats, senders=2, warm=0.1, measure=0.3)
            return run.carry_out(plan, os.getpid())

    return carry_out


@pytest.mark.parametrize("count", [1, 3])
def test_counts_add_up_when_the_server_is_right(drive: Drive, count: int) -> None:
    """Every member of every room gets every message once, in order, however the bytes are cut up."""
    tally = drive("dribble", count)
    assert not tally.problems
    assert tally.counts is not None
    assert tally.counts.sent == tally.counts.acknowledged == tally.counts.broadcast > 7
    messages = tally.figures["messages"]
    assert tally.figures["deliveries"] == pytest.approx(MEMBERS * messages, abs=MEMBERS * 4 * count)


@pytest.mark.parametrize(
    ("fault", "counts", "objection"),
    [
        ("lose", (1, 0, 0), "1 deliveries lost"),
        ("repeat", (0, 1, 0), "1 deliveries delivered twice"),
        ("swap", (0, 0, 1), "1 deliveries out of order"),
        ("lose_for_all", (MEMBERS, 0, 0), f"{MEMBERS} deliveries lost"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_single_wrong_delivery_is_noticed(
    drive: Drive, count: int, fault: str, counts: tuple[int, int, int], objection: str
) -> None:
    """One lost, repeated or swapped delivery to one of the members makes the result invalid and is named, one
    room or several.
    """
    tally = drive(fault, count)
    found = tally.counts
    assert found is not None
    assert (found.lost, found.repeated, found.swapped) == counts
    assert objection in tally.problems
    assert found.sent > 7, "the others went on"


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
    assert not tally.problems
    assert [text for text in disturbances(tally.effort) if "load generator was the bottleneck" in text]


@pytest.mark.parametrize(
    ("effort", "disturbed"),
    [
        (QUIET, ""),
        (replace(QUIET, own_cpu=1.98), ""),
        (replace(QUIET, own_cpu=1.98, server_cpu=1.0), "bottleneck"),
        (replace(QUIET, own_cpu=1.0, own_waited=0.98, server_cpu=1.0), "bottleneck"),
        (replace(QUIET, own_cpu=1.98, server_cpu=1.0, server_waited=0.9), ""),
        (replace(QUIET, taken=0.1), ""),
        (replace(QUIET, taken=0.3), "other programs took 15% of the server's core"),
    ],
)
def test_speed_counts_when_it_is_the_servers(effort: Effort, disturbed: str) -> None:
    """The load generator had time left, or the server had none, and nobody else was on its core."""
    assert disturbed in " ".join(disturbances(effort))
    assert bool(disturbances(effort)) == bool(disturbed)


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        (RIGHT, ""),
        (replace(RIGHT, acknowledged=149), "150 messages sent but 149 acknowledged"),
        (replace(RIGHT, broadcast=151), "150 messages sent but 151 broadcast"),
        (replace(RIGHT, sent=0, acknowledged=0, broadcast=0), "nothing was delivered"),
    ],
)
def test_all_counts_agree(counts: Counts, wrong: str) -> None:
    """What was sent was acknowledged and broadcast, no more and no less."""
    assert wrong in " ".join(wrong_counts(counts))
    assert bool(wrong_counts(counts)) == bool(wrong)


class _Reading:
    """One member's place in a transcript."""

    position = 0
    tail = b""
    deviation: Deviation | None = None


def test_late_messages_of_one_that_deviates() -> None:
    """They are counted, also where their bytes are what the transcript begins with."""
    frames = [b'{"seq":%d,"clientMessageId":"7-%d"}' % (number, number) for number in (1, 2, 3)]
    transcript, early, late = Transcript(), _Reading(), _Reading()
    transcript.accept(late, frames[2])
    for frame in frames[:2]:
        transcript.accept(early, frame)
    for frame in frames[:2]:
        assert not transcript.data.startswith(frame, late.position), "as the load generator looks first"
        assert transcript.rewind(late) == b""
        transcript.accept(late, frame)
    assert (transcript.received(late), transcript.lost(late, 3)) == (3, 0)
