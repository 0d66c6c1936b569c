# ruff: noqa
"""A node that notices late that a client has gone stores its end over what the next node has stored: a room that was
joined there is lost, and the client is told that it is recovered. Run: copy it to tests/nodes, then pytest -n 0
"""

import asyncio
import json

from tests.harness.raw_client import RawSocket
from tests.harness.users import new_user
from tests.nodes.conftest import *  # fixtures
from tests.nodes.several import several


def welcome(raw: RawSocket) -> dict:
    head = "40/chat,"
    return json.loads(next(p for p in raw.packets if p.startswith(head))[len(head) :])


async def test_a_room_joined_on_the_next_node(tmp_path, postgres_server, valkey) -> None:
    database = (postgres_server, postgres_server.create())
    async with several(tmp_path, database, valkey.url, 3, ping_interval="4s", ping_timeout="4s") as nodes:
        user, other = new_user(), new_user()
        x, y = await nodes.chat_of(other, user), await nodes.chat_of(other, user)
        peer = await nodes.connect(2, other)
        for chat in (x, y):
            await peer.join(chat)
        first = nodes.worlds[0].raw()
        await first.connect({"token": user.token()})
        answer = await first.request(JOIN, {"chatId": x})
        assert answer["success"], answer
        pid, sid = welcome(first)["pid"], welcome(first)["sid"]
        first.answer_heartbeats = False  # from here on the first node hears nothing of it
        second = nodes.worlds[1].raw()
        await second.connect({"token": user.token(), "pid": pid})
        assert welcome(second)["sid"] == sid, "recovered on the second node"
        answer = await second.request(JOIN, {"chatId": y})
        assert answer["success"], answer
        await first.inbox.wait("$disconnect", timeout=30)  # the first node notices, and stores that end
        await asyncio.sleep(1)
        await nodes.server(1).kill()  # the second node has no time to store anything
        third = nodes.worlds[2].raw()
        await third.connect({"token": user.token(), "pid": pid})
        recovered = welcome(third)["sid"] == sid
        await peer.say(y, "for both rooms")
        await peer.say(x, "for both rooms")
        await third.wait_event("message:new")
        await asyncio.sleep(1)
        got = {one["chatId"] for one in third.events("message:new")}
        print("recovered:", recovered, "rooms heard:", {x: "x", y: "y"}[got.pop()] if len(got) == 1 else "both")
        assert not recovered or got == {x, y}
JOIN = "join:chat"
