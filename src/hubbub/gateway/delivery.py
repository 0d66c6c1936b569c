"""Delivery: what the bus tells, brought to the sockets of this node (docs/life-of-a-message.md).

    telling -> its room or users -> encoded once -> each socket's outbox

Messages of a chat are delivered in the order of `seq`, each once: a repeated one is dropped, and one that
comes too early waits until the log has given those before it. A socket that enters a room gets everything
behind a `seq` that `enter` returns; one that recovers is held first: what is told meanwhile waits for
`release`.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from itertools import cycle
from typing import Final

from hubbub.chat.backlog import Offset
from hubbub.chat.failures import translate
from hubbub.chat.messages import Messages
from hubbub.chat.trail import Told
from hubbub.cluster.base import Bus, MessageNew, Telling, ToEveryone, ToRoom, ToUsers
from hubbub.contract import events
from hubbub.gateway.announcing import Announcements
from hubbub.gateway.clients import NAMESPACE, Client, Clients
from hubbub.gateway.order import Numbers, Order
from hubbub.socketio import Outgoing, Server, Socket

log = logging.getLogger(__name__)

_PAGE: Final = 500
_MOST_TOLD: Final = 4000
_LONGEST_POSITION: Final = 19
_HEAL_RETRY: Final = 1.0


class LiveRoom:
    """A chat's room on this node. `seq` numbers the newest message told here; None until that is known."""

    __slots__ = ("healing", "holding", "numbers", "opening", "parked", "seq", "sockets")

    def __init__(self) -> None:
        self.seq: int | None = None
        self.opening: asyncio.Task[None] | None = None
        # Messages that came before those they follow, by `seq`.
        self.parked: dict[int, MessageNew] = {}
        self.healing = False
        # Sockets that belong to it, entering ones included; what is told to held ones waits here.
        self.sockets: set[Socket] = set()
        self.holding: dict[Socket, list[tuple[MessageNew, Outgoing]]] = {}
        # Its newest messages in the order of all rooms, where that is kept.
        self.numbers: Numbers | None = None


class Delivery:
    """The fan-out of one node, and the tasks that read what it missed.

    `among_others`: there are nodes that commit messages, too, of which this one hears later than their
    clients, who may come here next.
    """

    def __init__(
        self,
        server: Server,
        clients: Clients,
        messages: Messages,
        bus: Bus,
        epoch: str,
        *,
        among_others: bool = False,
    ) -> None:
        self._server = server
        self._clients = clients
        self._messages = messages
        self._bus = bus
        self._announcements = Announcements(server)
        self._epoch = epoch
        self._among_others = among_others
        # Where others commit as well, positions do not tell in which order messages were told here.
        self._order = Order() if among_others else None
        self._teller = "" if self._order is None else f":{self._order.teller}"
        self._rooms: dict[str, LiveRoom] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0

    @property
    def rooms(self) -> int:
        """How many chats have sockets of this node in their rooms."""
        return len(self._rooms)

    # What the bus calls.

    def deliver(self, telling: Telling) -> None:
        """Bring to the sockets of this node what the bus tells."""
        if self._announcements.waiting:
            self._announcements.precede(telling)
        if isinstance(telling, MessageNew):
            self._arrived(telling)
        elif isinstance(telling, ToRoom):
            self._tell_room(telling)
        elif isinstance(telling, ToUsers):
            self._tell_users(telling)
        elif isinstance(telling, ToEveryone):
            self._tell_everyone(telling)

    def _arrived(self, telling: MessageNew) -> None:
        room = self._rooms.get(telling.message.chat_id)
        if room is None:
            return
        if room.seq is not None and telling.message.seq == room.seq + 1 and not room.parked:
            self._tell_message(room, telling)
        elif room.seq is None or telling.message.seq > room.seq:
            room.parked[telling.message.seq] = telling
            if room.seq is not None:
                self._heal(telling.message.chat_id, room)

    def _tell_message(self, room: LiveRoom, telling: MessageNew) -> None:
        """The hot path: one encoding, one loop over the room."""
        room.seq = telling.message.seq
        if self._order is not None:
            room.numbers = self._order.note(room.numbers)
        packet = self.encode_message(telling)
        self.delivered += self._server.broadcast(NAMESPACE, telling.message.chat_id, packet)
        for waiting in room.holding.values():
            waiting.append((telling, packet))

    def _tell_room(self, telling: ToRoom) -> None:
        client = self._clients.find(telling.skip_socket) if telling.skip_socket is not None else None
        skipped = [client.socket] if client is not None else self._skipped(telling.skip_user, telling.chat_id)
        self._server.broadcast(NAMESPACE, telling.chat_id, self._encode(telling.event), skipped)

    def _tell_users(self, telling: ToUsers) -> None:
        packet = self._encode(telling.event)
        for user_id in telling.user_ids:
            for client in self._clients.of_user(user_id):
                if telling.chat_id is None or telling.chat_id in client.rooms:
                    client.socket.send(packet)

    def _tell_everyone(self, telling: ToEveryone) -> None:
        packet, skipped = self._encode(telling.event), self._skipped(telling.skip_user, None)
        if isinstance(telling.event, events.UserPresence):
            self._announcements.tell(telling.event.user_id, packet, skipped)
        else:
            self._server.broadcast(NAMESPACE, None, packet, skipped)

    def _skipped(self, user_id: str | None, chat_id: str | None) -> list[Socket]:
        """Return the sockets of a user (in a room, if given) who is not told."""
        if user_id is None:
            return []
        clients = self._clients.of_user(user_id)
        return [client.socket for client in clients if chat_id is None or chat_id in client.rooms]

    def tell_in_turn(self, told: Sequence[events.Event]) -> None:
        """Tell each client of this node one of these: the first, the second, and so on, over and over."""
        packets = [self._encode(event) for event in told]
        for client, packet in zip(self._clients.all(), cycle(packets), strict=False):
            client.socket.send(packet)

    def _encode(self, event: events.Event) -> Outgoing:
        return self._server.encode(NAMESPACE, event.event, event)

    def encode_message(self, telling: MessageNew) -> Outgoing:
        """Return `message:new`, with its place in this history, and who tells it, for Socket.IO's own
        recovery.
        """
        offset = f"{self._epoch}:{telling.position}{self._teller}"
        return self._server.encode(NAMESPACE, "message:new", telling.message, offset=offset)

    def parse_offset(self, offset: object) -> Offset | None:
        """Return what an offset of this history names; None for anything else."""
        epoch, _, place = offset.partition(":") if isinstance(offset, str) else ("", "", "")
        position, _, teller = place.partition(":")
        is_number = position.isascii() and position.isdigit() and len(position) <= _LONGEST_POSITION
        return Offset(int(position), teller) if epoch == self._epoch and is_number else None

    # Entering and leaving.

    async def enter(self, client: Client, chat_id: str) -> int:
        """Let a socket get the chat's messages from now on; return the `seq` behind which they begin.

        For one that is in the room already that is the newest it was told: it may not know that it is.
        """
        if chat_id not in client.rooms:
            await self.hold(client, chat_id)
            self.release(client, (chat_id,))
        return self.live(client).get(chat_id, client.rooms[chat_id])

    async def hold(self, client: Client, chat_id: str) -> int:
        """Enter, but keep what is told to the socket until `release`; return the `seq` behind which that
        begins.
        """
        room = self._rooms.get(chat_id)
        if room is None:
            room = self._rooms[chat_id] = LiveRoom()
            room.opening = self._spawn(self._open(chat_id, room, self._bus.watch(chat_id)))
        room.sockets.add(client.socket)
        try:
            if room.opening is not None:
                await asyncio.shield(room.opening)
            elif self._among_others:
                await self._read_up(chat_id, room)
        except BaseException:
            self._drop(client.socket, chat_id, room)
            raise
        assert room.seq is not None  # noqa: S101 - `_open` has set it, or raised
        room.holding[client.socket] = []
        client.rooms[chat_id] = room.seq
        return room.seq

    def release(self, client: Client, chat_ids: Iterable[str]) -> list[MessageNew]:
        """Send what was kept, in the order of all chats, and let the socket get the rest as it comes; return
        what was kept.
        """
        kept: list[tuple[MessageNew, Outgoing]] = []
        for chat_id in chat_ids:
            room = self._rooms.get(chat_id)
            if room is not None and client.socket in room.holding:
                kept += room.holding.pop(client.socket)
                client.socket.join(chat_id)
        kept.sort(key=lambda one: one[0].position)
        for _, packet in kept:
            client.socket.send(packet)
        return [telling for telling, _ in kept]

    def leave(self, client: Client, chat_id: str) -> None:
        """Tell a socket nothing more of a chat."""
        client.rooms.pop(chat_id, None)
        client.trail.stray()
        client.socket.leave(chat_id)
        room = self._rooms.get(chat_id)
        if room is not None:
            self._drop(client.socket, chat_id, room)

    def leave_all(self, client: Client) -> None:
        """Tell a socket nothing more of any chat."""
        for chat_id in list(client.rooms):
            self.leave(client, chat_id)

    def _drop(self, socket: Socket, chat_id: str, room: LiveRoom) -> None:
        room.sockets.discard(socket)
        room.holding.pop(socket, None)
        if not room.sockets and self._rooms.get(chat_id) is room:
            del self._rooms[chat_id]
            self._bus.unwatch(chat_id)

    def told(self) -> dict[str, int]:
        """Return the newest `seq` that was told in each room of this node, where that is known."""
        return {chat_id: room.seq for chat_id, room in self._rooms.items() if room.seq is not None}

    def live(self, client: Client) -> dict[str, int]:
        """Return the newest `seq` that was told to a socket in each of its rooms."""
        told: dict[str, int] = {}
        for chat_id, entered in client.rooms.items():
            room = self._rooms.get(chat_id)
            if room is not None and room.seq is not None and client.socket not in room.holding:
                told[chat_id] = max(room.seq, entered)
        return told

    def count(self) -> int | None:
        """Return how many messages were told on this node, where their order is kept."""
        return None if self._order is None else self._order.count

    def last_told(self, client: Client) -> Told | None:
        """Return what a socket was told since its client is known to have all; None if that is not known, or
        too much.

        What it was sent apart, by `release` or by `send`, must be in its trail.
        """
        order, since = self._order, client.trail.since
        if client.trail.pid is None or order is None or since is None or not order.knows(since):
            return None
        told: list[tuple[int, str, int]] = []
        for chat_id, entered in client.rooms.items():
            room = self._rooms.get(chat_id)
            if room is None or room.seq is None or client.socket in room.holding:
                return None
            numbers = order.behind(since, room.numbers, room.seq)
            told += [(number, chat_id, seq) for number, seq in numbers if seq > entered]
            if len(told) + len(client.trail.resent) > _MOST_TOLD:
                return None
        told.sort()
        live = [(chat_id, seq) for _, chat_id, seq in told]
        return Told(order.teller, [*client.trail.resent, *live])

    # Reading what was missed.

    async def _open(self, chat_id: str, room: LiveRoom, heard: asyncio.Future[None]) -> None:
        """Find where a room begins, once the bus is heard. What it told meanwhile is parked."""
        await heard
        seq = await self._messages.last_seq(chat_id)
        room.opening = None
        room.seq = seq
        self._catch_up(room)
        if room.parked:
            self._heal(chat_id, room)

    async def _read_up(self, chat_id: str, room: LiveRoom) -> None:
        """Tell what is committed by now: whoever enters may have had it on another node."""
        newest = await self._messages.last_seq(chat_id)
        while room.seq is not None and room.seq < newest:
            missing = await self._messages.after(chat_id, room.seq, newest + 1, _PAGE)
            if not missing:
                return
            room.parked.update((one.message.seq, one) for one in missing)
            self._catch_up(room)

    def _catch_up(self, room: LiveRoom) -> None:
        """Tell what is parked as far as it follows on."""
        assert room.seq is not None  # noqa: S101 - only called once it is known
        for seq in sorted(room.parked):
            if seq > room.seq + 1:
                return
            telling = room.parked.pop(seq)
            if seq == room.seq + 1:
                self._tell_message(room, telling)

    def _heal(self, chat_id: str, room: LiveRoom) -> None:
        """Have the log fill a gap in front of what is parked."""
        if not room.healing:
            room.healing = True
            self._spawn(self._read_gap(chat_id, room))

    async def _read_gap(self, chat_id: str, room: LiveRoom) -> None:
        try:
            while room.parked and self._rooms.get(chat_id) is room and room.seq is not None:
                first = min(room.parked)
                try:
                    missing = await self._messages.after(chat_id, room.seq, first, _PAGE)
                except Exception as error:
                    log.warning(
                        "chat %s: missed messages cannot be read yet: %s",
                        chat_id,
                        error,
                        exc_info=translate(error) is None,
                    )
                    await asyncio.sleep(_HEAL_RETRY)
                    continue
                room.parked.update((one.message.seq, one) for one in missing)
                self._catch_up(room)
                if not missing:
                    # What is told was committed with all before it. This was not: it is of no log, or forged.
                    room.parked.pop(first, None)
        finally:
            room.healing = False

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever waits for the task gets its error; it is marked as seen in case that nobody does any more.
        if not task.cancelled():
            task.exception()

    async def close(self) -> None:
        """End what is being read, and tell what waits."""
        self._announcements.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
