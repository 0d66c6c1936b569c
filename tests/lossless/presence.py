"""I11: once all is quiet, every node knows who is there, and nobody else is (no ghosts)."""

import asyncio
import time
from typing import Final

from tests.lossless.arena import Arena
from tests.lossless.clients import PATIENCE, Session
from tests.lossless.links import LinkLost
from tests.lossless.violations import Violation

CONVERGED: Final = 15.0
"""Seconds until the users of a dead node are offline, as promised; everything else is faster."""


async def judge_presence(arena: Arena, seconds: float = CONVERGED) -> list[Violation]:
    """Ask every session, on whichever node it is, until all say what is so; what some say otherwise."""
    deadline = time.monotonic() + seconds
    users = {session.role.user.id for session in arena.sessions if session.up.is_set()}
    rooms = {
        chat: {session.role.user.id for session in arena.sessions if chat in session.rooms}
        for chat in arena.chats
    }
    while True:
        told = await asyncio.gather(*(_wrong(session, users, rooms) for session in arena.sessions))
        wrong = [one for many in told for one in many]
        if not wrong or time.monotonic() > deadline:
            return [Violation("I11 presence", f"after {seconds:g} s: {one}") for one in wrong]
        await asyncio.sleep(0.2)


async def _wrong(session: Session, users: set[str], rooms: dict[str, set[str]]) -> list[str]:
    """What a session is told that is not so."""
    try:
        answer = await session.request("presence:online-users", {"limit": 200}, PATIENCE)
        online = {user["userId"] for user in answer["users"]}
        counts = {}
        for chat in session.rooms:
            info = await session.request("room:info", {"chatId": chat}, PATIENCE)
            counts[chat] = info["roomInfo"]["onlineCount"]
    except (LinkLost, TimeoutError, KeyError) as error:
        return [f"{session.role.name} is not answered: {error!r}"]
    wrong = []
    if online != users:
        told = f"{len(online - users)} ghosts, {len(users - online)} unknown"
        wrong.append(f"{session.role.name} is told of {len(online)} users online, {told}")
    for chat, count in counts.items():
        if count != len(rooms[chat]):
            wrong.append(f"{session.role.name} is told of {count} users in {chat}, not {len(rooms[chat])}")
    return wrong
