"""Why a session ends: one table of reasons, each with the WebSocket close code that tells the client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloseReason:
    """One way for a session to end.

    `name` is Socket.IO's own word where it has one and is what `disconnect` listeners see. `code` closes a
    WebSocket (RFC 6455 section 7.4). `reconnect` says whether the client may come back at once with hope of
    success.
    """

    name: str
    code: int
    reconnect: bool


# The client went away: it closed the connection, sent a CLOSE packet or cancelled its poll.
TRANSPORT_CLOSE = CloseReason("transport close", 1000, reconnect=True)
# It broke the rules of HTTP polling or WebSocket, which say how to close: two polls at once, a bad frame.
TRANSPORT_ERROR = CloseReason("transport error", 1002, reconnect=True)
# No PONG within the ping timeout.
PING_TIMEOUT = CloseReason("ping timeout", 1011, reconnect=True)
# A packet that the Engine.IO or Socket.IO protocol does not allow.
PARSE_ERROR = CloseReason("parse error", 1002, reconnect=True)
# A text frame that is not UTF-8.
INVALID_TEXT = CloseReason("transport error", 1007, reconnect=True)
# More bytes in one message or body than `max_payload`.
TOO_BIG = CloseReason("transport error", 1009, reconnect=True)
# Frames without end that carry nothing.
FLOODING = CloseReason("flooding", 1008, reconnect=False)
# It does not read what it is sent; whatever was queued is gone, so it must recover.
SLOW_READER = CloseReason("slow reader", 1008, reconnect=True)
# The application ended the session.
FORCED_CLOSE = CloseReason("forced close", 1000, reconnect=False)
# The application raised an error; the log has it.
APPLICATION_ERROR = CloseReason("forced close", 1011, reconnect=True)
# This server stops; another one, or its successor, answers soon.
SERVER_SHUTDOWN = CloseReason("server shutting down", 1012, reconnect=True)
# The application could not look after the client just now.
TRY_AGAIN_LATER = CloseReason("try again later", 1013, reconnect=True)
# An upgrade that was not completed; the session goes on over polling.
UPGRADE_FAILED = CloseReason("upgrade failed", 1002, reconnect=True)
