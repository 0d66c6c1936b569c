"""The document's objects as shapes, with the fields that the contract adds."""

from typing import Any

from tests.harness.shapes import (
    ADDRESS,
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    SHARE,
    TEXT,
    TIME,
    UUID,
    one_of,
)
from tests.harness.users import User

USER_AGENT = one_of("", TEXT)
"""The npm client sends no `User-Agent` on a WebSocket."""

MESSAGE = {
    "id": UUID,
    "content": TEXT,
    "type": one_of("text", "image", "file", "audio", "video", "code"),
    "chatId": UUID,
    "userId": TEXT,
    "createdAt": TIME,
    "user": {"id": TEXT, "username": TEXT},
    "seq": COUNT,
    "clientMessageId": one_of(None, TEXT),
}

JOINED_ROOM_INFO = {
    "chatId": UUID,
    "participantCount": COUNT,
    "isActive": FLAG,
    "lastActivity": TIME,
    "name": TEXT,
    "lastSeq": COUNT,
    "unreadCount": COUNT,
    "epoch": TEXT,
}

ROOM_INFO = {
    "chatId": UUID,
    "name": TEXT,
    "description": one_of(None, TEXT),
    "participantCount": COUNT,
    "onlineCount": COUNT,
    "isActive": FLAG,
    "lastActivity": TIME,
}

ROOM_SUMMARY = {
    "chatId": UUID,
    "name": TEXT,
    "participantCount": COUNT,
    "lastActivity": TIME,
    "unreadCount": COUNT,
    "lastMessage": one_of(None, MESSAGE),
}

ONLINE_USER = {
    "userId": TEXT,
    "username": TEXT,
    "status": one_of("online", "away", "busy"),
    "lastSeen": TIME,
    "connectedAt": TIME,
}

ONLINE_UPDATE = {
    "chatId": UUID,
    "onlineUsers": [ONLINE_USER],
    "count": COUNT,
    "timestamp": TIME,
    "truncated?": True,
}

METRICS = {
    "totalConnections": COUNT,
    "activeConnections": COUNT,
    "failedConnections": COUNT,
    "averageConnectionDuration": NUMBER,
    "peakConnections": COUNT,
    "connectionsPerMinute": NUMBER,
    "lastReset": TIME,
}

CONNECTION_EVENT = {
    "type": one_of("connect", "disconnect", "error", "rate_limit", "auth_failure"),
    "socketId": one_of(None, TEXT),
    "userId": one_of(None, TEXT),
    "ipAddress": ADDRESS,
    "userAgent": USER_AGENT,
    "timestamp": TIME,
    "details": OBJECT,
}

MONITORING_STATS = {
    "metrics": METRICS,
    "recentEvents": [CONNECTION_EVENT],
    "topIPs": [{"ip": ADDRESS, "count": COUNT}],
    "topUserAgents": [{"userAgent": USER_AGENT, "count": COUNT}],
    "errorRate": SHARE,
}

HEALTH = {
    "status": one_of("healthy", "warning", "critical"),
    "issues": [TEXT],
    "recommendations": [TEXT],
}

RECOVERY_TOKEN = {"token": TEXT, "expiresAt": TIME}


def membership(user: User, chat_id: str) -> dict[str, Any]:
    """`user:joined` and `user:left` of that user."""
    return {
        "userId": user.id,
        "username": user.username,
        "chatId": chat_id,
        "onlineCount": COUNT,
        "deviceCount": COUNT,
        "timestamp": TIME,
    }


def message(user: User, chat_id: str, content: str, **more: Any) -> dict[str, Any]:
    """A message of that user."""
    fields = {
        "content": content,
        "type": "text",
        "chatId": chat_id,
        "userId": user.id,
        "user": {"id": user.id, "username": user.username},
        "clientMessageId": None,
    }
    return {**MESSAGE, **fields, **more}


def receipt(user: User, chat_id: str, message_id: str, delivered: int, read: int) -> dict[str, Any]:
    """`message:delivered` and `message:read` by that user."""
    return {
        "messageId": message_id,
        "chatId": chat_id,
        "userId": user.id,
        "deliveredCount": delivered,
        "readCount": read,
        "timestamp": TIME,
    }


def typing(user: User, chat_id: str, is_typing: bool) -> dict[str, Any]:
    """`user:typing` of that user."""
    return {
        "userId": user.id,
        "username": user.username,
        "chatId": chat_id,
        "isTyping": is_typing,
        "timestamp": TIME,
    }


def status_change(user: User, old: str, new: str) -> dict[str, Any]:
    """`user:status-changed` of that user."""
    return {
        "userId": user.id,
        "username": user.username,
        "status": new,
        "oldStatus": old,
        "newStatus": new,
        "lastSeen": TIME,
        "timestamp": TIME,
    }


def presence_told(user: User, status: str) -> dict[str, Any]:
    """`user:online` and `user:offline` of that user."""
    return {
        "userId": user.id,
        "username": user.username,
        "status": status,
        "lastSeen": TIME,
        "timestamp": TIME,
    }


def session(user: User, socket_id: str, rooms: list[str], token: Any) -> dict[str, Any]:
    """A socket's session."""
    return {
        "userId": user.id,
        "socketId": socket_id,
        "connectedAt": TIME,
        "lastActivity": TIME,
        "rooms": rooms,
        "messageQueue": [],
        "recoveryToken": token,
    }
