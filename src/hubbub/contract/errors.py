"""What a failed request is answered: the one table of failures.

Code that refuses raises a `RequestError`, made by one of the functions below; the front doors turn it into
the failure answer `{success: false, message, code, details?, retryAfter?}` (contract, section 2).
"""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    """Stable machine-readable names of failures."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    RATE_LIMITED = "RATE_LIMITED"
    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_FOUND = "NOT_FOUND"
    NOT_IN_ROOM = "NOT_IN_ROOM"
    FORBIDDEN = "FORBIDDEN"
    CONFLICT = "CONFLICT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: the field's wire name and what would be right."""

    field: str
    problem: str


class Failure(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """The answer to a request that failed."""

    success: bool
    message: str
    code: str
    details: list[Problem] | None = None
    retry_after: int | None = None
    correlation_id: str | None = None


class RequestError(Exception):
    """A request is refused. `message`, `code`, `details` and `retry_after` (seconds) go to the client as they
    are.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        details: list[Problem] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def failure(self) -> Failure:
        """Return the answer that the client gets."""
        return Failure(
            success=False,
            message=self.message,
            code=self.code,
            details=self.details,
            retry_after=self.retry_after,
        )


def unauthenticated() -> RequestError:
    """The token has expired, or there is none."""
    return RequestError(Code.UNAUTHENTICATED, "User not authenticated")


def invalid(field: str, problem: str, message: str = "Invalid request data") -> RequestError:
    """A field of the request has a wrong value."""
    return RequestError(Code.INVALID_REQUEST, message, details=[Problem(field, problem)])


def unknown_event() -> RequestError:
    """There is no such request."""
    return RequestError(Code.INVALID_REQUEST, "Unknown event")


def message_rate_exceeded(retry_after: int) -> RequestError:
    """Too many messages by this user."""
    text = "Message rate limit exceeded. Please slow down."
    return RequestError(Code.RATE_LIMITED, text, retry_after=retry_after)


def typing_rate_exceeded(retry_after: int) -> RequestError:
    """Too many typing events by this user."""
    text = "Typing rate limit exceeded. Please slow down."
    return RequestError(Code.RATE_LIMITED, text, retry_after=retry_after)


def request_rate_exceeded(retry_after: int) -> RequestError:
    """Too many requests of all kinds by this user."""
    text = "Request rate limit exceeded. Please slow down."
    return RequestError(Code.RATE_LIMITED, text, retry_after=retry_after)


def chat_not_found() -> RequestError:
    """No such chat, or not for this user: nothing tells an outsider which."""
    return RequestError(Code.NOT_FOUND, "Chat not found or access denied")


def message_not_found() -> RequestError:
    """No such message in that chat."""
    return RequestError(Code.NOT_FOUND, "Message not found")


def user_not_found() -> RequestError:
    """No such user."""
    return RequestError(Code.NOT_FOUND, "User not found")


def node_not_found(names: list[str]) -> RequestError:
    """The server has no such node; these are the ones it has."""
    problem = Problem("node", f"must be one of {', '.join(names)}")
    return RequestError(Code.NOT_FOUND, "Node not found", details=[problem])


def node_silent() -> RequestError:
    """The one node that was asked about itself has not answered."""
    return RequestError(Code.UNAVAILABLE, "Node does not answer", retry_after=1)


def not_in_room() -> RequestError:
    """The socket has not joined that chat's room."""
    return RequestError(Code.NOT_IN_ROOM, "User not in this room")


def invalid_recovery_token() -> RequestError:
    """Wrong, foreign or expired: the same answer for all three."""
    return RequestError(Code.NOT_FOUND, "Invalid recovery token")


def chat_archived() -> RequestError:
    """An archived chat takes no more messages."""
    return RequestError(Code.FORBIDDEN, "Chat is archived")


def forbidden(message: str = "Not allowed") -> RequestError:
    """The user may see this but not do it."""
    return RequestError(Code.FORBIDDEN, message)


def unstorable() -> RequestError:
    """A value that no database can hold got past the checks."""
    return RequestError(Code.INVALID_REQUEST, "Invalid request data")


def conflict(message: str) -> RequestError:
    """The request contradicts what is stored."""
    return RequestError(Code.CONFLICT, message)


def unavailable(retry_after: int = 1) -> RequestError:
    """The database cannot take the request now; nothing was stored."""
    return RequestError(Code.UNAVAILABLE, "Service temporarily unavailable", retry_after=retry_after)
