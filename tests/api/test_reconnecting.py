"""Who was here before is not counted against the connection limit (contract, sections 6 and 8)."""

import asyncio
import json

import pytest

from tests.api.conftest import Worlds
from tests.harness.clients import NAMESPACE, Client, Json, RefusedError
from tests.harness.inbox import PATIENCE, watch
from tests.harness.users import User, new_user
from tests.harness.world import NPM_WEBSOCKET, World

FIVE = {"connection_rate": "5/5m"}


async def answer_to(world: World, auth: Json) -> Json:
    """What a CONNECT with this auth is answered."""
    socket = world.raw()
    await socket.open(auth)

    def answer() -> Json | None:
        heads = (f"40{NAMESPACE},", f"44{NAMESPACE},")
        found = next((packet for packet in socket.packets if packet.startswith(heads)), None)
        return None if found is None else json.loads(found[found.index("{") :])

    return await socket.inbox.until(answer, PATIENCE, "the answer to CONNECT")


async def met(world: World, user: User) -> tuple[str, str]:
    """A user who was connected and is gone: `pid` and recovery token."""
    socket = world.raw()
    await socket.open({"token": user.token()})
    welcome = await socket.inbox.wait("40")
    token = (await socket.request("connection:create-session", {}))["recoveryToken"]
    await socket.close()
    return json.loads(welcome.partition(",")[2])["pid"], token


async def use_up(world: World) -> None:
    """Take all attempts that the address has."""
    for _ in range(5):
        assert "sid" in await answer_to(world, {"token": new_user().token()})
    assert (await answer_to(world, {"token": new_user().token()}))["data"]["code"] == "RATE_LIMITED"


async def test_an_office_comes_back(start: Worlds) -> None:
    """After a kill and a restart 50 users of one address get in by what they have; newcomers are counted."""
    world = await start()
    users = [new_user() for _ in range(50)]
    proofs = await asyncio.gather(*(met(world, user) for user in users))
    await world.server.kill()
    again = await start(world.server.data_dir, connection_rate=None)
    auths: list[Json] = [
        {"token": user.token(), "pid": pid} if number % 2 else {"token": user.token(), "recoveryToken": token}
        for number, (user, (pid, token)) in enumerate(zip(users, proofs, strict=True))
    ]
    for _ in range(2):
        answers = await asyncio.gather(*(answer_to(again, auth) for auth in auths))
        assert all("sid" in answer for answer in answers), answers
    await use_up(again)
    assert all("sid" in answer for answer in await asyncio.gather(*(answer_to(again, a) for a in auths)))


async def test_the_token_recovers_nothing_by_itself(start: Worlds) -> None:
    """A recovery token in the auth brings no rooms back and is not used up: that is for the request."""
    world = await start(**FIVE)
    user = new_user()
    chat_id = await world.chat_of(user)
    pid, token = await met(world, user)
    client = world.client(user)
    for _ in range(7):
        await client.connect(auth={"token": user.token(), "recoveryToken": token})
        info = (await client.done("connection:session-info"))["sessionInfo"]
        assert (info["rooms"], info["recoveryToken"]) == ([], None)
    await client.join(chat_id)
    answer = await client.done("connection:recover", {"recoveryToken": token})
    assert answer["session"]["recoveryToken"] != token
    assert "sid" in await answer_to(world, {"token": user.token(), "pid": pid})


async def test_wrong_proofs_count(start: Worlds) -> None:
    """A made-up or foreign one is as good as none, and does not harm the session it is about."""
    world = await start(**FIVE)
    user, thief = new_user(), new_user()
    pid, token = await met(world, user)
    session_id = token.partition(".")[0]
    wrong: list[Json] = [
        {"token": thief.token(), "recoveryToken": token},
        {"token": thief.token(), "pid": pid},
        {"token": user.token(), "recoveryToken": f"{session_id}.guess"},
        {"token": user.token(), "recoveryToken": 7, "pid": ["x"]},
    ]
    for auth in wrong:
        assert "sid" in await answer_to(world, auth)
    for auth in ({"token": "nonsense", "recoveryToken": token}, *wrong):
        assert (await answer_to(world, auth))["data"]["code"] == "RATE_LIMITED"
    good = {"token": user.token(), "recoveryToken": token}
    client = world.client(user)
    await client.connect(auth=good)
    await client.done("connection:recover", {"recoveryToken": token})
    await client.disconnect()


async def test_expired_proofs_count(start: Worlds) -> None:
    """So is one of a session that has expired."""
    world = await start(**FIVE, recovery_ttl="1s")
    user = new_user()
    pid, token = await met(world, user)
    await watch(1.2)
    auth = {"token": user.token(), "recoveryToken": token, "pid": pid}
    for _ in range(4):
        assert "sid" in await answer_to(world, auth)
    assert (await answer_to(world, auth))["data"]["code"] == "RATE_LIMITED"


@pytest.mark.node
async def test_with_the_npm_client(start: Worlds) -> None:
    """The JavaScript client sends it as it stands in the document."""
    world = await start(**FIVE)
    client = world.npm(new_user(), NPM_WEBSOCKET)
    await client.connect()
    token = (await client.done("connection:create-session"))["recoveryToken"]
    await client.disconnect()
    auth = {"token": client.user.token(), "recoveryToken": token}
    for _ in range(7):
        again: Client = world.npm(client.user, NPM_WEBSOCKET)
        await again.connect(auth=auth)
        await again.disconnect()
    for _ in range(4):
        await world.connect(client.user)
    with pytest.raises(RefusedError, match="Too many"):
        await world.connect(client.user)
