"""The documented limits: the first N succeed exactly, request N+1 is refused (contract, section 8)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import Client, RefusedError
from tests.harness.inbox import watch
from tests.harness.servers import RATES_OFF
from tests.harness.shapes import RETRY_AFTER, check, failure
from tests.harness.users import new_user

MESSAGES = failure("Message rate limit exceeded. Please slow down.", "RATE_LIMITED", retryAfter=RETRY_AFTER)
TYPING = failure("Typing rate limit exceeded. Please slow down.", "RATE_LIMITED", retryAfter=RETRY_AFTER)
REQUESTS = failure("Request rate limit exceeded. Please slow down.", "RATE_LIMITED", retryAfter=RETRY_AFTER)

FIVE = {"message_rate": "5/1m", "typing_rate": "5/1m"}

Step = Callable[[Client, str], Awaitable[dict[str, Any]]]


async def send(client: Client, chat_id: str) -> dict[str, Any]:
    """One message."""
    return await client.request("message:send", {"chatId": chat_id, "content": "hello"})


async def type_(client: Client, chat_id: str) -> dict[str, Any]:
    """One typing event."""
    return await client.request("message:typing", {"chatId": chat_id, "isTyping": True})


async def ask(client: Client, chat_id: str) -> dict[str, Any]:
    """One request of another kind."""
    return await client.request("room:info", {"chatId": chat_id})


KINDS = [
    pytest.param(send, MESSAGES, id="messages"),
    pytest.param(type_, TYPING, id="typing"),
]


@pytest.mark.parametrize(("step", "refused"), KINDS)
async def test_rate(world_with: Worlds, step: Step, refused: Any) -> None:
    """A user has N in the window over all sockets, at whatever pace; other users have their own."""
    world = await world_with(**FIVE)
    user, other = new_user(), new_user()
    chat_id, (first, peer) = await world.room_of(user, other)
    second = await world.connect(user)
    await second.join(chat_id)
    answers = await asyncio.gather(*(step(client, chat_id) for client in (first, second) * 6))
    assert sum(answer["success"] for answer in answers) == 5
    failures = [answer for answer in answers if not answer["success"]]
    for answer in failures:
        check(answer, refused)
        assert answer["retryAfter"] <= 60
    assert (await step(peer, chat_id))["success"]


@pytest.mark.parametrize(("step", "refused"), KINDS)
async def test_rate_ends(world_with: Worlds, step: Step, refused: Any) -> None:
    """After `retryAfter` the next one succeeds."""
    world = await world_with(message_rate="2/1s", typing_rate="2/1s")
    user = new_user()
    chat_id, (client,) = await world.room_of(user)
    answers = [await step(client, chat_id) for _ in range(3)]
    assert [answer["success"] for answer in answers] == [True, True, False]
    assert answers[2]["retryAfter"] == 1
    await watch(answers[2]["retryAfter"])
    assert (await step(client, chat_id))["success"]


async def test_refused_message_is_invisible(world_with: Worlds) -> None:
    """A message beyond the limit is neither stored nor told."""
    world = await world_with(**FIVE)
    chat_id, (client, peer) = await world.room_of(new_user(), new_user())
    for _ in range(7):
        await send(client, chat_id)
    await peer.say(chat_id, "last")
    await peer.wait("message:new", content="last")
    assert [message["seq"] for message in peer.seen("message:new")] == [1, 2, 3, 4, 5, 6]


async def test_request_rate(world_with: Worlds) -> None:
    """All requests of a user together have a limit of their own, whatever they are."""
    world = await world_with(request_rate="10/1m")
    user = new_user()
    chat_id = await world.chat_of(user)
    client = await world.connect(user)
    answers = [await step(client, chat_id) for step in (ask, send) * 6]
    # The chat was made by two requests of the same user over HTTP, which may count.
    succeeded = [answer["success"] for answer in answers]
    assert 8 <= sum(succeeded) <= 10
    assert succeeded == sorted(succeeded, reverse=True)
    check(answers[-1], REQUESTS)
    check(answers[-2], REQUESTS)


async def test_documented_defaults(start: Worlds) -> None:
    """With no settings: 5 connects in 5 minutes, 100 messages and 10 typing events a minute."""
    world = await start(**dict.fromkeys(RATES_OFF))
    user = new_user()
    chat_id, (client,) = await world.room_of(user)
    typed = await asyncio.gather(*(type_(client, chat_id) for _ in range(11)))
    assert [answer["success"] for answer in typed] == [True] * 10 + [False]
    check(typed[-1], TYPING)
    sent = await asyncio.gather(*(send(client, chat_id) for _ in range(101)))
    assert [answer["success"] for answer in sent] == [True] * 100 + [False]
    check(sent[-1], MESSAGES)
    for _ in range(4):
        await world.connect()
    with pytest.raises(RefusedError) as refused:
        await world.connect()
    assert refused.value.message == "Too many connection attempts. Please try again later."
    assert 890 <= refused.value.data["retryAfter"] <= 900
