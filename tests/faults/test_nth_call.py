"""Failing the Nth database call behind a real server: I1 to I6 of what is promised hold after each.

For every deed the 1st, 2nd, 3rd, … call to the database fails once, until the deed passes untouched. A deed
that failed is answered `UNAVAILABLE`, has left nothing half done, and is done by the next try. At the end of
each test the audit finds nothing in the database.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hubbub.store.audit import audit
from tests.faults.attempts import Attempts
from tests.faults.inprocess import House, running
from tests.harness.clients import NAMESPACE, Client, Json, settle
from tests.harness.inbox import PATIENCE
from tests.harness.raw_client import RawSocket
from tests.harness.users import User, new_user
from tests.store import faults


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> faults.Faults:
    """Faults in every database call from now on, when armed."""
    found = faults.Faults(faults.disk_error)
    faults.install(monkeypatch, found)
    return found


@pytest.fixture
def attempts(broken: faults.Faults) -> Attempts:
    """Deeds whose Nth call fails."""
    return Attempts(broken)


@pytest.fixture
async def house(
    broken: faults.Faults, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[House]:
    """A server whose database can be made to fail; it logs no traceback for that."""
    async with running(tmp_path) as house:
        yield house
    assert audit(tmp_path / "hubbub.db", lambda *_: None).findings == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def room(house: House, *users: User, **fields: Any) -> tuple[str, list[Client]]:
    """A chat with a client of each user in its room."""
    chat_id = await house.rest.chat(*users, **fields)
    clients: list[Client] = [await house.connect(user) for user in users]
    for client in clients:
        await client.join(chat_id)
    return chat_id, clients


async def guest_of(house: House, *, token: bool = False) -> tuple[str, Client, User, RawSocket, str]:
    """A chat, a client in its room, and a member with a bare socket that has joined and may have a token."""
    chat_id, (peer,) = await room(house, new_user("peer"))
    user = new_user("guest")
    await house.rest.add(peer.user, chat_id, user)
    socket = house.raw()
    await socket.connect({"token": user.token()})
    await socket.request("join:chat", {"chatId": chat_id})
    if not token:
        return chat_id, peer, user, socket, ""
    answer = await socket.request("connection:create-session", {})
    return chat_id, peer, user, socket, answer["recoveryToken"]


async def stored(house: House, user: User, chat_id: str) -> list[str | None]:
    """The client message ids in the log of a chat, whose numbers are dense."""
    messages = await house.rest.history(user, chat_id)
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    return [message["clientMessageId"] for message in messages]


def seqs(messages: list[Json]) -> list[int]:
    """The numbers of messages."""
    return [message["seq"] for message in messages]


async def test_sending(house: House, attempts: Attempts, tmp_path: Path) -> None:
    """A refused send is never seen; sent again under its id it is one message, told once, in order."""
    chat_id, (ann, bob) = await room(house, new_user("ann"), new_user("bob"))
    expected: list[str] = []
    for nth in attempts:
        payload = {"chatId": chat_id, "content": f"text {nth}", "clientMessageId": f"id-{nth}"}
        if not (await attempts.strike(ann.request("message:send", payload)))["success"]:
            assert await stored(house, bob.user, chat_id) == expected
            await ann.done("message:send", payload)
        expected.append(f"id-{nth}")
        assert (await ann.done("message:send", payload))["duplicate"] is True
        assert await stored(house, bob.user, chat_id) == expected
    await settle(ann, bob)
    for client in (ann, bob):
        assert [message["clientMessageId"] for message in client.seen("message:new")] == expected
    assert len(ann.seen("message:sent")) == len(expected)
    with closing(sqlite3.connect(tmp_path / "hubbub.db")) as raw:
        columns = "SELECT position, seq, client_message_id"
        rows = raw.execute(f"{columns} FROM messages UNION ALL {columns} FROM tail ORDER BY 1").fetchall()
    assert [row[1:] for row in rows] == list(enumerate(expected, 1))


async def send_all(socket: RawSocket, chat_id: str, ids: list[str]) -> list[Json]:
    """The answers to messages that are sent without a pause."""
    for number, id_ in enumerate(ids):
        payload = {"chatId": chat_id, "content": "text", "clientMessageId": id_}
        await socket.send(f"42{NAMESPACE},{number}{json.dumps(['message:send', payload])}")

    def answers() -> list[Json] | None:
        found = [socket.answers(number) for number in range(len(ids))]
        return [one[0] for one in found] if all(found) else None

    return await socket.inbox.until(answers, PATIENCE, "the answers")


async def test_sending_many_at_once(house: House, attempts: Attempts) -> None:
    """Of messages on their way together, those refused are in no log and the others are; retries end it."""
    chat_id, (ann, bob) = await room(house, new_user("ann"), new_user("bob"))
    everything: list[str] = []
    for nth in attempts:
        socket = house.raw()
        await socket.connect({"token": ann.user.token()})
        ids = [f"{nth}-{number}" for number in range(5)]
        answers: list[Json] = []

        async def send(
            socket: RawSocket = socket, ids: list[str] = ids, answers: list[Json] = answers
        ) -> Json:
            answers += await send_all(socket, chat_id, ids)
            return next((one for one in answers if not one["success"]), answers[0])

        await attempts.strike(send())
        kept = [id_ for id_, answer in zip(ids, answers, strict=True) if answer["success"]]
        assert (await stored(house, bob.user, chat_id))[len(everything) :] == kept
        for id_ in ids:
            payload = {"chatId": chat_id, "content": "text", "clientMessageId": id_}
            assert ("duplicate" in await ann.done("message:send", payload)) == (id_ in kept)
        everything += ids
        await socket.close()
    await settle(bob)
    assert seqs(bob.seen("message:new")) == list(range(1, len(everything) + 1))
    assert sorted(m["clientMessageId"] for m in bob.seen("message:new")) == sorted(everything)


async def test_joining(house: House, attempts: Attempts) -> None:
    """A refused join leaves the socket outside; the next one enters, as one member, told to others once."""
    owner = new_user("owner")
    for _ in attempts:
        chat_id, (peer,) = await room(house, owner, isPublic=True)
        socket = house.raw()
        await socket.connect({"token": new_user("guest").token()})
        join = {"chatId": chat_id}
        done = (await attempts.strike(socket.request("join:chat", join)))["success"]
        await peer.say(chat_id, "hello")
        if not done:
            assert peer.seen("user:joined") == []
            answer = await socket.request("join:chat", join)
            assert answer["roomInfo"]["lastSeq"] == 1
            assert socket.events("message:new") == []
        await peer.say(chat_id, "again")
        heard = await socket.wait_event("message:new", 2 if done else 1)
        assert seqs(heard) == ([1, 2] if done else [2])
        assert len(await peer.inbox.wait_count("user:joined", 1)) == 1
        assert (await peer.done("room:info", join))["roomInfo"]["participantCount"] == 2
        await socket.close()
        await peer.disconnect()


async def test_leaving(house: House, attempts: Attempts) -> None:
    """A refused leave leaves the socket in the room and tells nobody; the next one is told once."""
    chat_id, peer, user, socket, _ = await guest_of(house, token=True)
    for _ in attempts:
        await socket.request("join:chat", {"chatId": chat_id})
        peer.forget()
        if not (await attempts.strike(socket.request("leave:chat", {"chatId": chat_id})))["success"]:
            info = (await socket.request("connection:session-info", {}))["sessionInfo"]
            assert info["rooms"] == [chat_id]
            assert peer.seen("user:left") == []
            assert (await socket.request("leave:chat", {"chatId": chat_id}))["success"]
        await peer.wait("user:left", userId=user.id)
        assert len(peer.seen("user:left")) == 1


@pytest.mark.parametrize("event", ["message:delivered", "message:read"])
async def test_receipts(house: House, attempts: Attempts, event: str) -> None:
    """A refused confirmation counts nowhere; the next one counts once and is told once."""
    chat_id, (ann, bob) = await room(house, new_user("ann"), new_user("bob"))
    for nth in attempts:
        message = await ann.say(chat_id, f"{nth}")
        payload = {"chatId": chat_id, "messageId": message["id"]}
        if not (await attempts.strike(bob.request(event, payload)))["success"]:
            status = (await ann.done("message:delivery-status", {"messageId": message["id"]}))["status"]
            assert status["deliveredTo"] == status["readBy"] == []
            await bob.done(event, payload)
        await bob.done(event, payload)
        told = await ann.wait(event, messageId=message["id"])
        assert (told["deliveredCount"], told["readCount"]) == (1, int(event == "message:read"))
        assert len([one for one in ann.seen(event) if one["messageId"] == message["id"]]) == 1


def beat(house: House, user: User) -> None:
    """The server's heartbeat reaches the user's socket and is answered."""
    (client,) = house.built.clients.of_user(user.id)
    house.built.namespace.ping_sent(client.socket)
    house.built.namespace.pong(client.socket)


async def test_recovering(house: House, attempts: Attempts) -> None:
    """A refused recovery has used up nothing: the same token brings back all that was missed, once.

    A heartbeat that is answered between the two tries makes no difference.
    """
    chat_id, peer, user, socket, token = await guest_of(house, token=True)
    last = 0
    for nth in attempts:
        await socket.close()
        await peer.wait("user:left", userId=user.id)
        await peer.say(chat_id, f"missed {nth}")
        peer.forget()
        socket = house.raw()
        await socket.connect({"token": user.token()})
        request = {"recoveryToken": token, "lastSeq": {chat_id: last}}
        answer = await attempts.strike(socket.request("connection:recover", request))
        if not answer["success"]:
            info = (await socket.request("connection:session-info", {}))["sessionInfo"]
            assert (info["rooms"], info["recoveryToken"]) == ([], None)
            beat(house, user)
            answer = await socket.request("connection:recover", request)
            assert answer["success"], answer
        assert seqs(answer["session"]["messageQueue"]) == [last + 1]
        assert answer["reset"] == []
        token = answer["session"]["recoveryToken"]
        await peer.say(chat_id, "live")
        last += 2
        assert seqs(await socket.wait_event("message:new")) == [last]
    assert (await peer.done("connection:stats"))["stats"]["queuedMessages"] == 0


async def test_asking_for_a_token(house: House, attempts: Attempts) -> None:
    """A recovery token that could not be stored is not handed out; the next one is good."""
    user = new_user()
    for _ in attempts:
        client = await house.connect(user)
        answer = await attempts.strike(client.request("connection:create-session"))
        if not answer["success"]:
            assert (await client.done("connection:session-info"))["sessionInfo"]["recoveryToken"] is None
            answer = await client.done("connection:create-session")
        await client.disconnect()
        heir = await house.connect(user)
        await heir.done("connection:recover", {"recoveryToken": answer["recoveryToken"]})
        await heir.disconnect()


async def enter(socket: RawSocket, auth: Json) -> Json:
    """The answer to CONNECT, in the form of a request's; to be put off is to be closed with 1013."""
    await socket.open(auth)

    def answer() -> Json | None:
        for packet in socket.packets:
            if packet.startswith((f"40{NAMESPACE},", f"44{NAMESPACE},")):
                found: Json = json.loads(packet[packet.index("{") :])
                return {"success": packet.startswith("40"), **found, **found.get("data", {})}
        closed = socket.inbox.seen("$disconnect")
        return {"success": False, "closed": closed[0]} if closed else None

    return await socket.inbox.until(answer, PATIENCE, "the answer to CONNECT")


async def test_connecting(house: House, attempts: Attempts) -> None:
    """A CONNECT that cannot be judged now is put off, and its `pid` is as good as before."""
    chat_id, (peer,) = await room(house, new_user("peer"))
    user = new_user("guest")
    await house.rest.add(peer.user, chat_id, user)
    socket = house.raw()
    welcome = await enter(socket, {"token": user.token()})
    await socket.request("join:chat", {"chatId": chat_id})
    auth = {"token": user.token(), "pid": welcome["pid"]}
    for nth in attempts:
        await socket.close()
        await peer.wait("user:left", userId=user.id)
        await peer.say(chat_id, f"missed {nth}")
        peer.forget()
        socket = house.raw()
        answer = await attempts.strike(enter(socket, auth))
        if not answer["success"]:
            await socket.close()
            socket = house.raw()
            answer = await enter(socket, auth)
        assert (answer["sid"], answer["pid"]) == (welcome["sid"], welcome["pid"])
        assert [one["content"] for one in await socket.wait_event("message:new")] == [f"missed {nth}"]
        beat(house, user)
