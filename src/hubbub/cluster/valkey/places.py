"""Where the nodes answer each other: told with each node's lease, and looked up for requests passed on.

Names of nodes come from clients. They are only compared with those that the registry has, and however many
are asked for, Valkey is asked a few times a second at most.
"""

import asyncio
import time
from typing import Final

import msgspec

from hubbub.cluster.valkey import nodes
from hubbub.cluster.valkey.batches import Away
from hubbub.cluster.valkey.membership import Membership

_OLD: Final = 1.0
"""Seconds after which what is known is looked up anew, beside its use."""

_AGAIN: Final = 0.1
"""Seconds between two look-ups."""

_KEPT_UP: Final = 5.0
"""Seconds after which all are looked up in any case, to be known when Valkey is away."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node answers the others, and the key that proves a caller to be one of them."""

    host: str
    port: int
    key: bytes


_decode = msgspec.json.Decoder(Place).decode
encode = msgspec.json.Encoder().encode


class Places:
    """The nodes that are alive. `name` is this one's, as the others look it up."""

    def __init__(self, membership: Membership) -> None:
        self.name = membership.node
        self._membership = membership
        self._known: dict[str, Place] = {}
        self._looked_at = -_OLD
        self._looking: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Know who is there, also when nobody asks."""
        self._keeping = asyncio.create_task(self._keep_up())

    async def find(self, name: str) -> Place | None:
        """Return where a node is; None where there is none of that name. With Valkey away, as it was."""
        age = time.monotonic() - self._looked_at
        known = self._known.get(name)
        if known is not None:
            if age > _OLD:
                self._look()
            return known
        if age > _AGAIN:
            await asyncio.shield(self._look())
        elif self._looking is not None:
            await asyncio.shield(self._looking)
        return self._known.get(name)

    async def names(self) -> list[str]:
        """Return the names of the nodes that can be found, in order; with Valkey away, as they were."""
        await asyncio.shield(self._look())
        return sorted(self._known)

    async def close(self) -> None:
        """Look nothing up any more."""
        for task in (self._keeping, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))

    async def _keep_up(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_KEPT_UP)

    def _look(self) -> "asyncio.Task[None]":
        if self._looking is None:
            self._looking = asyncio.create_task(self._refresh())
        return self._looking

    async def _refresh(self) -> None:
        try:
            found = await self._membership.ask(lambda: nodes.places(self._membership.keys))
            self._known = {name: place for name, raw in found.items() if (place := _read(raw)) is not None}
        except Away:
            """What was known is better than nothing: a node that is gone does not answer."""
        finally:
            self._looked_at = time.monotonic()
            self._looking = None


def _read(raw: bytes) -> Place | None:
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return None
