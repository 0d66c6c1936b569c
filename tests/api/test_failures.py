"""Every documented failure: its text, its code, and one acknowledgement (contract, section 2)."""

import json
from typing import Any

import pytest

from hubbub.contract import requests
from tests.harness.clients import NAMESPACE
from tests.harness.shapes import check, differences, failure, invalid
from tests.harness.users import new_user
from tests.harness.world import World

NO_CHAT = failure("Chat not found or access denied", "NOT_FOUND")
NO_MESSAGE = failure("Message not found", "NOT_FOUND")
NO_USER = failure("User not found", "NOT_FOUND")
NOT_IN_ROOM = failure("User not in this room", "NOT_IN_ROOM")
UNKNOWN_EVENT = failure("Unknown event", "INVALID_REQUEST")
EVENTS = [request.event for request in requests.ALL]

UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"

OF_A_CHAT: dict[str, dict[str, Any]] = {
    "join:chat": {},
    "room:info": {},
    "room:online": {},
    "message:send": {"content": "hello"},
    "message:typing-users": {},
    "message:delivered": {"messageId": UNKNOWN_ID},
    "message:read": {"messageId": UNKNOWN_ID},
}
"""Requests that are refused to who may not see the chat, with the fields beside `chatId`."""

FIELDS: dict[str, dict[str, Any]] = {
    "join:chat": {"chatId": UNKNOWN_ID},
    "leave:chat": {"chatId": UNKNOWN_ID},
    "room:info": {"chatId": UNKNOWN_ID},
    "room:online": {"chatId": UNKNOWN_ID},
    "message:send": {"chatId": UNKNOWN_ID, "content": "hello"},
    "message:typing": {"chatId": UNKNOWN_ID, "isTyping": True},
    "message:typing-users": {"chatId": UNKNOWN_ID},
    "message:delivered": {"chatId": UNKNOWN_ID, "messageId": UNKNOWN_ID},
    "message:read": {"chatId": UNKNOWN_ID, "messageId": UNKNOWN_ID},
    "message:delivery-status": {"messageId": UNKNOWN_ID},
    "presence:update-status": {"status": "away"},
    "presence:user-status": {"userId": UNKNOWN_ID},
    "connection:recover": {"recoveryToken": "x"},
    "auth:refresh": {"token": "x"},
}
"""The required fields of each request that has some."""

OPTIONAL: dict[str, dict[str, list[Any]]] = {
    "room:list": {"limit": [0, 201, -1, 1.5, "5", True], "cursor": [7, {}, "garbage"]},
    "presence:online-users": {"limit": [0, 201, "5", False], "cursor": [7, "garbage"]},
    "monitoring:events": {"limit": [0, 1001, "5", True], "type": ["party", 7], "userId": [7, {}], "ip": [7]},
}
"""Optional fields with values that are of a wrong type or out of range."""

WRONG_TEXT: list[Any] = [7, 0.5, True, None, [], {}, ["x"]]
WRONG_FLAG: list[Any] = [0, 1, "true", None, [], {}]
MAY_BE_EMPTY = ("content", "token", "recoveryToken")
"""Texts for which an empty one has an answer of its own."""


def bad_payloads() -> list[tuple[str, dict[str, Any]]]:
    """Every required field missing and of each wrong type; every optional field out of its range."""
    rows = []
    for event, fields in FIELDS.items():
        for name, value in fields.items():
            rows.append((event, {key: part for key, part in fields.items() if key != name}))
            wrong = WRONG_FLAG if isinstance(value, bool) else WRONG_TEXT
            rows += [(event, {**fields, name: bad}) for bad in wrong]
            if wrong is WRONG_TEXT and name not in MAY_BE_EMPTY:
                rows.append((event, {**fields, name: ""}))
            if name.endswith("Id"):
                rows += [(event, {**fields, name: bad}) for bad in ("x" * 129, "a\nb", "\u0000")]
    for event, ranges in OPTIONAL.items():
        rows += [(event, {name: bad}) for name, values in ranges.items() for bad in values]
    return rows


@pytest.mark.parametrize("event", sorted(FIELDS.keys() | OPTIONAL.keys()))
async def test_invalid_fields(world: World, event: str) -> None:
    """A missing field, a wrong type and a value out of range are refused; `bool` is no number."""
    client = await world.connect()
    found = []
    for name, payload in bad_payloads():
        if name == event:
            answer = await client.request(event, payload)
            found += [f"{payload}: {problem}" for problem in differences(answer, invalid())]
    assert not found, "\n".join(found)


SPECIAL = [
    ("message:send", {"chatId": UNKNOWN_ID, "content": "hello", "type": "gif"}, "type"),
    ("message:send", {"chatId": UNKNOWN_ID, "content": "hello", "type": 7}, "type"),
    ("message:send", {"chatId": UNKNOWN_ID, "content": "hello", "clientMessageId": ""}, "clientMessageId"),
    (
        "message:send",
        {"chatId": UNKNOWN_ID, "content": "hello", "clientMessageId": "x" * 65},
        "clientMessageId",
    ),
    ("message:send", {"chatId": UNKNOWN_ID, "content": "hello", "clientMessageId": 7}, "clientMessageId"),
    ("message:read", {"chatId": UNKNOWN_ID}, None),
    ("message:read", {"chatId": UNKNOWN_ID, "messageIds": []}, "messageIds"),
    ("message:read", {"chatId": UNKNOWN_ID, "messageIds": [UNKNOWN_ID] * 501}, "messageIds"),
    ("message:delivered", {"chatId": UNKNOWN_ID, "messageIds": UNKNOWN_ID}, "messageIds"),
    ("message:delivered", {"chatId": UNKNOWN_ID, "messageIds": [7]}, None),
    ("presence:update-status", {"status": "offline"}, "status"),
    ("presence:update-status", {"status": "AWAY!"}, "status"),
    ("connection:recover", {"recoveryToken": "x", "lastSeq": []}, "lastSeq"),
    ("connection:recover", {"recoveryToken": "x", "lastSeq": {UNKNOWN_ID: -1}}, None),
    ("connection:recover", {"recoveryToken": "x", "lastSeq": {UNKNOWN_ID: True}}, None),
    ("connection:recover", {"recoveryToken": "x", "epoch": 7}, "epoch"),
]


@pytest.mark.parametrize(("event", "payload", "field"), SPECIAL)
async def test_invalid_value(world: World, event: str, payload: Any, field: str | None) -> None:
    """`details` names the field by its name on the wire and says what is wrong."""
    client = await world.connect()
    answer = await client.refused(event, payload)
    check(answer, invalid())
    if field is not None:
        assert [detail["field"] for detail in answer["details"]] == [field]


async def test_message_content(world: World) -> None:
    """Empty and too long content are refused in the document's words."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    for empty in ("", "   ", "\n\t ", "\u0007\u001b"):
        answer = await client.refused("message:send", {"chatId": chat_id, "content": empty})
        assert not differences(
            {**answer, "details": None},
            failure("Message content cannot be empty", "INVALID_REQUEST", details=None),
        )
    answer = await client.refused("message:send", {"chatId": chat_id, "content": "x" * 4001})
    assert answer["message"] == "Message content too long (max 4000 characters)"
    assert answer["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("event", OF_A_CHAT)
async def test_hidden_chat(world: World, event: str) -> None:
    """An outsider is told the same of a private chat as of one that does not exist."""
    owner, outsider = new_user("owner"), new_user("outsider")
    chat_id = await world.chat_of(owner)
    client = await world.connect(outsider)
    fields = OF_A_CHAT[event]
    hidden = await client.refused(event, {"chatId": chat_id, **fields})
    unknown = await client.refused(event, {"chatId": UNKNOWN_ID, **fields})
    check(hidden, NO_CHAT)
    assert hidden == unknown


async def test_hidden_chat_by_every_client(world: World, mode: str) -> None:
    """Failures look the same to every client."""
    client = await world.connect(mode=mode)
    check(await client.request("join:chat", {"chatId": UNKNOWN_ID}), NO_CHAT)
    check(await client.request("join:chat", {}), invalid())
    check(await client.request("no:such"), UNKNOWN_EVENT)


@pytest.mark.parametrize(("event", "more"), [("leave:chat", {}), ("message:typing", {"isTyping": True})])
async def test_not_in_room(world: World, event: str, more: dict[str, Any]) -> None:
    """A member whose socket has not joined is told so, and an outsider learns nothing else."""
    owner, outsider = new_user("owner"), new_user("outsider")
    chat_id = await world.chat_of(owner)
    member, stranger = await world.connect_all(owner, outsider)
    payload = {"chatId": chat_id, **more}
    check(await member.request(event, payload), NOT_IN_ROOM)
    hidden = await stranger.refused(event, payload)
    assert hidden == await stranger.refused(event, {**payload, "chatId": UNKNOWN_ID})


async def test_no_such_message(world: World) -> None:
    """A message id that is not in that chat, even one of another chat, is not found."""
    user = new_user()
    chat_id, other_id = await world.chat_of(user), await world.chat_of(user)
    client = await world.connect(user)
    elsewhere = (await client.say(other_id, "elsewhere"))["id"]
    for event in ("message:delivered", "message:read"):
        for message_id in (UNKNOWN_ID, elsewhere):
            check(await client.request(event, {"chatId": chat_id, "messageId": message_id}), NO_MESSAGE)
    check(await client.request("message:delivery-status", {"messageId": UNKNOWN_ID}), NO_MESSAGE)


async def test_delivery_status_is_for_members(world: World) -> None:
    """An outsider who knows a message's id is told no more than that there is none."""
    owner = new_user("owner")
    chat_id = await world.chat_of(owner)
    member, outsider = await world.connect_all(owner, new_user())
    message_id = (await member.say(chat_id, "secret"))["id"]
    hidden = await outsider.refused("message:delivery-status", {"messageId": message_id})
    assert hidden == await outsider.refused("message:delivery-status", {"messageId": UNKNOWN_ID})


async def test_no_such_user(world: World) -> None:
    """`presence:user-status` of an unknown user."""
    client = await world.connect()
    check(await client.request("presence:user-status", {"userId": UNKNOWN_ID}), NO_USER)


@pytest.mark.parametrize(
    "event", ["no:such-event", "message:new", "user:online", "ping", "__class__", "x" * 128]
)
async def test_unknown_event(world: World, event: str) -> None:
    """Names that are no requests are answered so, broadcasts' names too, and the connection stays."""
    client = await world.connect()
    check(await client.request(event), UNKNOWN_EVENT)
    await client.done("room:list")


async def test_unknown_fields_are_ignored(world: World) -> None:
    """A request may say more than it is asked, whatever the fields are called."""
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    more = {"more": [1, {"deep": None}], "__proto__": {"x": 1}, "constructor": 1, "success": False}
    await client.done("join:chat", {"chatId": chat_id, **more})
    sent = (await client.done("message:send", {"chatId": chat_id, "content": "hi", "seq": 99, **more}))[
        "sentMessage"
    ]
    assert sent["seq"] == 1


@pytest.mark.parametrize("event", [*EVENTS, "no:such-event"])
async def test_acknowledged_exactly_once(world: World, event: str) -> None:
    """Whatever comes with it, each request has one acknowledgement with one failure or answer in it.

    A request that asks for no acknowledgement gets none.
    """
    socket = world.raw()
    await socket.connect({"token": new_user().token()})
    bodies: list[list[Any]] = [[], [None], [{}], ["text"], [[1, 2]], [7], [{}, {}], [{"chatId": UNKNOWN_ID}]]
    for number, body in enumerate(bodies):
        await socket.send(f"42{NAMESPACE},{number}{json.dumps([event, *body])}")
        await socket.send(f"42{NAMESPACE},{json.dumps([event, *body])}")
    await socket.request("room:list", {})
    await socket.request("room:list", {})
    acks = [packet for packet in socket.packets if packet.startswith("43")]
    numbers = [int(packet.removeprefix(f"43{NAMESPACE},").split("[")[0]) for packet in acks]
    assert sorted(numbers) == sorted([*range(len(bodies)), 1001, 1002])
    for answer in socket.answers():
        assert isinstance(answer["success"], bool)
        assert answer["success"] or answer["code"] in {
            "INVALID_REQUEST",
            "NOT_FOUND",
            "NOT_IN_ROOM",
            "UNAUTHENTICATED",
        }


async def test_answers_in_order(world: World) -> None:
    """The requests of one socket are handled in the order in which they came."""
    user = new_user()
    chat_id = await world.chat_of(user)
    socket = world.raw()
    await socket.connect({"token": user.token()})
    for number in range(100, 150):
        event = ["message:send", {"chatId": chat_id, "content": f"m{number}"}]
        await socket.send(f"42{NAMESPACE},{number}{json.dumps(event)}")
    await socket.request("room:list", {})
    answers = [socket.answers(number)[0]["sentMessage"] for number in range(100, 150)]
    assert [answer["seq"] for answer in answers] == list(range(1, 51))
    assert [answer["content"] for answer in answers] == [f"m{number}" for number in range(100, 150)]
