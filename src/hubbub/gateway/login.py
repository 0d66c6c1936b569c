"""Login: a CONNECT becomes a client, or is refused.

auth -> Socket.IO's own recovery, if the client can continue a connection
     -> else the token -> the connection limit, unless it shows that it was here -> who it is -> a new client

What cannot be answered now is put off and not counted: stock clients come back from that by themselves, every
second or so for as long as it takes.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hubbub.chat.failures import translate
from hubbub.chat.limits import Limits
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.recovery import Recovery, Resumed, within
from hubbub.chat.tokens import Identity, TokenRefused, Tokens
from hubbub.cluster.base import Connection, MessageNew
from hubbub.contract.errors import Code
from hubbub.contract.values import ConnectionEventType, now
from hubbub.gateway.clients import Client, Clients
from hubbub.gateway.delivery import Delivery
from hubbub.socketio import ConnectionRefused, Socket, TryAgainLater, Welcome

TOO_MANY: Final = "Too many connection attempts. Please try again later."
log = logging.getLogger(__name__)

_BEARER: Final = "bearer "
_LONGEST_AGENT: Final = 512


@dataclass(frozen=True, slots=True)
class Entrance:
    """Somebody may come in: as `client`, who first gets `replay`, and whose former rooms are held."""

    client: Client
    welcome: Welcome
    replay: list[MessageNew] = field(default_factory=list)


class Login:
    """Decides who comes in."""

    def __init__(
        self,
        tokens: Tokens,
        limits: Limits,
        recovery: Recovery,
        monitoring: Monitoring,
        clients: Clients,
    ) -> None:
        self._tokens = tokens
        self._limits = limits
        self._recovery = recovery
        self._monitoring = monitoring
        self._clients = clients

    async def enter(self, socket: Socket, auth: Mapping[str, object], delivery: Delivery) -> Entrance:
        """Let a socket in. Raises `ConnectionRefused`, `TryAgainLater`.

        Who shows that they were here before are not counted: a restart of the server must not lock an office
        out.
        """
        token = _token(socket, auth)
        counts = True
        try:
            while True:
                cut_offs = self._tokens.cut_offs
                entrance = await self._continue(socket, auth, token, delivery)
                if entrance is None:
                    counts = counts and not await self._was_here(auth, token)
                    entrance = await self._begin(socket, token, counts=counts)
                    counts = False
                if cut_offs == self._tokens.cut_offs:
                    return entrance
                # It may be this user who was switched off, before being in.
                self._give_back(entrance.client, delivery)
        except Exception as error:
            refusal = translate(error)
            if refusal is None:
                raise
            self._record(socket, ConnectionEventType.ERROR, refusal.code)
            if refusal.code is Code.UNAVAILABLE:
                raise TryAgainLater(refusal.message) from None
            data = {"code": str(refusal.code), "retryAfter": refusal.retry_after}
            raise ConnectionRefused(refusal.message, data) from None

    async def _begin(self, socket: Socket, token: str | None, *, counts: bool) -> Entrance:
        async def count() -> None:
            nonlocal counts
            if counts:
                counts = False
                await self._count_attempt(socket)

        try:
            identity = await self._tokens.identify(token, before_storing=count)
        except TokenRefused as refused:
            await count()
            self._record(socket, ConnectionEventType.AUTH_FAILURE, refused.code)
            raise ConnectionRefused("Unauthorized", {"code": str(refused.code)}) from None
        await count()
        who = _connection(socket, identity, socket.id)
        trail = self._recovery.begin(who, offer_pid=_knows_offsets(socket))
        client = Client(socket, who, trail, identity.expires_at)
        await self._clients.add(client)
        return Entrance(client, Welcome(sid=who.socket_id, pid=trail.pid))

    async def _was_here(self, auth: Mapping[str, object], token: str | None) -> bool:
        """Tell whether the user shows a recovery token or a private id of a session of theirs."""
        proofs = (auth.get("recoveryToken"), auth.get("pid"))
        if not any(isinstance(proof, str) for proof in proofs):
            return False
        try:
            if not await self._recovery.vouches(await self._tokens.subject(token), *proofs):
                return False
            await self._tokens.identify(token)
        except TokenRefused:
            return False
        return True

    async def _count_attempt(self, socket: Socket) -> None:
        retry_after = await self._limits.connection(socket.handshake.address)
        if retry_after is not None:
            self._record(socket, ConnectionEventType.RATE_LIMIT, "RATE_LIMITED")
            raise ConnectionRefused(TOO_MANY, {"code": "RATE_LIMITED", "retryAfter": retry_after})

    def _give_back(self, client: Client, delivery: Delivery) -> None:
        """Undo what was claimed for a client who is not let in."""
        delivery.leave_all(client)
        self._recovery.abandon(client.trail)
        self._clients.discard(client)

    def _record(self, socket: Socket, kind: ConnectionEventType, code: str) -> None:
        log.debug("a connection of %s is refused: %s", socket.handshake.address, code)
        self._monitoring.record(
            kind,
            socket_id=None,
            user_id=None,
            address=socket.handshake.address,
            user_agent=_agent(socket),
            details={"code": str(code)},
        )

    # Socket.IO's own recovery.

    async def _continue(
        self, socket: Socket, auth: Mapping[str, object], token: str | None, delivery: Delivery
    ) -> Entrance | None:
        """Continue an earlier connection, if it was the client's and nothing is in the way."""
        pid = auth.get("pid")
        if not isinstance(pid, str):
            return None
        try:
            session = await self._recovery.find_pid(await self._tokens.subject(token), pid)
            if session is None:
                return None
            identity = await self._tokens.identify(token)
        except TokenRefused:
            return None
        who = _connection(socket, identity, session.socket_id)
        client = Client(socket, who, self._recovery.begin(who, offer_pid=False), identity.expires_at)
        entrance = None
        try:
            await self._clients.add(client)
            entrance = await self._take_up(client, pid, delivery, auth.get("offset"))
        finally:
            if entrance is None:
                self._give_back(client, delivery)
        return entrance

    async def _take_up(self, client: Client, pid: str, delivery: Delivery, offset: object) -> Entrance | None:
        """Let a client go on where the one before it, which is gone by now, left off."""
        session = await self._recovery.find_pid(client.who.user_id, pid)
        if session is None or session.socket_id != client.who.socket_id:
            return None
        last = delivery.parse_offset(offset)
        if last is None and offset is not None:
            return None
        while True:
            revocations = client.revocations
            resumed = await self._recovery.resume(session, {}, None)
            upto = {chat_id: await delivery.hold(client, chat_id) for chat_id in resumed.positions}
            if revocations == client.revocations:
                break
            delivery.leave_all(client)
        # Messages that it has, or has missed, may not be those that are stored now.
        if resumed.reset:
            return None
        replay = await self._recovery.backlog.replay(resumed.positions, upto, last, session.last_told)
        if replay is None:
            return None
        resumed = Resumed(session, replay.positions, [])
        client.trail.pid = pid
        self._recovery.continue_(client.trail, within(client.rooms, resumed))
        return Entrance(client, Welcome(session.socket_id, pid), replay.messages)


def _token(socket: Socket, auth: Mapping[str, object]) -> str | None:
    """Return the token of the CONNECT packet, or that of the handshake's Authorization header."""
    token = auth.get("token")
    if isinstance(token, str):
        return token
    header = socket.handshake.header("authorization")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else None


def _agent(socket: Socket) -> str:
    return sys.intern(socket.handshake.header("user-agent")[:_LONGEST_AGENT])  # one for many clients


def _knows_offsets(socket: Socket) -> bool:
    """Tell whether the client may be offered state recovery, and with it a further argument on `message:new`.

    Clients built like the JavaScript one understand it, and put `EIO` straight before `transport` into their
    query. python-socketio's client puts it behind, knows no state recovery and would call handlers with an
    argument too many.
    """
    return "EIO=4&transport=" in socket.handshake.raw_query


def _connection(socket: Socket, identity: Identity, socket_id: str) -> Connection:
    return Connection(
        socket_id=socket_id,
        user_id=identity.user_id,
        username=identity.username,
        email=identity.email,
        role=identity.role,
        address=socket.handshake.address,
        user_agent=_agent(socket),
        connected_at=now(),
    )
