"""What happens when a token expires in the middle of a connection, and to users who were switched off."""

import time

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import Client, RefusedError
from tests.harness.inbox import eventually, watch
from tests.harness.shapes import TIME, check, failure
from tests.harness.users import new_user
from tests.harness.world import World

UNAUTHENTICATED = failure("User not authenticated", "UNAUTHENTICATED")
GRACE = {"token_grace": "2s"}
SHORT = 2.0


async def expiry(client: Client) -> None:
    """Wait until the client's token has expired."""

    async def refused() -> bool:
        return (await client.request("room:list")).get("success") is False

    await eventually(refused, what="the expiry of the token")


async def test_expired_then_refreshed(world_with: Worlds) -> None:
    """After the expiry requests are refused until `auth:refresh`, which makes the same socket whole again."""
    world = await world_with(**GRACE)
    user = new_user()
    chat_id = await world.chat_of(user)
    client = world.client(user)
    await client.connect(user.token(SHORT))
    await client.join(chat_id)
    await expiry(client)
    for event, payload in (
        ("room:list", {}),
        ("message:send", {"chatId": chat_id, "content": "too late"}),
        ("connection:session-info", {}),
    ):
        check(await client.request(event, payload), UNAUTHENTICATED)
    answer = await client.done("auth:refresh", {"token": user.token(3600)})
    check(answer, {"success": True, "message": "Token refreshed", "expiresAt": TIME})
    sent = await client.say(chat_id, "in time")
    assert sent["seq"] == 1
    await watch(SHORT + 2)
    await client.done("room:list")
    assert not client.seen("$disconnect")


async def test_disconnected_after_the_grace(world_with: Worlds) -> None:
    """A socket whose token is not refreshed is disconnected after the grace, and not before."""
    world = await world_with(**GRACE)
    user = new_user()
    client = world.client(user)
    expires = int(time.time() + SHORT)
    await client.connect(user.token(exp=expires))
    await client.wait_disconnect()
    assert 2 <= time.time() - expires <= 6


async def test_refresh_before_the_expiry(world: World) -> None:
    """`expiresAt` is the new token's."""
    client = await world.connect()
    answer = await client.done("auth:refresh", {"token": client.user.token(exp=4_102_444_800)})
    assert answer["expiresAt"] == "2100-01-01T00:00:00.000Z"


async def test_refresh_refused(world: World) -> None:
    """A bad token, or one of another user, refreshes nothing; the connection stays as it was."""
    client = await world.connect()
    for token in ("nonsense", client.user.token(-5), new_user("other").token()):
        answer = await client.refused("auth:refresh", {"token": token})
        assert answer["code"] in {"UNAUTHENTICATED", "FORBIDDEN", "INVALID_REQUEST"}
        await client.done("room:list")
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info["userId"] == client.user.id


async def test_inactive_user(world: World) -> None:
    """A user who was switched off is refused with `USER_INACTIVE`, and sockets of theirs are disconnected."""
    client = await world.connect()
    admin = new_user("admin", "admin")
    await world.rest.done(admin, "PATCH", f"/users/{client.user.id}", {"active": False})
    with pytest.raises(RefusedError) as refused:
        await world.client(client.user).connect()
    assert refused.value.message == "Unauthorized"
    assert refused.value.data == {"code": "USER_INACTIVE"}
    await client.wait_disconnect()
