"""The upgrade of a session from polling to WebSocket, spec section "Upgrade". No I/O.

    offer -> OFFERED -> PING probe, answered -> PROBED, polls are released -> UPGRADE: it is the wire

Whatever was sent meanwhile waits in the outbox, so nothing is lost, repeated or overtaken.
"""

from hubbub.engineio.packets import PING, PROBE, PROBE_ANSWER, UPGRADE, PacketError, Prepared, decode
from hubbub.engineio.session import Session
from hubbub.engineio.states import State, Upgrading
from hubbub.engineio.wire import Wire


def offer(session: Session, candidate: Wire) -> bool:
    """Take a WebSocket that asks to become the session's transport. False: it must be refused."""
    if (
        session.state is not State.OPEN
        or session.upgrading is not Upgrading.NONE
        or session.wire.name != "polling"
    ):
        return False
    session.upgrading = Upgrading.OFFERED
    session.candidate = candidate
    return True


def probe(session: Session, text: str) -> Prepared | None:
    """Take a packet that came over the candidate; returns the answer to send over it, if any.

    After the UPGRADE packet the candidate is the session's wire; then call `Session.moved`. Raises
    `PacketError` for anything but the packets of an upgrade in their order; then close the candidate and call
    `Session.abandon_upgrade`.
    """
    kind, data = decode(text)
    if session.upgrading is Upgrading.OFFERED and kind == PING and data == PROBE:
        session.upgrading = Upgrading.PROBED
        session.wire.release()
        return PROBE_ANSWER
    if session.upgrading is not Upgrading.PROBED or kind != UPGRADE or data or session.candidate is None:
        raise PacketError("not a packet of an upgrade")
    if session.posting:
        raise PacketError("an upgrade before the last POST was answered")
    polling, session.wire, session.candidate = session.wire, session.candidate, None
    session.upgrading = Upgrading.NONE
    polling.release()
    if not session.reading:
        session.wire.pause_reading()
    if session.outbox:
        session.wake()
    return None
