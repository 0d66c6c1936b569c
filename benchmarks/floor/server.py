"""`python -m benchmarks.floor.server`: one `send(2)` per delivery and as little else as can be.

Rooms, no checks, no memory of anything, blocking sockets: what the kernel asks for delivering without
batching, in the smallest Python loop around it.
"""

import base64
import hashlib
import json
import select
import socket
from dataclasses import dataclass, field

from benchmarks.load.wire import frame

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIELDS = {
    "id": "00000000-0000-7000-8000-000000000000",
    "type": "text",
    "chatId": "00000000-0000-7000-8000-000000000000",
    "userId": "user-0",
    "createdAt": "2025-01-09T21:30:00.000Z",
    "user": {"id": "user-0", "username": "user-0"},
}
_OPEN = b'0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
_HEAD = b'42/chat,["message:new",' + json.dumps(_FIELDS, separators=(",", ":")).encode()[:-1]


@dataclass(slots=True)
class Room:
    """The clients that joined, in that order, and the number of the last message."""

    members: "list[Client]" = field(default_factory=list)
    seq: int = 0


@dataclass(slots=True, eq=False)
class Client:
    """A connection and the bytes of it that are not a whole frame yet."""

    sock: socket.socket
    pending: bytes = b""
    upgraded: bool = False
    room: Room | None = None


@dataclass(slots=True)
class FloorServer:
    """Serves until it is killed. A client is in one room at most."""

    listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=1024)
    )
    rooms: dict[str, Room] = field(default_factory=dict)

    def run(self) -> None:
        """Print the address and serve."""
        clients: dict[int, Client] = {}
        poll = select.epoll()
        poll.register(self.listener, select.EPOLLIN)
        print(f"listening on http://127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.listener.fileno():
                    sock, _ = self.listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    clients[sock.fileno()] = Client(sock)
                    poll.register(sock, select.EPOLLIN)
                elif not self._read(clients[descriptor]):
                    client = clients.pop(descriptor)
                    poll.unregister(descriptor)
                    self.gone(client)
                    client.sock.close()

    def deliver(self, room: Room, message: bytes) -> None:
        """The loop that is measured."""
        for client in room.members:
            client.sock.send(message)

    def _read(self, client: Client) -> bool:
        try:
            received = client.sock.recv(65536)
        except ConnectionError:
            return False
        client.pending += received
        if not client.upgraded:
            self._upgrade(client)
        while len(client.pending) >= 6:
            head = client.pending
            size, mask = head[1] & 127, 2
            if size == 126:
                size, mask = int.from_bytes(head[2:4], "big"), 4
            end = mask + 4 + size
            if len(head) < end:
                break
            key = int.from_bytes((head[mask : mask + 4] * (size // 4 + 1))[:size], "big")
            client.pending = head[end:]
            self._packet(client, (int.from_bytes(head[mask + 4 : end], "big") ^ key).to_bytes(size, "big"))
        return bool(received)

    def _upgrade(self, client: Client) -> None:
        head, end, client.pending = client.pending.partition(b"\r\n\r\n")
        if not end:
            client.pending = head
            return
        key = next(
            line[18:].strip() for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key:")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        client.sock.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            + frame(_OPEN)
        )  # fmt: skip
        client.upgraded = True

    def _packet(self, client: Client, payload: bytes) -> None:
        if payload.startswith(b"40/chat,"):
            self.connect(client, json.loads(payload[8:]))
        elif payload.startswith(b"42/chat,"):
            number, _, rest = payload[8:].partition(b"[")
            event, request = json.loads(b"[" + rest)
            self.request(client, number, event, request)

    def connect(self, client: Client, auth: dict[str, str]) -> None:
        """Let in whoever it is."""
        client.sock.send(frame(b'40/chat,{"sid":"floor"}'))

    def request(self, client: Client, number: bytes, event: str, request: dict[str, str]) -> None:
        """Join the client to a room, or deliver its message; then the ack."""
        room = self.rooms.setdefault(request["chatId"], Room())
        if event == "join:chat":
            client.room = room
            room.members.append(client)
        else:
            room.seq += 1
            own = {
                "content": request["content"],
                "seq": room.seq,
                "clientMessageId": request["clientMessageId"],
            }
            text = json.dumps(own, separators=(",", ":"))
            self.deliver(room, frame(_HEAD + b"," + text[1:].encode() + b"]"))
        client.sock.send(frame(b'43/chat,%b[{"success":true}]' % number))

    def gone(self, client: Client) -> None:
        """Forget a client whose connection has ended."""
        if client.room is not None:
            client.room.members.remove(client)


if __name__ == "__main__":
    FloorServer().run()
