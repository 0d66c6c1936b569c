"""Handlers: what each request of the API does (docs/life-of-a-message.md).

A few lines each; the rules are in `hubbub.chat`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import msgspec

from hubbub.chat.limits import Limits
from hubbub.chat.messages import Messages, Outcome
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.overview import Overview
from hubbub.chat.presence import Presence
from hubbub.chat.receipts import Receipts
from hubbub.chat.recovery import Found, Recovery, Resumed, within
from hubbub.chat.rooms import Rooms
from hubbub.chat.tokens import TokenRefused, Tokens
from hubbub.chat.typing import Typing
from hubbub.cluster.base import Occupancy
from hubbub.contract import answers, errors, events, requests
from hubbub.contract.values import iso
from hubbub.gateway.clients import Client
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.dispatch import Handler, Later, Result
from hubbub.gateway.expiry import Expiry
from hubbub.socketio import Deferred

R = TypeVar("R", bound=requests.Request)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the chat that requests are about."""

    rooms: Rooms
    messages: Messages
    receipts: Receipts
    typing: Typing
    presence: Presence
    recovery: Recovery
    monitoring: Monitoring
    overview: Overview
    limits: Limits
    tokens: Tokens


class Handlers:
    """The table of requests, and the function of each."""

    def __init__(self, parts: Parts, delivery: Delivery, expiry: Expiry) -> None:
        self._parts = parts
        self._delivery = delivery
        self._expiry = expiry
        # Missed messages being handed over now.
        self._queued = 0

    def table(self) -> dict[str, tuple[type[requests.Request], Handler]]:
        """Return event name -> request type, handler."""
        return dict(self._rows())

    def _rows(self) -> Iterator[tuple[str, tuple[type[requests.Request], Handler]]]:
        yield _row(requests.JoinChat, self.join)
        yield _row(requests.LeaveChat, self.leave)
        yield _row(requests.RoomInfo, self.room_info)
        yield _row(requests.RoomList, self.room_list)
        yield _row(requests.RoomOnline, self.room_online)
        yield _row(requests.SendMessage, self.send, waits=False)
        yield _row(requests.Typing, self.typing)
        yield _row(requests.TypingUsers, self.typing_users)
        yield _row(requests.ConfirmDelivered, self.delivered)
        yield _row(requests.ConfirmRead, self.read)
        yield _row(requests.DeliveryStatus, self.delivery_status)
        yield _row(requests.MessageStats, self.message_stats)
        yield _row(requests.UpdateStatus, self.update_status)
        yield _row(requests.OnlineUsers, self.online_users)
        yield _row(requests.UserStatus, self.user_status)
        yield _row(requests.PresenceStats, self.presence_stats)
        yield _row(requests.CreateSession, self.create_session)
        yield _row(requests.Recover, self.recover)
        yield _row(requests.SessionInfo, self.session_info)
        yield _row(requests.ConnectionStats, self.connection_stats)
        yield _row(requests.Metrics, self.metrics)
        yield _row(requests.ConnectionEvents, self.connection_events)
        yield _row(requests.MonitoringStats, self.monitoring_stats)
        yield _row(requests.Health, self.health)
        yield _row(requests.RefreshToken, self.refresh_token)

    # Rooms.

    async def join(self, client: Client, request: requests.JoinChat) -> Result:
        """Enter a room. Once more from the same socket: the same answer, and nobody is told."""
        while True:
            revocations = client.revocations
            view = await self._parts.rooms.admit(client.who, request.chat_id)
            again = request.chat_id in client.rooms
            last_seq = await self._delivery.enter(client, request.chat_id)
            if again or revocations == client.revocations:
                break
            # The membership may have ended before the socket was in the room.
            self._delivery.leave(client, request.chat_id)
        info = await self._parts.rooms.joined_info(view, last_seq)
        if not again:
            await self._settle(client, request.chat_id, last_seq)
            occupancy = await enter_room(self._parts.rooms, client, request.chat_id)
            if occupancy is None:
                raise errors.chat_not_found()
            joined = events.RoomJoined(chat_id=request.chat_id, room_info=info, online_count=occupancy.online)
            client.socket.emit(joined.event, joined)
        return answers.Joined(room_info=info)

    async def _settle(self, client: Client, chat_id: str, last_seq: int) -> None:
        """Let recovery know of a joined room; if that cannot be stored, it was not joined."""
        if chat_id not in client.rooms:
            raise errors.chat_not_found()
        try:
            await self._parts.recovery.joined(client.trail, chat_id, last_seq)
        except BaseException:
            self._delivery.leave(client, chat_id)
            self._parts.recovery.drop(client.trail, chat_id)
            raise

    async def leave(self, client: Client, request: requests.LeaveChat) -> Result:
        """Leave a room."""
        _require_joined(client, request.chat_id)
        await self._parts.recovery.leave(client.trail, request.chat_id)
        self._delivery.leave(client, request.chat_id)
        left = await self._parts.rooms.leave(client.who, request.chat_id)
        client.socket.emit(left.event, left)
        return answers.Left()

    async def room_info(self, client: Client, request: requests.RoomInfo) -> Result:
        """Tell a chat's facts."""
        return await self._parts.rooms.info(client.who, request.chat_id)

    async def room_list(self, client: Client, request: requests.RoomList) -> Result:
        """Tell the user's chats."""
        return await self._parts.rooms.list(client.who, request)

    async def room_online(self, client: Client, request: requests.RoomOnline) -> Result:
        """Tell who is in a room."""
        return await self._parts.rooms.online(client.who, request)

    # Messages.

    async def send(self, client: Client, request: requests.SendMessage) -> Result:
        """Append a message. The next request of the socket may begin before the commit if it is a message
        too.
        """
        later: Later = Deferred()
        client.last_send = await self._parts.messages.send(client.who, request, partial(_sent, client, later))
        self._parts.typing.stop(client.who, request.chat_id)
        return later

    async def typing(self, client: Client, request: requests.Typing) -> Result:
        """Tell the others in the room that the user types, or no longer does."""
        in_room = request.chat_id in client.rooms
        if in_room:
            await self._parts.limits.typing(client.who.user_id)
        return await self._parts.typing.update(client.who, request.chat_id, request.is_typing, in_room)

    async def typing_users(self, client: Client, request: requests.TypingUsers) -> Result:
        """Tell who is typing."""
        await self._parts.rooms.check_view(client.who, request.chat_id)
        return await self._parts.typing.users(request.chat_id)

    async def delivered(self, client: Client, request: requests.ConfirmDelivered) -> Result:
        """Record that messages have arrived."""
        return await self._parts.receipts.delivered(client.who, request)

    async def read(self, client: Client, request: requests.ConfirmRead) -> Result:
        """Record that messages have been read."""
        return await self._parts.receipts.read(client.who, request)

    async def delivery_status(self, client: Client, request: requests.DeliveryStatus) -> Result:
        """Tell whom a message has reached."""
        return await self._parts.receipts.status(client.who, request.message_id)

    async def message_stats(self, _client: Client, _request: requests.MessageStats) -> Result:
        """Tell messaging figures."""
        return await self._parts.receipts.stats()

    # Presence.

    async def update_status(self, client: Client, request: requests.UpdateStatus) -> Result:
        """Choose the user's status."""
        return await self._parts.presence.update_status(client.who, request.status)

    async def online_users(self, _client: Client, request: requests.OnlineUsers) -> Result:
        """Tell who is connected."""
        return await self._parts.presence.online_users(request)

    async def user_status(self, client: Client, request: requests.UserStatus) -> Result:
        """Tell one user's presence."""
        return await self._parts.presence.user_status(client.who, request.user_id)

    async def presence_stats(self, _client: Client, _request: requests.PresenceStats) -> Result:
        """Tell presence figures."""
        return await self._parts.presence.stats()

    # Recovery.

    async def create_session(self, client: Client, _request: requests.CreateSession) -> Result:
        """Make this socket's recovery token, or return it."""
        token = await self._parts.recovery.create(client.trail)
        client.socket.emit(token.event, token)
        return answers.SessionCreated(recovery_token=token.token)

    async def recover(self, client: Client, request: requests.Recover) -> Result:
        """Take up a session: its rooms and what was missed there. What comes meanwhile follows the answer."""
        recovery = self._parts.recovery
        socket = client.socket
        found = await recovery.find(client.who, request.recovery_token, lambda: socket.connected)
        resumed, fresh = await self._hold(client, found, request)
        try:
            upto = {chat_id: client.rooms[chat_id] for chat_id in resumed.positions}
            missed = await recovery.backlog.queue(resumed.positions, upto)
            resumed, missed = within(client.rooms, resumed), missed.within(client.rooms)
            token = await recovery.take_over(client.trail, resumed, found.used)
        except BaseException:
            self._leave(client, fresh)
            raise
        for chat_id in fresh:
            await enter_room(self._parts.rooms, client, chat_id)
        # What the user has lost by now is not told any more; nothing waits from here to the answer.
        resumed, missed = within(client.rooms, resumed), missed.within(client.rooms)
        answer, told = recovery.recovered(client.trail, resumed, missed, token)
        for event in told:
            client.socket.emit(event.event, event)
        self._queued += len(missed.messages)
        # The answer leaves in this turn of the loop, what was kept meanwhile in the next.
        asyncio.get_running_loop().call_soon(self._handed_over, client, fresh, len(missed.messages))
        return answer

    async def _hold(
        self, client: Client, found: Found, request: requests.Recover
    ) -> tuple[Resumed, list[str]]:
        """See what the session may go on with, and hold those of its rooms that the socket is not in."""
        while True:
            revocations = client.revocations
            resumed = await self._parts.recovery.resume(found.session, request.last_seq or {}, request.epoch)
            fresh = [chat_id for chat_id in resumed.positions if chat_id not in client.rooms]
            try:
                for chat_id in fresh:
                    await self._delivery.hold(client, chat_id)
            except BaseException:
                self._leave(client, fresh)
                raise
            if revocations == client.revocations:
                return resumed, fresh
            self._leave(client, fresh)

    def _leave(self, client: Client, chat_ids: list[str]) -> None:
        for chat_id in chat_ids:
            self._delivery.leave(client, chat_id)

    def _handed_over(self, client: Client, chat_ids: list[str], queued: int) -> None:
        self._queued -= queued
        self._delivery.release(client, chat_ids)

    async def session_info(self, client: Client, _request: requests.SessionInfo) -> Result:
        """Tell this socket's facts."""
        return self._parts.recovery.info(client.trail)

    async def connection_stats(self, _client: Client, _request: requests.ConnectionStats) -> Result:
        """Tell recovery figures."""
        return await self._parts.recovery.stats(self._queued)

    # Monitoring.

    async def metrics(self, _client: Client, request: requests.Metrics) -> Result:
        """Tell connection figures."""
        return await self._parts.overview.metrics(request.node)

    async def connection_events(self, client: Client, request: requests.ConnectionEvents) -> Result:
        """Tell the newest connection events."""
        return await self._parts.overview.events(client.who, request)

    async def monitoring_stats(self, client: Client, request: requests.MonitoringStats) -> Result:
        """Tell connection figures with the busiest addresses and clients."""
        return await self._parts.overview.stats(client.who, request.node)

    async def health(self, _client: Client, request: requests.Health) -> Result:
        """Judge the server."""
        return await self._parts.overview.health(request.node)

    # The token.

    async def refresh_token(self, client: Client, request: requests.RefreshToken) -> Result:
        """Go on with a new token of the same user."""
        try:
            identity = await self._parts.tokens.identify(request.token)
        except TokenRefused:
            raise errors.unauthenticated() from None
        if identity.user_id != client.who.user_id:
            raise errors.unauthenticated()
        self._expiry.forget(client)
        client.expires_at = identity.expires_at
        client.who = msgspec.structs.replace(client.who, role=identity.role)
        self._expiry.watch(client)
        return answers.TokenRefreshed(expires_at=iso(identity.expires_at))


def _row(
    request_type: type[R], function: Callable[[Client, R], Awaitable[Result]], *, waits: bool = True
) -> tuple[str, tuple[type[requests.Request], Handler]]:
    """A row of the table. A handler that `waits` begins when the messages before it are committed."""
    if not waits:
        # The dispatch has parsed the request as just this type.
        return request_type.event, (request_type, cast("Handler", function))

    async def handle(client: Client, request: requests.Request) -> Result:
        if client.last_send is not None:
            await asyncio.wait((client.last_send,))
            client.last_send = None
        assert isinstance(request, request_type)  # noqa: S101 - the dispatch has parsed it as such
        return await function(client, request)

    return request_type.event, (request_type, handle)


async def enter_room(rooms: Rooms, client: Client, chat_id: str) -> Occupancy | None:
    """Let others see a client in a room; None when it has been put out of it, of which they see nothing."""
    if chat_id not in client.rooms:
        return None
    occupancy = await rooms.enter(client.who, chat_id)
    if chat_id in client.rooms:
        return occupancy
    await rooms.leave(client.who, chat_id)
    return None


def _require_joined(client: Client, chat_id: str) -> None:
    if chat_id not in client.rooms:
        raise errors.not_in_room()


def _sent(client: Client, later: Later, outcome: Outcome | BaseException) -> None:
    """A message is committed, or is not: tell its sender."""
    if isinstance(outcome, BaseException):
        later.settle(outcome)
        return
    if outcome.sent is not None:
        client.socket.emit(outcome.sent.event, outcome.sent)
    later.settle(outcome.answer)
