"""An event that is encoded once, however many sockets it goes to.

A JavaScript client with connection state recovery takes any string at the end of an event's arguments for the
event's offset, and names the last one it saw when it comes back. So such sockets get the event with the
offset appended, all others get it without: two variants of the same bytes, each made when the first socket
needs it.
"""

from collections.abc import Sequence

from hubbub.engineio import Prepared, prepare_binary, prepare_text
from hubbub.socketio.payloads import encode_json


class Outgoing:
    """One encoded event, to be sent to any number of sockets. Made by `Server.encode`; never changed."""

    __slots__ = ("_attachments", "_marked", "_offset", "_plain", "_text")

    def __init__(self, text: bytes, attachments: Sequence[bytes] = (), offset: str | None = None) -> None:
        """`text` is that of an EVENT, so it ends with the `]` of its arguments."""
        self._text = text
        self._attachments = attachments
        self._offset = offset
        self._plain: tuple[Prepared, ...] | None = None
        self._marked: tuple[Prepared, ...] | None = None

    @property
    def plain(self) -> tuple[Prepared, ...]:
        """The text and the attachments, without the offset."""
        if self._plain is None:
            self._plain = self._prepare(self._text)
        return self._plain

    @property
    def marked(self) -> tuple[Prepared, ...]:
        """The same with the offset as its last argument; the same as `plain` when it has none."""
        if self._offset is None:
            return self.plain
        if self._marked is None:
            self._marked = self._prepare(b"%b,%b]" % (self._text[:-1], encode_json(self._offset)))
        return self._marked

    def _prepare(self, text: bytes) -> tuple[Prepared, ...]:
        return (prepare_text(text), *map(prepare_binary, self._attachments))
