"""Small vocabularies of the contract, and its two formats: times and ids."""

import time
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final

import msgspec
import uuid_utils

MAX_CONTENT: Final = 4000
"""Longest message content, in characters, after trimming."""

MAX_QUEUE: Final = 500
"""Most messages that a recovery hands over at once; the rest comes by history."""

MAX_PAGE: Final = 200
"""Most rows of one page of a list."""


class MessageType(StrEnum):
    """What a message carries."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    AUDIO = "audio"
    VIDEO = "video"
    CODE = "code"


class Status(StrEnum):
    """The presence that a user can choose."""

    ONLINE = "online"
    AWAY = "away"
    BUSY = "busy"


class Role(StrEnum):
    """What a user may do on the whole server (`role` claim), and a member in a chat."""

    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


class ConnectionEventType(StrEnum):
    """The kinds of events that monitoring records."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    ERROR = "error"
    RATE_LIMIT = "rate_limit"
    AUTH_FAILURE = "auth_failure"


class HealthStatus(StrEnum):
    """How the server judges itself; `critical` means that users are being failed now."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"


PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]+(?!\n)$"
"""Without control characters, a last newline included (which `$` alone would let pass)."""

# User ids may come from foreign tokens.
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=PRINTABLE)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
ClientMessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PRINTABLE)]
PageLimit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


def new_id() -> str:
    """Return a fresh UUIDv7, the form of every id that the server makes."""
    return str(uuid_utils.uuid7())


def iso(milliseconds: int) -> str:
    """Format Unix milliseconds as ISO 8601 UTC with milliseconds and `Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


@lru_cache(
    maxsize=4096
)  # most times told are of the last seconds, and formatting costs as much as a fan-out step
def _to_the_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def now() -> int:
    """Return the time in Unix milliseconds."""
    return time.time_ns() // 1_000_000
