"""Failures over HTTP: the same answer as on a socket, with a fitting status."""

import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from hubbub.chat.failures import translate
from hubbub.chat.tokens import TokenProblem, TokenRefused
from hubbub.contract.errors import Code, Failure, Problem, RequestError

log = logging.getLogger(__name__)

Asked = Request[Any, Any, Any]

STATUS: Final[Mapping[str, int]] = {
    Code.INVALID_REQUEST: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.NOT_IN_ROOM: 409,
    Code.CONFLICT: 409,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}
CODES: Final[Mapping[int, Code]] = {
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    429: Code.RATE_LIMITED,
    503: Code.UNAVAILABLE,
}
MESSAGES: Final = {404: "Not found", 405: "Method not allowed", 413: "Request body too large"}
CLIENT_GONE: Final = "client disconnected prematurely"
"""What litestar, which calls it a fault of the server, says of a body that breaks off."""
TOKEN_PROBLEMS: Final = {
    TokenProblem.MISSING_TOKEN: "is missing: send `Bearer` and an access token",
    TokenProblem.INVALID_TOKEN: "the access token is not valid",
    TokenProblem.TOKEN_EXPIRED: "the access token has expired",
    TokenProblem.USER_INACTIVE: "the user is switched off",
}


def answer(failure: Failure, status: int, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Return a failure as a response."""
    named = dict(headers or {})
    if failure.retry_after is not None:
        named["Retry-After"] = str(failure.retry_after)
    return Response(
        msgspec.json.encode(failure), status_code=status, headers=named, media_type="application/json"
    )


def refused(_request: Asked, error: RequestError) -> Response[bytes]:
    """Answer a request that was refused."""
    return answer(error.failure(), STATUS[error.code])


def not_let_in(_request: Asked, error: TokenRefused) -> Response[bytes]:
    """Answer a request whose token lets nobody in (RFC 6750, section 3)."""
    problem = Problem("Authorization", TOKEN_PROBLEMS[error.code])
    failure = Failure(
        success=False, message="User not authenticated", code=Code.UNAUTHENTICATED, details=[problem]
    )
    challenge = "Bearer"
    if error.code != TokenProblem.MISSING_TOKEN:
        challenge += f' error="invalid_token", error_description="{TOKEN_PROBLEMS[error.code]}"'
    return answer(failure, 401, {"WWW-Authenticate": challenge})


def not_served(request: Asked, error: HTTPException) -> Response[bytes]:
    """Answer a request that came to no route: no such path or method, a body too large, bad parameters."""
    if error.detail == CLIENT_GONE:
        return refused(request, RequestError(Code.INVALID_REQUEST, "The body ended too early"))
    if error.status_code >= 500:
        return failed(request, error)
    failure = Failure(
        success=False,
        message=MESSAGES.get(error.status_code, "Invalid request data"),
        code=CODES.get(error.status_code, Code.INVALID_REQUEST),
        details=parameters(error) if isinstance(error, ValidationException) else None,
    )
    return answer(failure, error.status_code, error.headers)


def parameters(error: ValidationException) -> list[Problem]:
    """What is wrong with the parameters of a request."""
    found = error.extra if isinstance(error.extra, list) else []
    return [Problem(str(one.get("key", "")), str(one.get("message", ""))) for one in found] or [
        Problem("", error.detail)
    ]


def failed(request: Asked, error: Exception) -> Response[bytes]:
    """Answer a request that failed: the store refused it, or it is a defect of ours, which is logged."""
    refusal = translate(error)
    if refusal is not None:
        return refused(request, refusal)
    correlation_id = secrets.token_hex(8)
    log.error("%s %r failed [%s]", request.method, request.scope["path"], correlation_id, exc_info=error)
    failure = Failure(
        success=False, message="Internal server error", code=Code.INTERNAL, correlation_id=correlation_id
    )
    return answer(failure, 500)


HANDLERS: Final[ExceptionHandlersMap] = {
    RequestError: refused,
    TokenRefused: not_let_in,
    HTTPException: not_served,
    Exception: failed,
}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The failures that a route may answer, for the OpenAPI document."""
    words = {status: code.replace("_", " ").capitalize() for code, status in STATUS.items()}
    return {
        status: ResponseSpec(Failure, description=words[status], generate_examples=False)
        for status in statuses
    }
