"""The one entrance: what nodes share, in the Valkey of a URL."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hubbub.cluster.address import Address, parse
from hubbub.cluster.valkey.asking import ValkeyNodes
from hubbub.cluster.valkey.batches import Away, Batches
from hubbub.cluster.valkey.bus import ValkeyBus
from hubbub.cluster.valkey.keys import Keys
from hubbub.cluster.valkey.limiter import ValkeyLimiter
from hubbub.cluster.valkey.membership import Membership
from hubbub.cluster.valkey.places import Place, Places, encode
from hubbub.cluster.valkey.registry import ValkeyRegistry
from hubbub.cluster.valkey.servers import Servers, Unreachable


@dataclass(frozen=True, slots=True)
class Cluster:
    """The ports, ready to be used. `node` is this process's name among the others."""

    node: str
    bus: ValkeyBus
    registry: ValkeyRegistry
    limiter: ValkeyLimiter
    places: Places
    nodes: ValkeyNodes
    _membership: Membership
    _batches: tuple[Batches, Batches]

    def bus_silence(self) -> float:
        """How many seconds ago this node last heard itself on the bus; for health."""
        return self.bus.silence

    def failures(self) -> int:
        """How often Valkey could not be asked, or not in time."""
        return sum(batches.failures for batches in self._batches)

    async def close(self) -> None:
        """Leave the others. To be called once all sockets are cleared away."""
        await self.nodes.close()
        await self.places.close()
        await self.registry.close()
        await self.limiter.close()
        await self._membership.close()
        await self.bus.close()
        for batches in self._batches:
            await batches.close()


async def open_cluster(
    url: str,
    *,
    node: str | None = None,
    place: Place | None = None,
    clock: Callable[[], float] | None = None,
) -> Cluster:
    """Join the nodes that share a Valkey. `node` is a new random name when not given; `place` is where
    the others find it.

    `clock` is that of the limiter, for tests. Raises `ValueError` for a bad URL and `Unreachable`, with one
    readable line, when Valkey cannot be used.
    """
    address = parse(url)
    name = node or secrets.token_hex(8)
    prefix = f"hubbub:{address.database}:"
    keys = Keys(prefix)

    def servers() -> Servers:
        return Servers(address, f"hubbub-{name}")

    limits = Batches(servers(), f"{prefix}{{limits}}", in_haste=True)
    states = Batches(servers(), f"{prefix}{{registry}}", fence=lambda: membership.fence)
    membership = Membership(states, keys, name, None if place is None else encode(place))
    bus = ValkeyBus(servers, prefix, name)
    registry = ValkeyRegistry(membership)
    limiter = ValkeyLimiter(limits, prefix, clock)
    places = Places(membership)
    nodes = ValkeyNodes(bus, places)
    cluster = Cluster(name, bus, registry, limiter, places, nodes, membership, (limits, states))
    try:
        await _open(address, bus, membership, (limits, states))
    except BaseException:
        await bus.close()
        for batches in (limits, states):
            await batches.close()
        raise
    places.start()
    bus.subscribe(registry.heard)
    bus.subscribe(nodes.heard)
    return cluster


async def _open(
    address: Address, bus: ValkeyBus, membership: Membership, batches: tuple[Batches, Batches]
) -> None:
    for one in batches:
        await one.open()
    try:
        await membership.start()
    except Away:
        raise Unreachable(f"Valkey at {address} does not do what it is asked") from None
    await bus.open()
