# A stretch of the way in docs/life-of-a-message.md.
"""The inbox of a connection: the only door from what arrives to what the application awaits.

    event -> bounded queue -> a worker, while there is something to do -> Namespace.event -> answer

Full means that nothing more is read from this connection; what arrived already is kept. An end of a socket's
stay goes through the same queue, so the application hears of it after the events that came before it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial

from hubbub.engineio import Session
from hubbub.socketio.deferred import Deferred
from hubbub.socketio.namespaces import Ack, Space
from hubbub.socketio.packets import Event
from hubbub.socketio.sockets import Socket
from hubbub.socketio.tasks import Crew, being_cancelled

log = logging.getLogger(__name__)

# After this many events without a pause the other connections get a turn.
_BURST = 64


class Inbox:
    """Hands the events of one connection to the application. An idle one owns neither worker nor queue."""

    __slots__ = ("_crew", "_deferred", "_limit", "_paused", "_queue", "_session", "_spaces", "_working")

    def __init__(self, session: Session, spaces: Mapping[str, Space], crew: Crew, limit: int) -> None:
        self._session = session
        self._spaces = spaces
        self._crew = crew
        self._limit = limit

        # Events to be handled, in order; None in place of the event is the end of the socket's stay.
        self._queue: deque[tuple[Socket, Event | None]] | None = None
        # Events that were handled and are acknowledged later.
        self._deferred = 0
        self._working = False
        self._paused = False

    def put(self, socket: Socket, event: Event) -> None:
        """Let the application handle an event after those that came before it."""
        self._append(socket, event)

    def end(self, socket: Socket) -> None:
        """Let the application know that `socket`, which was withdrawn, is gone."""
        self._append(socket, None)

    def forget(self, socket: Socket) -> None:
        """Drop the events of `socket` that were not begun."""
        if self._queue is not None:
            self._queue = deque(entry for entry in self._queue if entry[0] is not socket)
            self._relax()

    def _append(self, socket: Socket, event: Event | None) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append((socket, event))
        if not self._paused and len(self._queue) + self._deferred > self._limit:
            self._paused = True
            self._session.pause_reading()
        self._work_on()

    def _relax(self) -> None:
        """Read on once less than half of the limit is left."""
        if self._paused and 2 * (len(self._queue or ()) + self._deferred) < self._limit:
            self._paused = False
            self._session.resume_reading()

    def _work_on(self) -> None:
        """See to it that a worker comes if there is something that it may begin."""
        if self._queue and not self._working and self._deferred < self._limit:
            self._working = True
            self._crew.call(self._work)

    async def _work(self) -> None:
        """Handle what is queued, until nothing is left or too much waits for its acknowledgement."""
        begun = 0
        try:
            while self._queue and self._deferred < self._limit:
                socket, event = self._queue.popleft()
                if event is None:
                    self._spaces[socket.namespace].finish(socket)
                else:
                    await self._handle(socket, event)
                self._relax()
                begun += 1
                if begun % _BURST == 0:
                    await asyncio.sleep(0)
        finally:
            self._working = False
            self._queue = self._queue or None

    async def _handle(self, socket: Socket, event: Event) -> None:
        """Have one event handled. After an error it is the application that owes the client an answer."""
        application = self._spaces[socket.namespace].application
        try:
            self._acknowledge(socket, event, await application.event(socket, event.name, event.args))
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            log.exception("the handling of an event in namespace %s was cancelled", socket.namespace)
        except Exception:
            log.exception("an error in the handling of an event in namespace %s", socket.namespace)

    def _acknowledge(self, socket: Socket, event: Event, ack: Ack) -> None:
        """Send the acknowledgement, or see to it that it is sent when it is known."""
        if isinstance(ack, Deferred):
            self._deferred += 1
            ack.then(partial(self._settle, socket, event.ack_id))
        elif ack is not None and event.ack_id is not None:
            socket.answer(event.ack_id, ack)

    def _settle(self, socket: Socket, ack_id: int | None, ack: Sequence[object]) -> None:
        """A deferred acknowledgement is known."""
        self._deferred -= 1
        try:
            if ack_id is not None:
                socket.answer(ack_id, ack)
        except Exception:
            log.exception("a deferred acknowledgement in namespace %s failed", socket.namespace)
        self._relax()
        self._work_on()
