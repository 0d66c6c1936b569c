"""Dispatch: an event becomes a typed request, the request an answer (docs/life-of-a-message.md).

    event -> is the token still good -> request rate -> request struct -> handler -> answer, or the failure

Every way out is an answer. What a client did wrong is told to the client, and logged at debug only; a defect
of ours is logged under a correlation id, which is all that the client learns.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Final

import msgspec

from hubbub.chat.failures import translate
from hubbub.chat.limits import Limits
from hubbub.contract import errors, problems, requests
from hubbub.contract.answers import Answer
from hubbub.contract.errors import Code, Failure, Problem, RequestError
from hubbub.contract.values import now
from hubbub.gateway.clients import Client
from hubbub.socketio import Ack, Deferred

log = logging.getLogger(__name__)

MOST_REFUSED: Final = 1000
"""Requests refused for their number, one after the other, before the socket is disconnected."""


Later = Deferred[Answer | BaseException]
"""An answer to come, or the error that prevented it."""

Result = Answer | Later
Handler = Callable[[Client, requests.Request], Awaitable[Result]]
Observe = Callable[[str, float], None]
"""Is told an event's name and the seconds from the request to its answer."""


class Dispatch:
    """Turns events into answers by a table: event name -> request type, handler."""

    def __init__(
        self,
        table: Mapping[str, tuple[type[requests.Request], Handler]],
        limits: Limits,
        observe: Observe,
    ) -> None:
        self._table = table
        self._limits = limits
        self._observe = observe
        # Answered requests by event and outcome code, for the metrics.
        self.answered: dict[tuple[str, ...], float] = {}

    async def handle(self, client: Client, name: str, args: list[object]) -> Ack:
        """Answer an event. Never raises for what the client did."""
        event = name if name in self._table else "unknown"
        started = perf_counter()
        try:
            result = await self._answer(client, name, args)
        except Exception as error:  # noqa: BLE001 - every way out is an answer; ours are logged below
            return [self._failure(event, error, client, started)]
        if isinstance(result, Deferred):
            ack: Deferred[Sequence[object]] = Deferred()
            result.then(partial(self._settle, event, client, started, ack))
            return ack
        self._count(event, "OK", client, started)
        self._observe(event, perf_counter() - started)
        return [result]

    async def _answer(self, client: Client, name: str, args: list[object]) -> Result:
        row = self._table.get(name)
        await self._count_request(client)
        if client.expires_at <= now() and name != requests.RefreshToken.event:
            raise errors.unauthenticated()
        if row is None:
            raise errors.unknown_event()
        request_type, handler = row
        return await handler(client, parse(request_type, args))

    async def _count_request(self, client: Client) -> None:
        """Refuse requests beyond the rate. Who goes on all the same is disconnected."""
        try:
            await self._limits.request(client.who.user_id)
            client.refused = 0
        except RequestError:
            client.refused += 1
            if client.refused > MOST_REFUSED:
                client.socket.disconnect(close=True)
            raise

    def _settle(
        self,
        event: str,
        client: Client,
        started: float,
        ack: Deferred[Sequence[object]],
        outcome: Answer | BaseException,
    ) -> None:
        """A message is committed, or refused: send the acknowledgement that was put off."""
        if isinstance(outcome, BaseException):
            ack.settle([self._failure(event, outcome, client, started)])
        else:
            self._count(event, "OK", client, started)
            self._observe(event, perf_counter() - started)
            ack.settle([outcome])

    def _failure(self, event: str, error: BaseException, client: Client, started: float) -> Failure:
        refusal = translate(error) if isinstance(error, Exception) else None
        if refusal is not None:
            self._count(event, refusal.code, client, started)
            return refusal.failure()
        self._count(event, Code.INTERNAL, client, started)
        correlation_id = secrets.token_hex(8)
        log.error("%s of user %r failed [%s]", event, client.who.user_id, correlation_id, exc_info=error)
        return Failure(
            success=False,
            message="Internal server error",
            code=Code.INTERNAL,
            correlation_id=correlation_id,
        )

    def _count(self, event: str, code: str, client: Client, started: float) -> None:
        key = (event, str(code))
        self.answered[key] = self.answered.get(key, 0) + 1
        if log.isEnabledFor(logging.DEBUG):
            took = (perf_counter() - started) * 1000
            log.debug("%s of user %r: %s, %.1f ms", event, client.who.user_id, code, took)


def parse(request_type: type[requests.Request], args: list[object]) -> requests.Request:
    """Return the typed request. Raises `RequestError` that names the wrong field by its name on the wire."""
    payload = args[0] if args else {}
    if not isinstance(payload, dict):
        raise RequestError(
            Code.INVALID_REQUEST,
            "Invalid request data",
            details=[Problem("", "the request must be an object")],
        )
    try:
        return msgspec.convert(payload, request_type)
    except msgspec.ValidationError as error:
        raise problems.refusal(error, request_type) from None
