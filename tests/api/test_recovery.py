"""Recovery sessions: what a returning client is given, and to whom (contract, section 6)."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api import objects
from tests.api.conftest import Worlds
from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import eventually, watch
from tests.harness.shapes import COUNT, NUMBER, check, failure
from tests.harness.users import User, new_user
from tests.harness.world import World

INVALID_TOKEN = failure("Invalid recovery token", "NOT_FOUND")
LONGEST_QUEUE = 500


async def create(client: Client) -> str:
    """The token of the client's recovery session."""
    return str((await client.done("connection:create-session"))["recoveryToken"])


async def recover(client: Client, token: str, **more: Any) -> Json:
    """The answer to a recovery that must succeed."""
    return await client.done("connection:recover", {"recoveryToken": token, **more})


def seqs(answer: Json) -> list[int]:
    """Numbers of the queued messages."""
    return [message["seq"] for message in answer["session"]["messageQueue"]]


async def left_behind(world: World, missed: int = 3) -> tuple[User, Client, str, str]:
    """A user whose client went away from a room with one message received, and missed some.

    Returns the user, another member in the room, the chat and the recovery token.
    """
    user = new_user()
    chat_id, (client, peer) = await world.room_of(user, new_user())
    token = await create(client)
    await peer.say(chat_id, "m1")
    await client.wait("message:new", seq=1)
    await client.disconnect()
    await peer.wait("user:left", userId=user.id, deviceCount=0)
    await asyncio.gather(*(peer.say(chat_id, f"missed {number}") for number in range(missed)))
    peer.forget()
    return user, peer, chat_id, token


async def test_create(world: World) -> None:
    """The session's token is told twice, is this socket's from then on, and lives 24 h."""
    client = await world.connect()
    before = (await client.done("connection:session-info"))["sessionInfo"]
    check(before, objects.session(client.user, client.sid, [], None))
    token = await create(client)
    told = await client.wait("connection:recovery-token")
    check(told, {**objects.RECOVERY_TOKEN, "token": token})
    expires = datetime.fromisoformat(told["expiresAt"])
    assert abs(expires - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info == {**before, "recoveryToken": token, "lastActivity": info["lastActivity"]}


async def test_create_again(world: World) -> None:
    """Asking again returns this socket's session: its token is the one that `session-info` tells."""
    client = await world.connect()
    await create(client)
    again = await create(client)
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info["recoveryToken"] == again


async def test_tokens_are_random(world: World) -> None:
    """Tokens carry at least 128 bits and have nothing in common."""
    clients = await world.connect_all(*(new_user() for _ in range(5)))
    tokens = [await create(client) for client in clients]
    assert len(set(tokens)) == 5
    assert all(len(re.sub(r"[^0-9A-Za-z_-]", "", token)) >= 22 for token in tokens)
    assert len({token[:8] for token in tokens}) == 5


async def test_tokens_are_stored_hashed(world: World) -> None:
    """No file of the server holds a token, or the secret half of one."""
    client = await world.connect()
    chat_id = await world.chat_of(client.user)
    await client.join(chat_id)
    token = await create(client)
    secret = max(re.split(r"[^0-9A-Za-z_-]", token), key=len)

    def stored() -> list[str]:
        files = [path for path in Path(world.server.data_dir).rglob("*") if path.is_file()]
        assert files
        return [path.name for path in files if secret.encode() in path.read_bytes()]

    assert await asyncio.to_thread(stored) == []


async def test_recover(world: World, mode: str) -> None:
    """Every client gets back into its rooms and is handed what it missed, in the answer and as an event."""
    user, peer, chat_id, token = await left_behind(world)
    client = await world.connect(user, mode)
    answer = await recover(client, token)
    assert [n for n in seqs(answer) if n > 1] == [2, 3, 4], "without lastSeq the first may be repeated"
    session = answer["session"]
    assert (session["socketId"], session["rooms"]) == (client.sid, [chat_id])
    queued = await client.wait("connection:queued-messages")
    assert queued["messages"] == session["messageQueue"]
    assert (queued["count"], queued["truncated"]) == (len(session["messageQueue"]), False)
    told = await client.wait("connection:recovered")
    assert (told["rooms"], told["queuedMessages"]) == ([chat_id], queued["count"])
    assert (await client.wait("connection:recovery-token"))["token"] == session["recoveryToken"] != token
    await peer.wait("user:joined", userId=user.id)
    await peer.say(chat_id, "live")
    assert (await client.wait("message:new"))["content"] == "live"
    assert len(client.seen("message:new")) == 1


async def test_last_seq(world: World) -> None:
    """`lastSeq` is the client's own word: nothing before it is repeated."""
    user, _, chat_id, token = await left_behind(world, missed=5)
    client = await world.connect(user)
    answer = await recover(client, token, lastSeq={chat_id: 4})
    assert seqs(answer) == [5, 6]
    assert answer["reset"] == []


async def test_nothing_missed(world: World) -> None:
    """With an empty queue `connection:queued-messages` is not sent."""
    user, _, chat_id, token = await left_behind(world, missed=0)
    client = await world.connect(user)
    answer = await recover(client, token, lastSeq={chat_id: 1})
    assert seqs(answer) == []
    assert (await client.wait("connection:recovered"))["queuedMessages"] == 0
    await settle(client)
    assert client.seen("connection:queued-messages") == []


async def test_several_rooms(world: World) -> None:
    """The queue holds what was missed in all rooms, oldest first."""
    user, friend = new_user(), new_user()
    chats = [await world.chat_of(user, friend) for _ in range(3)]
    client, peer = await world.connect_all(user, friend)
    for chat_id in chats:
        await client.join(chat_id)
    token = await create(client)
    await client.disconnect()
    sent = [await peer.say(chats[number % 3], f"m{number}") for number in (0, 1, 2, 1, 0, 0, 2)]
    again = await world.connect(user)
    answer = await recover(again, token)
    assert answer["session"]["messageQueue"] == sent
    assert sorted(answer["session"]["rooms"]) == sorted(chats)


async def test_longest_queue(world: World) -> None:
    """500 messages at most; with `truncated` the rest comes by history."""
    user, _, chat_id, token = await left_behind(world, missed=LONGEST_QUEUE + 20)
    client = await world.connect(user)
    answer = await recover(client, token, lastSeq={chat_id: 1})
    assert seqs(answer) == list(range(2, LONGEST_QUEUE + 2))
    queued = await client.wait("connection:queued-messages")
    assert (queued["count"], queued["truncated"]) == (LONGEST_QUEUE, True)
    rest = await world.rest.history(user, chat_id, f"?after={LONGEST_QUEUE + 1}&limit=100")
    assert [message["seq"] for message in rest] == list(range(LONGEST_QUEUE + 2, LONGEST_QUEUE + 22))


async def test_queue_fits_the_outbox(world_with: Worlds) -> None:
    """What a recovery hands over never makes a slow reader of the client, however small the outbox is."""
    world = await world_with(max_outbox_bytes="65536")
    user, peer, chat_id, token = await left_behind(world, missed=1)
    for number in range(60):
        await peer.say(chat_id, f"{number} " + "\N{GRINNING FACE}" * 900)
    client = await world.connect(user)
    answer = await recover(client, token, lastSeq={chat_id: 0})
    assert answer["truncated"] is True
    assert seqs(answer) == list(range(1, len(seqs(answer)) + 1))
    await peer.say(chat_id, "live")
    await client.wait("message:new", content="live")


async def test_messages_meanwhile(world: World) -> None:
    """Messages sent while the client recovers come after the queue, none lost, none twice."""
    user, peer, chat_id, token = await left_behind(world)
    client = await world.connect(user)

    async def chatter() -> None:
        for number in range(60):
            await peer.say(chat_id, f"meanwhile {number}")

    talking = asyncio.create_task(chatter())
    await peer.inbox.wait_count("message:new", 10)
    answer = await recover(client, token, lastSeq={chat_id: 1})
    await talking
    await client.wait("message:new", content="meanwhile 59")
    order = [
        event.name for event in client.inbox.log if event.name.startswith(("message:new", "connection:q"))
    ]
    assert order[0] == "connection:queued-messages"
    received = seqs(answer) + [message["seq"] for message in client.seen("message:new")]
    assert received == list(range(2, 65))


async def test_membership_is_checked_anew(world: World) -> None:
    """A chat that the user may not enter any more is not rejoined, and nothing of it is told."""
    owner, user = new_user(), new_user()
    kept, lost = await world.chat_of(owner, user), await world.chat_of(owner, user)
    peer, client = await world.connect_all(owner, user)
    for chat_id in (kept, lost):
        await client.join(chat_id)
    token = await create(client)
    await client.disconnect()
    for chat_id in (kept, lost):
        await peer.say(chat_id, "news")
    await world.rest.remove(owner, lost, user)
    again = await world.connect(user)
    answer = await recover(again, token, lastSeq={kept: 0, lost: 0})
    assert answer["session"]["rooms"] == [kept]
    assert [message["chatId"] for message in answer["session"]["messageQueue"]] == [kept]
    assert answer["reset"] == []


@pytest.mark.parametrize("more", [{"epoch": "another"}, {"lastSeq": 99}], ids=["epoch", "future"])
async def test_reset(world: World, more: dict[str, Any]) -> None:
    """Where history cannot be continued the answer says which chats to reload; live messages go on."""
    user, peer, chat_id, token = await left_behind(world)
    client = await world.connect(user)
    if "lastSeq" in more:
        more = {"lastSeq": {chat_id: 99}}
    answer = await recover(client, token, **more)
    assert answer["reset"] == [chat_id]
    assert answer["session"]["rooms"] == [chat_id]
    await peer.say(chat_id, "live")
    assert (await client.wait("message:new"))["seq"] == 5


async def test_known_epoch(world: World) -> None:
    """The epoch that `roomInfo` told continues the history."""
    user = new_user()
    chat_id, (client, peer) = await world.room_of(user, new_user())
    epoch = (await client.join(chat_id))["epoch"]
    token = await create(client)
    await client.disconnect()
    await peer.say(chat_id, "missed")
    again = await world.connect(user)
    answer = await recover(again, token, epoch=epoch, lastSeq={chat_id: 0})
    assert (seqs(answer), answer["reset"]) == ([1], [])


async def test_lost_answer(world: World) -> None:
    """Until a heartbeat was answered the used token stays good, so that a lost answer can be retried."""
    user, _, chat_id, token = await left_behind(world)
    first = await world.connect(user)
    await recover(first, token, lastSeq={chat_id: 1})
    await first.disconnect()
    second = await world.connect(user)
    answer = await recover(second, token, lastSeq={chat_id: 1})
    assert seqs(answer) == [2, 3, 4]
    await second.disconnect()
    third = await world.connect(user)
    assert seqs(await recover(third, answer["session"]["recoveryToken"], lastSeq={chat_id: 1})) == [2, 3, 4]


async def test_bad_tokens(world_with: Worlds) -> None:
    """Wrong, foreign and expired tokens are refused in the same words; the owner's session is not harmed."""
    world = await world_with(recovery_ttl="2s")
    user, _, _, token = await left_behind(world)
    thief, client = await world.connect_all(new_user(), user)
    answers = [
        await thief.refused("connection:recover", {"recoveryToken": wrong})
        for wrong in ("nonsense", "x" * 256, "a.b", token)
    ]
    await recover(client, token)
    old = await create(client)
    await client.disconnect()
    again = await world.connect(user)

    async def expired() -> Json | None:
        stale = await world.connect(user)
        answer = await stale.request("connection:recover", {"recoveryToken": old})
        return None if answer["success"] else answer

    await watch(2.5)
    answers.append(await eventually(expired, what="the session to expire"))
    answers.append(await again.refused("connection:recover", {"recoveryToken": "é\u202e"}))
    check(answers, [INVALID_TOKEN])


async def test_stats(world: World) -> None:
    """`connection:stats` counts recovery sessions and tokens."""
    client = await world.connect()
    before = (await client.done("connection:stats"))["stats"]
    await create(client)
    after = (await client.done("connection:stats"))["stats"]
    check(
        after,
        {
            "activeSessions": COUNT,
            "recoveryTokens": before["recoveryTokens"] + 1,
            "queuedMessages": COUNT,
            "averageSessionAge": NUMBER,
        },
    )
    assert after["activeSessions"] >= 1


async def test_old_socket_still_there(world: World) -> None:
    """A client may come back before its old connection was missed; each message arrives once on the new."""
    user = new_user()
    chat_id, (old, peer) = await world.room_of(user, new_user())
    token = await create(old)
    await peer.say(chat_id, "m1")
    new = await world.connect(user)
    answer = await recover(new, token, lastSeq={chat_id: 0})
    assert seqs(answer) == [1]
    await peer.say(chat_id, "m2")
    await new.wait("message:new", seq=2)
    await settle(new)
    assert [message["seq"] for message in new.seen("message:new")] == [2]


@pytest.mark.parametrize("at_once", [True, False])
async def test_one_token_on_two_sockets(world: World, at_once: bool) -> None:
    """Both are given the same new token. The session is that of one; the other has none until it asks."""
    user, _, chat_id, token = await left_behind(world)
    first, second = await world.connect_all(user, user)
    if at_once:
        answers = list(await asyncio.gather(recover(first, token), recover(second, token)))
    else:
        answers = [await recover(first, token), await recover(second, token)]
    (fresh,) = {answer["session"]["recoveryToken"] for answer in answers}
    assert fresh != token
    infos = [(await client.done("connection:session-info"))["sessionInfo"] for client in (first, second)]
    assert sorted((info["recoveryToken"] for info in infos), key=str) == sorted([None, fresh], key=str)
    assert [info["rooms"] for info in infos] == [[chat_id]] * 2

    alone = first if infos[0]["recoveryToken"] is None else second
    own = await create(alone)
    assert own.partition(".")[0] != fresh.partition(".")[0]
    for good in (fresh, own):
        third = await world.connect(user)
        assert (await recover(third, good))["session"]["rooms"] == [chat_id]
