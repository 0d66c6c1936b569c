"""Rows of the section "Presence Management"."""

from tests.api import objects
from tests.api.table.cast import ME, PEER, STRANGER, Cast, Expected, Rows, Told
from tests.harness.shapes import ADDRESS, COUNT, TEXT, TIME, one_of

rows = Rows()


@rows("presence:update-status")
async def update_status(cast: Cast) -> Expected:
    """A user goes away; everybody connected is told."""
    told = objects.status_change(cast.me.user, "online", "away")
    return Expected(
        {"status": "away"},
        {"success": True, "message": "Status updated successfully"},
        (Told("user:status-changed", (ME, PEER, STRANGER), told),),
    )


@rows("presence:online-users")
async def online_users(cast: Cast) -> Expected:
    """Anybody asks who is connected."""
    return Expected({}, {"success": True, "users": [objects.ONLINE_USER], "nextCursor": one_of(None, TEXT)})


@rows("presence:user-status")
async def user_status(cast: Cast) -> Expected:
    """A user asks about itself and sees every field."""
    user = cast.me.user
    presence = {
        "userId": user.id,
        "username": user.username,
        "email": user.email,
        "status": "online",
        "lastSeen": TIME,
        "connectedAt": TIME,
        "socketId": cast.me.sid,
        "userAgent": objects.USER_AGENT,
        "ipAddress": ADDRESS,
    }
    return Expected({"userId": user.id}, {"success": True, "presence": presence})


@rows("presence:stats")
async def stats(cast: Cast) -> Expected:
    """Anybody asks for the figures of the server."""
    figures = {
        "totalUsers": COUNT,
        "onlineUsers": COUNT,
        "awayUsers": COUNT,
        "busyUsers": COUNT,
        "offlineUsers": COUNT,
    }
    return Expected({}, {"success": True, "stats": figures})
