"""What the bus did not bring is found in the log, and rights that ended meanwhile end here too."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from hubbub.chat.messages import Messages
from hubbub.chat.standing import Standing
from hubbub.cluster.base import CutOff, Expel, Missed, Telling
from hubbub.cluster.local import LocalBus
from hubbub.gateway import healing
from hubbub.gateway.clients import Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.healing import Healing
from hubbub.socketio import Server
from hubbub.store import records
from tests.cluster.implementations import wait_until
from tests.gateway.test_delivery import CHAT, FakeLog, FakeServer, FakeSocket, client_of, telling


class FakeRights:
    """A store with members and users."""

    def __init__(self) -> None:
        self.members = ["u"]
        self.active = True
        self.asked = 0

    async def member_ids(self, chat_id: str) -> list[str]:
        self.asked += 1
        return self.members

    async def user(self, user_id: str) -> records.User | None:
        return records.User(
            id=user_id, username=user_id, email=None, role="user", active=self.active, created_at=0
        )


class Log(FakeLog):
    """Also tells the newest numbers of several chats."""

    asked = 0

    async def last_seqs(self, chat_ids: Sequence[str]) -> dict[str, int]:
        self.asked += 1
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is away")
        return dict.fromkeys(chat_ids, self.committed)


class House:
    """A delivery with one socket in the room behind message 3, and its healing."""

    def __init__(self) -> None:
        self.log, self.socket, self.rights = Log(3), FakeSocket(), FakeRights()
        self.clients, self.client = Clients(), client_of(self.socket)
        server, messages = cast("Server", FakeServer([self.socket])), cast("Messages", self.log)
        self.delivery = Delivery(server, self.clients, messages, LocalBus(), "epoch")
        self.told: list[Telling] = []
        self.silence, standing = 0.0, Standing(self.rights)
        self.healing = Healing(
            self.delivery, self.clients, messages, standing, self.told.append, lambda: self.silence
        )

    async def enter(self) -> None:
        await self.clients.add(self.client)
        await self.delivery.enter(self.client, CHAT)

    async def close(self) -> None:
        await self.healing.close()
        await self.delivery.close()


@pytest.fixture
async def house() -> House:
    """With a socket in the room."""
    made = House()
    await made.enter()
    return made


async def test_the_last_message_before_silence_is_found(house: House) -> None:
    """A message whose telling was lost, with none after it, is found at the second look at the latest."""
    house.log.committed = 5
    await house.healing.look()
    assert house.socket.got == []
    await house.healing.look()
    assert house.socket.got == [4, 5]
    house.delivery.deliver(telling(5))
    house.delivery.deliver(telling(6))
    assert house.socket.got == [4, 5, 6]


async def test_a_message_on_its_way_is_not_read(house: House) -> None:
    """What the bus brings between two looks is left to it."""
    house.log.committed = 4
    await house.healing.look()
    house.delivery.deliver(telling(4))
    await house.healing.look()
    assert house.socket.got == [4]
    assert house.healing.healed == 0


@pytest.mark.parametrize("missed", [frozenset({CHAT, "another"}), None])
async def test_what_was_missed_is_read_at_once(house: House, missed: frozenset[str] | None) -> None:
    """A gap that the bus tells of is filled from the log, also when that fails at first."""
    house.log.committed = 1200
    house.log.fails = 1
    house.healing.start()
    house.healing.heard(Missed(chat_ids=missed))
    await wait_until(lambda: house.socket.got == list(range(4, 1201)), "everything is delivered in order")
    await house.close()


async def test_rights_that_ended_unheard(house: House) -> None:
    """Former members leave the room, users switched off go, and whoever enters just now is checked again."""
    house.rights.members = []
    house.rights.active = False
    house.healing.start()
    house.healing.heard(Missed(chat_ids=frozenset({CHAT})))
    await wait_until(lambda: bool(house.told), "the room is left")
    assert house.told == [Expel(chat_id=CHAT, user_id="u")]
    assert house.client.revocations == 1
    house.healing.heard(Missed(chat_ids=None))
    await wait_until(lambda: len(house.told) == 3, "the user is cut off")
    assert house.told[1:] == [Expel(chat_id=CHAT, user_id="u"), CutOff(user_id="u")]
    await house.close()


async def test_rights_that_end_while_the_bus_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps them for as long as it is: they are looked at again and again, and only then."""
    monkeypatch.setattr(healing, "LOOK", 0.01)
    asked = house.rights.asked
    house.healing.start()
    house.rights.members = []
    await wait_until(lambda: house.log.asked > 3, "some looks at the rooms")
    assert (house.told, house.rights.asked) == ([], asked)
    house.silence = healing.QUIET + 1
    await wait_until(lambda: Expel(chat_id=CHAT, user_id="u") in house.told, "the right has ended")
    house.told.clear()
    await wait_until(lambda: bool(house.told), "it is looked at again")
    await house.close()


async def test_nothing_happens_to_those_who_may_stay(house: House) -> None:
    """Members who are not switched off notice nothing of a gap without anything in it."""
    house.healing.start()
    house.healing.heard(Missed(chat_ids=None))
    await wait_until(lambda: house.client.revocations == 1, "rights are looked at")
    await asyncio.sleep(0)
    assert (house.told, house.socket.got) == ([], [])
    await house.close()


class WatchedBus(LocalBus):
    """A bus whose subscriptions take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def watch(self, chat_id: str) -> asyncio.Future[None]:
        self.calls.append(f"watch {chat_id}")
        return self.confirmed

    def unwatch(self, chat_id: str) -> None:
        self.calls.append(f"unwatch {chat_id}")


async def test_a_room_begins_once_the_bus_is_heard() -> None:
    """Where a room begins is read after its channel is certain to be heard; the last one out ends that."""
    log, socket, bus = FakeLog(3), FakeSocket(), WatchedBus()
    server, messages = cast("Server", FakeServer([socket])), cast("Messages", log)
    delivery = Delivery(server, Clients(), messages, bus, "epoch")
    client = client_of(socket)
    entering = asyncio.create_task(delivery.enter(client, CHAT))
    for _ in range(5):
        await asyncio.sleep(0)
    # Told by another node while nobody here could hear it.
    log.committed = 4
    bus.confirmed.set_result(None)
    assert await entering == 4
    delivery.leave(client, CHAT)
    assert bus.calls == [f"watch {CHAT}", f"unwatch {CHAT}"]
