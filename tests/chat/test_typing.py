"""Typing is told when it begins and when it ends, each once."""

import pytest

from hubbub.chat.typing import Typing
from hubbub.cluster.base import Connection, ToRoom
from hubbub.cluster.local import LocalRegistry
from hubbub.contract.answers import TypingUnannounced, TypingUpdated
from hubbub.contract.errors import Code, RequestError
from hubbub.contract.events import UserTyping
from tests.chat.fakes import BusRecorder, FakeTimers, connection

CHAT = "chat"


class House:
    """Typing with all that it needs, in a room that users enter."""

    def __init__(self, broadcast_limit: int = 1000) -> None:
        self.timers = FakeTimers()
        self.registry = LocalRegistry()
        self.bus = BusRecorder()
        self.typing = Typing(
            self.registry, self.bus, broadcast_limit=broadcast_limit, timeout=3.0, timers=self.timers
        )

    async def enter(self, user_id: str) -> Connection:
        """Have a user enter the room by a fresh socket."""
        who = connection(user_id)
        await self.registry.connect(who)
        await self.registry.enter(CHAT, who)
        return who

    async def says(self, who: Connection, *, typing: bool) -> TypingUpdated:
        """Have a user say something about typing."""
        return await self.typing.update(who, CHAT, typing, in_room=True)

    def heard(self) -> list[tuple[str, bool]]:
        """Who was told to be typing or not, since the last call."""
        told: list[tuple[str, bool]] = []
        for telling in self.bus.take():
            assert isinstance(telling, ToRoom)
            assert isinstance(telling.event, UserTyping)
            assert telling.chat_id == telling.event.chat_id == CHAT
            assert telling.skip_user == telling.event.user_id
            assert telling.event.username == telling.event.user_id.title()
            told.append((telling.event.user_id, telling.event.is_typing))
        return told

    async def typists(self) -> list[str]:
        """Who is typing."""
        return [user.user_id for user in (await self.typing.users(CHAT)).typing_users]


@pytest.fixture
def house() -> House:
    """One with the documented limits."""
    return House()


async def test_beginning_and_ending_are_told(house: House) -> None:
    """Both are acknowledged alike and told to the others in the room."""
    ada = await house.enter("ada")
    begun = await house.says(ada, typing=True)
    assert begun == TypingUpdated()
    assert begun.message == "Typing status updated"
    assert house.heard() == [("ada", True)]
    assert await house.typists() == ["ada"]
    assert await house.says(ada, typing=False) == TypingUpdated()
    assert house.heard() == [("ada", False)]
    assert await house.typists() == []


async def test_the_list_shows_whom_and_since_when(house: House) -> None:
    """The longest typing comes first; going on typing does not change since when."""
    ada, bob = await house.enter("ada"), await house.enter("bob")
    await house.says(ada, typing=True)
    await house.says(bob, typing=True)
    first = (await house.typing.users(CHAT)).typing_users
    await house.says(ada, typing=True)
    second = (await house.typing.users(CHAT)).typing_users
    assert first == second
    assert [(one.user_id, one.username, one.chat_id) for one in first] == [
        ("ada", "Ada", CHAT),
        ("bob", "Bob", CHAT),
    ]
    assert first[0].started_at.endswith("Z")


async def test_typing_ends_by_itself(house: House) -> None:
    """3 s after it was said last, once."""
    ada = await house.enter("ada")
    await house.says(ada, typing=True)
    await house.timers.advance(2.9)
    assert house.heard() == [("ada", True)]
    await house.timers.advance(0.2)
    assert house.heard() == [("ada", False)]
    await house.timers.advance(20.0)
    assert house.heard() == []
    assert await house.registry.count_typing() == 0


async def test_going_on_typing_is_not_told_again(house: House) -> None:
    """Each further word prolongs it by 3 s and tells nobody anything."""
    ada = await house.enter("ada")
    for _ in range(10):
        await house.says(ada, typing=True)
        await house.timers.advance(2.0)
    assert house.heard() == [("ada", True)]
    await house.timers.advance(1.0)
    assert house.heard() == [("ada", False)]


async def test_stopping_without_having_begun_is_fine(house: House) -> None:
    """It succeeds and tells nobody anything; so does sending."""
    ada = await house.enter("ada")
    assert await house.says(ada, typing=False) == TypingUpdated()
    house.typing.stop(ada, CHAT)
    await house.timers.advance(0.0)
    await house.typing.left(ada, CHAT)
    assert house.heard() == []


async def test_sending_ends_typing(house: House) -> None:
    """By whichever socket the user sends, and once: the timer that ran finds nothing to end."""
    ada, ada_too = await house.enter("ada"), await house.enter("ada")
    await house.says(ada, typing=True)
    house.typing.stop(ada_too, CHAT)
    await house.timers.advance(0.0)
    assert house.heard() == [("ada", True), ("ada", False)]
    await house.timers.advance(20.0)
    assert house.heard() == []


async def test_several_sockets_are_one_typist(house: House) -> None:
    """Typing by a second socket is no news, and either of them ends it."""
    ada, ada_too = await house.enter("ada"), await house.enter("ada")
    await house.says(ada, typing=True)
    await house.timers.advance(2.0)
    await house.says(ada_too, typing=True)
    await house.timers.advance(2.0)
    assert house.heard() == [("ada", True)]
    assert await house.typists() == ["ada"]
    await house.says(ada, typing=False)
    assert house.heard() == [("ada", False)]


async def test_leaving_ends_the_typing_of_that_socket_only(house: House) -> None:
    """A socket that goes while another one of the user is typing ends nothing."""
    ada, ada_too = await house.enter("ada"), await house.enter("ada")
    await house.says(ada, typing=True)
    await house.typing.left(ada_too, CHAT)
    assert house.heard() == [("ada", True)]
    await house.typing.left(ada, CHAT)
    assert house.heard() == [("ada", False)]


async def test_the_socket_that_typed_last_is_the_one_that_counts(house: House) -> None:
    """Who went on typing on another socket goes on when the first one leaves."""
    ada, ada_too = await house.enter("ada"), await house.enter("ada")
    await house.says(ada, typing=True)
    await house.says(ada_too, typing=True)
    await house.typing.left(ada, CHAT)
    assert house.heard() == [("ada", True)]
    await house.typing.left(ada_too, CHAT)
    assert house.heard() == [("ada", False)]


async def test_only_a_joined_socket_may_type(house: House) -> None:
    """Others are answered that they are not in the room, and nothing is noted."""
    with pytest.raises(RequestError) as refusal:
        await house.typing.update(connection("eve"), CHAT, True, in_room=False)
    assert (refusal.value.message, refusal.value.code) == ("User not in this room", Code.NOT_IN_ROOM)
    assert await house.typists() == []
    assert house.heard() == []


async def test_in_a_crowded_room_nothing_is_told() -> None:
    """Neither the beginning nor the end is broadcast, and the ack says so; the list has it all the same."""
    house = House(broadcast_limit=2)
    ada, _, _ = [await house.enter(name) for name in ("ada", "bob", "cid")]
    answer = await house.says(ada, typing=True)
    assert isinstance(answer, TypingUnannounced)
    assert not answer.announced
    assert await house.typists() == ["ada"]
    assert isinstance(await house.says(ada, typing=False), TypingUnannounced)
    await house.says(ada, typing=True)
    await house.timers.advance(5.0)
    assert house.heard() == []
    assert await house.typists() == []


async def test_what_was_told_to_begin_is_told_to_end() -> None:
    """A room that becomes crowded in between still hears the end of what it heard the beginning of."""
    house = House(broadcast_limit=1)
    ada = await house.enter("ada")
    await house.says(ada, typing=True)
    await house.enter("bob")
    await house.timers.advance(5.0)
    assert house.heard() == [("ada", True), ("ada", False)]


async def test_a_room_no_longer_crowded_hears_of_those_still_typing() -> None:
    """Going on typing announces what was held back."""
    house = House(broadcast_limit=1)
    ada, bob = await house.enter("ada"), await house.enter("bob")
    await house.says(ada, typing=True)
    await house.registry.leave(CHAT, bob)
    assert await house.says(ada, typing=True) == TypingUpdated()
    assert house.heard() == [("ada", True)]


async def test_nothing_is_left_behind(house: House) -> None:
    """After 100 users typed in 100 chats there is no entry, timer or task."""
    for number in range(100):
        who = connection(f"user {number}")
        await house.typing.update(who, f"chat {number}", True, in_room=True)
    assert house.timers.pending == 1
    await house.timers.advance(5.0)
    assert house.typing._typists == {}
    assert await house.registry.count_typing() == 0
    assert house.timers.pending == 0
    await house.typing.close()


async def test_typing_that_ended_elsewhere_begins_anew(house: House) -> None:
    """A message sent over another node ends what was begun here; the next word is told like the first."""
    there = Typing(house.registry, house.bus, broadcast_limit=1000, timeout=3.0, timers=house.timers)
    desk, phone = await house.enter("ada"), await house.enter("ada")
    for _ in range(2):
        await house.says(desk, typing=True)
        there.stop(phone, CHAT)
        await house.timers.advance(0.0)
        assert house.heard() == [("ada", True), ("ada", False)]
    await house.timers.advance(10.0)
    assert house.heard() == []
