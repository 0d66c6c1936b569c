"""The table: each request of the document by each client and transport, field by field.

The answer has every documented field with its type and format and no others but those that the contract
names, and each broadcast reaches exactly those whom the document says, once.
"""

from typing import Any

import pytest

from hubbub.contract import requests
from tests.api.table import connection, messages, monitoring, presence, rooms
from tests.api.table.cast import STRANGER, Cast, Expected, Told, cast_for, told_nothing_yet
from tests.harness.clients import settle
from tests.harness.shapes import check
from tests.harness.world import World

ROWS = rooms.rows | messages.rows | presence.rows | connection.rows | monitoring.rows

PRESENCE = ("user:online", "user:offline")
"""Told of other tests' users as well: they stay for the offline grace."""


def test_the_table_is_whole() -> None:
    """Every request that the contract knows has a row: the document's 24, and `auth:refresh`."""
    assert {request.event for request in requests.ALL} == set(ROWS)
    assert len(ROWS) == 25


@pytest.mark.parametrize("event", ROWS)
async def test_request(world: World, mode: str, event: str) -> None:
    """The request is answered as documented and tells exactly those whom it must."""
    cast = await cast_for(world, mode)
    expected = await ROWS[event](cast)
    await told_nothing_yet(cast)
    answer = await cast.me.request(event, expected.payload)
    check(answer, expected.answer)
    for told in expected.told:
        await arrived(cast, told)
    await settle(*cast.everybody().values())
    nothing_else(cast, expected)


async def arrived(cast: Cast, told: Told) -> None:
    """Each receiver has the event, in the documented shape, exactly once.

    `room:online-update` may come more often, since the state before may be told late; its last one counts.
    """
    for part in told.to:
        client = cast.everybody()[part]
        if told.name == "room:online-update":
            check(await client.wait(told.name, count=told.shape["count"]), told.shape)
        else:
            await client.wait(told.name)


def nothing_else(cast: Cast, expected: Expected) -> None:
    """Nobody was told anything that the row does not name."""
    for part, client in cast.everybody().items():
        known = {told.name: told.shape for told in expected.told if part in told.to}
        for name, shape in known.items():
            payloads = client.seen(name)
            if name != "room:online-update":
                assert len(payloads) == 1, f"{part} got {name} {len(payloads)} times"
                check(payloads[0], shape)
        surprises = [
            f"{event.name} {event.args}"
            for event in client.inbox.log
            if event.name not in known and not is_noise(cast, part, event.name, event.payload, expected)
        ]
        assert not surprises, f"{part} was also told {surprises}"
        wrong = [
            event
            for event in client.inbox.log
            if not event.name.startswith("$") and not has_one_payload(event.args)
        ]
        assert not wrong, f"{part} got events with other than one payload: {wrong}"


def is_noise(cast: Cast, part: str, name: str, payload: Any, expected: Expected) -> bool:
    """Whether the event comes from what was before."""
    if name in PRESENCE:
        return payload["userId"] not in {client.user.id for client in cast.everybody().values()}
    if name == "room:online-update":
        asked = any(told.name == name for told in expected.told)
        return not asked and part != STRANGER and payload["chatId"] == cast.chat_id
    return name.startswith("$") or name in expected.silent


def has_one_payload(args: list[Any]) -> bool:
    """One object, and for sockets with state recovery the offset behind it."""
    return isinstance(args[0], dict) and (len(args) == 1 or (len(args) == 2 and isinstance(args[1], str)))
