"""Rows of the section "Connection Recovery", and of `auth:refresh`."""

from tests.api import objects
from tests.api.table.cast import ME, PEER, Cast, Expected, Rows, Told
from tests.harness.shapes import COUNT, NUMBER, TEXT, TIME

rows = Rows()


@rows("connection:create-session")
async def create_session(cast: Cast) -> Expected:
    """A socket asks for its recovery session."""
    return Expected(
        {},
        {"success": True, "recoveryToken": TEXT},
        (Told("connection:recovery-token", (ME,), objects.RECOVERY_TOKEN),),
    )


@rows("connection:recover")
async def recover(cast: Cast) -> Expected:
    """A new socket takes up the session of one that has gone, and is handed one missed message."""
    gone = await cast.world.connect(cast.me.user, cast.mode)
    await cast.enter(cast.peer, gone)
    token = (await gone.done("connection:create-session"))["recoveryToken"]
    await gone.disconnect()
    await cast.peer.wait("user:left", userId=cast.me.user.id, deviceCount=0)
    await cast.peer.say(cast.chat_id, "missed")
    missed = objects.message(cast.peer.user, cast.chat_id, "missed", seq=1)
    session = {
        **objects.session(cast.me.user, cast.me.sid, [cast.chat_id], TEXT),
        "messageQueue": [missed],
    }
    recovered = {"message": TEXT, "rooms": [cast.chat_id], "queuedMessages": 1}
    queued = {"messages": [missed], "count": 1, "truncated": False}
    joined = {**objects.membership(cast.me.user, cast.chat_id), "onlineCount": 2, "deviceCount": 1}
    update = {**objects.ONLINE_UPDATE, "chatId": cast.chat_id, "count": 2}
    return Expected(
        {"recoveryToken": token},
        {
            "success": True,
            "message": "Connection recovered successfully",
            "session": session,
            "reset?": [],
            "truncated?": False,
        },
        (
            Told("connection:recovered", (ME,), recovered),
            Told("connection:queued-messages", (ME,), queued),
            Told("connection:recovery-token", (ME,), objects.RECOVERY_TOKEN),
            Told("user:joined", (PEER,), joined),
            Told("room:online-update", (ME, PEER), update),
        ),
        silent=("room:joined",),
    )


@rows("connection:session-info")
async def session_info(cast: Cast) -> Expected:
    """A socket in one room, without a recovery session."""
    await cast.enter(cast.me)
    info = objects.session(cast.me.user, cast.me.sid, [cast.chat_id], None)
    return Expected({}, {"success": True, "sessionInfo": info})


@rows("connection:stats")
async def stats(cast: Cast) -> Expected:
    """Anybody asks for the figures of the server."""
    figures = {
        "activeSessions": COUNT,
        "recoveryTokens": COUNT,
        "queuedMessages": COUNT,
        "averageSessionAge": NUMBER,
    }
    return Expected({}, {"success": True, "stats": figures})


@rows("auth:refresh")
async def refresh(cast: Cast) -> Expected:
    """A new token of the same user."""
    answer = {"success": True, "message": "Token refreshed", "expiresAt": TIME}
    return Expected({"token": cast.me.user.token(7200)}, answer)
