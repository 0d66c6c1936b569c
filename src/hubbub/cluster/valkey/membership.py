"""A node among the others: its lease, what it says of its own sockets, and the clearing away of the dead.

A node that was cut off says everything again. One that others took for dead, since it was stopped or cut off
for longer than its lease, finds its fence gone and begins anew under another name.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from hubbub.cluster.base import Departure, PresentUser, Reaped, TypingEntry, Vacancy
from hubbub.cluster.valkey import nodes, plans, views
from hubbub.cluster.valkey.batches import Away, Batches, Plan
from hubbub.cluster.valkey.keys import SEPARATOR, Keys
from hubbub.cluster.valkey.ours import Ours

log = logging.getLogger(__name__)

T = TypeVar("T")
Item = TypeVar("Item")

_BEAT: Final = 1.0
_STEADY: Final = nodes.LEASE + 1.0
"""Seconds of contact after which a node judges others: who was cut off with it has come back by then."""

_ORPHANED: Final = 3.0
_CHUNK: Final = 200


class Membership:
    """Must be started and closed. `node` names this process; its names in the registry begin with it.
    `place` is what the others are told of where it is.
    """

    def __init__(self, batches: Batches, keys: Keys, node: str, place: bytes | None = None) -> None:
        self.keys = keys
        self.ours = Ours()
        self.node = node
        self.name = ""
        self._place = place
        self._batches = batches
        self._task: asyncio.Task[None] | None = None
        # Something could not be said, or has to be said anew.
        self._stale = False
        # Since when every beat succeeded, and when the last one did.
        self._steady_since = 0.0
        self._beaten_at = 0.0
        self._typing_at = 0
        self._left: list[Departure] = []
        self._returned: set[str] = set()
        self._restored: set[str] = set()

    @property
    def fence(self) -> str:
        """The key without which this node must not write."""
        return self.keys.of_node(self.name, "fence")

    @property
    def is_away(self) -> bool:
        """Whether there is no connection to Valkey now."""
        return self._batches.is_away

    async def start(self) -> None:
        """Join the others. Raises `Away`."""
        await self._register()
        self._steady_since = self._beaten_at = time.monotonic()
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Leave the others; what is left of this node's sockets is cleared away by them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        try:
            await self._batches.do(None, partial(nodes.release, self.keys, self.name))
        except Away:
            log.debug("Valkey is away: the lease of this node ends by itself")

    # Asking and saying.

    async def ask(self, make: Callable[[], Plan[T]]) -> T:
        """Have something read. Raises `Away`."""
        return await self._batches.do(None, make)

    async def change(self, subject: str, make: Callable[[], Plan[T]]) -> T:
        """Have something changed, as long as this node is one of the living. Raises `Away`."""
        try:
            return await self._batches.do(subject, make, fenced=True)
        except (Away, asyncio.CancelledError):
            self.doubt()
            raise

    def doubt(self) -> None:
        """Have everything about this node said again: something may not have been said."""
        self._stale = True

    async def say_person(self, user_id: str) -> plans.Person:
        """Say which sockets a user has here. Raises `Away`."""

        def plan() -> Plan[plans.Person]:
            ours = self.ours
            user = partial(ours.registry.connected_user, user_id)
            return plans.person(self.keys, self.name, user_id, user, ours.last_touch(user_id))

        return await self.change(user_id, plan)

    async def say_place(self, chat_id: str, user_id: str) -> plans.Left:
        """Say how many sockets a user has here in a room. Raises `Away`."""

        def plan() -> Plan[plans.Left]:
            devices = partial(self.ours.registry.devices, chat_id, user_id)
            return plans.place(self.keys, self.name, chat_id, user_id, devices)

        return await self.change(f"{chat_id}{SEPARATOR}{user_id}", plan)

    async def say_typing(self, entry: TypingEntry) -> bool:
        """Say that a user is typing. Raises `Away`."""
        # Those who began within one millisecond stay in order, too.
        self._typing_at = at = max(time.time_ns() // 1000, self._typing_at + 1)
        return await self.change(entry.user_id, lambda: plans.start_typing(self.keys, self.name, entry, at))

    # Staying alive.

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            try:
                await self._beat()
            except Away:
                self._steady_since = float("inf")
            except Exception:
                log.exception("A beat of this node failed")

    async def _beat(self) -> None:
        touches = self.ours.touches()
        held = await self._batches.do(None, partial(nodes.renew, self.keys, self.name, self._place, touches))
        now = time.monotonic()
        if now - self._beaten_at > nodes.LEASE:
            self._steady_since = now
        self._steady_since = min(self._steady_since, now)
        self._beaten_at = now
        announce = False
        if held:
            self.ours.touches_told(touches)
        else:
            announce = await self._register()
        if self._stale:
            await self._say_all(announce=announce)

    async def _register(self) -> bool:
        """Begin a lease under a new name; whether the others have told this node's users as gone."""
        name = f"{self.node}.{secrets.token_hex(4)}"
        epoch = await self._batches.do(None, partial(nodes.register, self.keys, name, self._place))
        fenced = epoch == self.ours.epoch
        if self.ours.epoch is not None:
            why = "the others took this node for dead" if fenced else "Valkey has lost its data"
            log.warning("%s: all its sockets are registered anew", why)
        self.name = name
        self.ours.epoch = epoch
        self._steady_since = time.monotonic()
        self._stale = True
        return fenced

    async def _say_all(self, *, announce: bool) -> None:
        """Have the registry know of this node what the node knows; with `announce`, others are told."""
        own = self.ours.registry
        self._stale = False
        users, places, types = await self.ask(partial(nodes.estate, self.keys, self.name))
        for chunk in _chunks({*users, *(user.user_id for user in own.connected_users())}):
            for user_id, person in zip(
                chunk, await _all(self.say_person, ((one,) for one in chunk)), strict=True
            ):
                await self._said(user_id, person, announce=announce)
        for places_chunk in _chunks({*map(_split, places), *own.places()}):
            await _all(self.say_place, places_chunk)
            if announce:
                self._restored.update(chat_id for chat_id, _ in places_chunk)
        typing = {(entry.chat_id, entry.user_id): entry for entry in own.all_typing()}
        for chat_id, user_id in {*map(_split, types)} - typing.keys():
            await self._stop_typing(chat_id, user_id, self.name)
        for entry in typing.values():
            await self.say_typing(entry)
        self.ours.told_alone.clear()
        self.ours.told_gone.clear()

    async def _said(self, user_id: str, person: plans.Person, *, announce: bool) -> None:
        """Note what others have to be told of a user of this node, when they have not been."""
        if person.first and announce and user_id not in self.ours.told_alone:
            self._returned.add(user_id)
        if person.departure is None:
            return
        if user_id in self.ours.told_gone:
            number = person.departure
            await self.change(user_id, partial(plans.forget, self.keys, user_id, number))
        else:
            self._left.append(Departure(user_id=user_id, number=person.departure))

    async def _stop_typing(self, chat_id: str, user_id: str, node: str) -> TypingEntry | None:
        return await self.change(user_id, partial(plans.stop_typing, self.keys, chat_id, user_id, node))

    # The dead.

    async def reap(self, grace: float) -> Reaped:
        """See `cluster.base.Registry`."""
        departures, self._left = self._left, []
        returned, self._returned = self._returned, set()
        restored, self._restored = self._restored, set()
        reaped = Reaped(departures=departures, restored=frozenset(restored))
        try:
            for user_id in returned:
                user = await self.ask(partial(views.user, self.keys, user_id))
                if user is not None:
                    reaped.returned.append(user)
            now = time.monotonic()
            if now - self._steady_since > _STEADY and now - self._beaten_at < 3 * _BEAT:
                await self._bury_the_dead(reaped, grace)
        except Away:
            log.debug("Valkey is away: the dead are cleared away later")
        return reaped

    async def _bury_the_dead(self, reaped: Reaped, grace: float) -> None:
        orphans = await self.change("orphans", lambda: nodes.orphans(self.keys, grace + _ORPHANED))
        reaped.departures.extend(Departure(user_id=one, number=number) for one, number in orphans)
        dead = await self.change("nodes", lambda: nodes.claim(self.keys, self.name))
        if not dead:
            return
        alive = {_node_of(name) for name in await self.ask(partial(nodes.alive, self.keys))}
        for name in dead:
            log.info("node %s has stopped or died: what it left is cleared away", name)
            await self._bury(name, reaped, tell_all=_node_of(name) not in alive)

    async def _bury(self, node: str, reaped: Reaped, *, tell_all: bool) -> None:
        """Clear a dead node away; with `tell_all` also what changes no set of users is told."""
        users, places, types = await self.ask(partial(nodes.estate, self.keys, node))
        for chat_id, user_id in map(_split, types):
            entry = await self._stop_typing(chat_id, user_id, node)
            if entry is not None:
                reaped.typing.append(entry)
        for chunk in _chunks(map(_split, places)):
            for (chat_id, user_id), left in zip(
                chunk, await _all(partial(self._empty_place, node), chunk), strict=True
            ):
                if left.occupancy.changed and (tell_all or not left.occupancy.devices):
                    username = left.username or user_id
                    reaped.vacancies.append(
                        Vacancy(chat_id=chat_id, user_id=user_id, username=username, occupancy=left.occupancy)
                    )
        for user_chunk in _chunks(users):
            persons = await _all(partial(self._empty_person, node), ((one,) for one in user_chunk))
            reaped.departures.extend(
                Departure(user_id=one, number=person.departure)
                for one, person in zip(user_chunk, persons, strict=True)
                if person.departure is not None
            )
        await self.change("nodes", partial(nodes.bury, self.keys, node))

    async def _empty_place(self, node: str, chat_id: str, user_id: str) -> plans.Left:
        return await self.change(
            f"{chat_id}{SEPARATOR}{user_id}",
            lambda: plans.place(self.keys, node, chat_id, user_id, lambda: 0),
        )

    async def _empty_person(self, node: str, user_id: str) -> plans.Person:
        def nobody() -> PresentUser | None:
            return None

        return await self.change(user_id, lambda: plans.person(self.keys, node, user_id, nobody, None))


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut into pieces, each of which is done within one deadline."""
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


async def _all(work: Callable[..., Awaitable[T]], arguments: Iterable[tuple[str, ...]]) -> list[T]:
    """Do the same with many, in one batch."""
    return await asyncio.gather(*(work(*one) for one in arguments))


def _split(member: str) -> tuple[str, str]:
    chat_id, _, user_id = member.partition(SEPARATOR)
    return chat_id, user_id


def _node_of(name: str) -> str:
    return name.rpartition(".")[0]
