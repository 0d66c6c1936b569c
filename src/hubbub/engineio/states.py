"""The states of a session, and of its upgrade."""

from enum import Enum


class State(Enum):
    """Where a session stands in its life."""

    OPEN = "open"
    CLOSING = "closing"  # close() was called; what is queued is flushed at the end of the turn
    DRAINING = "draining"  # the application was told; a polling client still has to fetch the rest
    CLOSED = "closed"


class Upgrading(Enum):
    """How far an upgrade from polling to WebSocket has come, spec section "Upgrade"."""

    NONE = "none"
    OFFERED = "offered"  # the WebSocket is connected
    PROBED = "probed"  # the probe was answered; polls are answered at once from now on
