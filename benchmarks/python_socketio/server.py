"""`python -m benchmarks.python_socketio.server`: python-socketio's own server on uvicorn, as the peer.

Joins, broadcasts, acknowledges. In memory, with no check of anything: the least honest amount of the work
that hubbub does, and the same as `node/server.mjs` does. Prints its address when it can be connected to.
"""

import os
import socket
import uuid
from datetime import UTC, datetime
from typing import Any

import socketio
import uvicorn

_NAMESPACE = "/chat"
_Body = dict[str, Any]

presence = "BENCHMARK_PRESENCE" in os.environ
users: dict[str, dict[str, str]] = {}
last_seq: dict[str, int] = {}
sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _tell_presence(event: str, sid: str, status: str) -> None:
    body = {**users[sid], "status": status, "lastSeen": _now(), "timestamp": _now()}
    await sio.emit(event, body, skip_sid=sid, namespace=_NAMESPACE)


async def connect(sid: str, _environ: _Body, auth: dict[str, str]) -> None:
    """Remember who it says it is."""
    users[sid] = {"userId": auth["userId"], "username": auth["username"]}
    if presence:
        await _tell_presence("user:online", sid, "online")


async def disconnect(sid: str, _reason: str) -> None:
    """Forget it."""
    if presence:
        await _tell_presence("user:offline", sid, "offline")
    del users[sid]


async def join(sid: str, body: _Body) -> _Body:
    """Enter a room."""
    await sio.enter_room(sid, body["chatId"], namespace=_NAMESPACE)
    return {"success": True, "message": "Joined chat successfully"}


async def send(sid: str, body: _Body) -> _Body:
    """Number a message and tell the room."""
    chat = body["chatId"]
    last_seq[chat] = seq = last_seq.get(chat, 0) + 1
    user = users[sid]
    message = {
        "id": str(uuid.uuid4()),
        "content": body["content"],
        "type": body["type"],
        "chatId": chat,
        "userId": user["userId"],
        "createdAt": _now(),
        "user": {"id": user["userId"], "username": user["username"]},
        "seq": seq,
        "clientMessageId": body["clientMessageId"],
    }
    await sio.emit("message:new", message, room=chat, namespace=_NAMESPACE)
    return {"success": True, "message": "Message sent successfully", "sentMessage": message}


async def typing(sid: str, body: _Body) -> _Body:
    """Tell the others in the room."""
    told = {**users[sid], "chatId": body["chatId"], "isTyping": body["isTyping"], "timestamp": _now()}
    await sio.emit("user:typing", told, room=body["chatId"], skip_sid=sid, namespace=_NAMESPACE)
    return {"success": True, "message": "Typing status updated"}


async def read(sid: str, body: _Body) -> _Body:
    """Tell the room."""
    told = {
        "messageId": body["messageId"],
        "chatId": body["chatId"],
        "userId": users[sid]["userId"],
        "deliveredCount": 1,
        "readCount": 1,
        "timestamp": _now(),
    }
    await sio.emit("message:read", told, room=body["chatId"], namespace=_NAMESPACE)
    return {"success": True, "message": "Message marked as read"}


_HANDLERS = {
    "connect": connect,
    "disconnect": disconnect,
    "join:chat": join,
    "message:send": send,
    "message:typing": typing,
    "message:read": read,
}


def main() -> None:
    """Serve until it is told to end."""
    for event, handler in _HANDLERS.items():
        sio.on(event, handler, namespace=_NAMESPACE)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    app = socketio.ASGIApp(sio)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Engine.IO has heartbeats of its own
    )
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
