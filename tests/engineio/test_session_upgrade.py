"""The session without I/O: how it upgrades, spec section "Upgrade"."""

import pytest

from hubbub.engineio import PacketError, Session, closing, upgrade
from hubbub.engineio.packets import PROBE_ANSWER
from tests.engineio.fakes import SMALL, FakeHost, FakeWire, open_session


def probed(host: FakeHost) -> tuple[Session, FakeWire, FakeWire]:
    """A session whose candidate has sent its probe."""
    session, polling = open_session(host)
    candidate = FakeWire("websocket")
    assert upgrade.offer(session, candidate)
    assert upgrade.probe(session, "2probe") is PROBE_ANSWER
    return session, polling, candidate


def test_upgrade() -> None:
    """Probe, release of the poll, UPGRADE; what is queued then leaves by the new wire, in order."""
    host = FakeHost()
    session, polling, candidate = probed(host)
    assert polling.calls == ["release"]
    assert session.transport == "polling"
    session.send(SMALL)
    assert upgrade.probe(session, "5") is None
    assert session.transport == "websocket"
    host.turn()
    assert set(candidate.calls) == {"flush"}
    assert session.take_all() == [SMALL]


@pytest.mark.parametrize(
    "packets", [["5"], ["2"], ["3probe"], ["4x"], ["2probe", "2probe"], ["2probe", "5x"], ["x"]]
)
def test_probe_refuses_all_else(packets: list[str]) -> None:
    """Anything but probe and UPGRADE in this order is refused, and polling goes on (hostile input 36)."""
    host = FakeHost()
    session, _ = open_session(host)
    upgrade.offer(session, FakeWire("websocket"))
    for packet in packets[:-1]:
        upgrade.probe(session, packet)
    with pytest.raises(PacketError):
        upgrade.probe(session, packets[-1])
    session.abandon_upgrade()
    assert session.transport == "polling"
    assert upgrade.offer(session, FakeWire("websocket")), "another attempt may follow"


def test_one_upgrade_at_a_time() -> None:
    """A second candidate is refused while one is under way, and afterwards (hostile inputs 13, 38)."""
    session, _, _ = probed(FakeHost())
    assert not upgrade.offer(session, FakeWire("websocket"))
    upgrade.probe(session, "5")
    assert not upgrade.offer(session, FakeWire("websocket"))


def test_no_upgrade_during_a_post() -> None:
    """A client must have its POST answered before it upgrades, or its messages could change places."""
    session, _, _ = probed(FakeHost())
    session.posting = True
    with pytest.raises(PacketError):
        upgrade.probe(session, "5")


def test_pausing_survives_the_upgrade() -> None:
    """The new wire is paused, too, when the application takes no more."""
    session, polling, candidate = probed(FakeHost())
    session.pause_reading()
    upgrade.probe(session, "5")
    assert polling.calls == ["release", "pause", "release"]
    assert candidate.calls == ["pause"]


def test_the_failing_session_takes_the_candidate_along() -> None:
    """A session that breaks off during an upgrade closes the candidate."""
    host = FakeHost()
    session, _, candidate = probed(host)
    session.fail(closing.FORCED_CLOSE)
    assert candidate.reasons == [closing.UPGRADE_FAILED]


def test_closing_before_the_probe() -> None:
    """The client goes on by polling, and finds the end there."""
    host = FakeHost()
    session, polling = open_session(host)
    candidate = FakeWire("websocket")
    upgrade.offer(session, candidate)
    session.close(closing.FORCED_CLOSE)
    host.turn()
    assert (candidate.reasons, polling.calls) == ([closing.UPGRADE_FAILED], ["finish"])


def test_closing_behind_the_probe() -> None:
    """The client may come by either way, and finds the end on both."""
    host = FakeHost()
    session, polling, candidate = probed(host)
    session.close(closing.FORCED_CLOSE)
    host.turn()
    assert (candidate.reasons, polling.calls) == ([], ["release", "finish"])
    upgrade.probe(session, "5")
    session.moved()
    assert candidate.calls == ["finish"]

    session, polling, candidate = probed(host)
    session.close(closing.FORCED_CLOSE)
    host.turn()
    session.end()  # it has fetched everything
    assert candidate.reasons == [closing.UPGRADE_FAILED]
