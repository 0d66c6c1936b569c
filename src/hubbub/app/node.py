"""A node among others: joining them, and what runs only there (docs/operations.md, "Several nodes").

Valkey -> bus, registry, limiter -> the parts; beside them: healing of what the bus missed, telling of what
dead nodes left
"""

from dataclasses import dataclass

from hubbub.app.chat_parts import ChatParts, Shared
from hubbub.app.errors import StartError
from hubbub.chat.departed import Departed
from hubbub.chat.standing import Standing
from hubbub.cluster.base import Telling
from hubbub.cluster.local import LocalBus, LocalLimiter, LocalNodes, LocalRegistry
from hubbub.cluster.valkey import Cluster, Place, Unreachable, open_cluster
from hubbub.engineio import Relay
from hubbub.gateway.clients import Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.healing import Healing
from hubbub.gateway.namespace import ChatNamespace
from hubbub.http import Metrics
from hubbub.settings import Settings
from hubbub.store.base import Store


async def join(settings: Settings, place: Place | None) -> Cluster | None:
    """Join the nodes that share the Valkey of the settings; None where none is given. Raises `StartError`.

    `place` is where the others find this one; a node without one passes requests on and is passed none.
    """
    if settings.valkey_url is None:
        return None
    try:
        return await open_cluster(settings.valkey_url, place=place)
    except Unreachable as error:
        raise StartError(f"valkey_url: {error}") from None


def shared_by(store: Store, cluster: Cluster | None) -> Shared:
    """What the parts stand on: shared with the other nodes, or this process's own."""
    if cluster is None:
        return Shared(store, LocalBus(), LocalRegistry(), LocalLimiter(), LocalNodes(), lambda: 0.0)
    return Shared(store, cluster.bus, cluster.registry, cluster.limiter, cluster.nodes, cluster.bus_silence)


@dataclass(frozen=True, slots=True)
class Node:
    """What only a node among others has. `rest` it before the chat is closed, `leave` after that."""

    cluster: Cluster
    healing: Healing
    departed: Departed

    def start(self) -> None:
        """Begin to heal and to tell."""
        self.cluster.bus.subscribe(self.healing.heard)
        self.healing.start()
        self.departed.start()

    async def rest(self) -> None:
        """Heal and tell nothing more."""
        await self.departed.close()
        await self.healing.close()

    async def leave(self) -> None:
        """Tell the others what is left to tell, and leave them."""
        await self.cluster.close()


def make_node(
    settings: Settings,
    cluster: Cluster,
    store: Store,
    chat: ChatParts,
    clients: Clients,
    front: tuple[Delivery, ChatNamespace],
) -> Node:
    """Put together what the node runs; `front` is what hears of messages and of rights."""
    delivery, namespace = front
    parts = chat.requests

    def hear(telling: Telling) -> None:
        delivery.deliver(telling)
        namespace.heard(telling)

    healing = Healing(delivery, clients, parts.messages, Standing(store), hear, cluster.bus_silence)
    departed = Departed(cluster.registry, parts.rooms, parts.typing, parts.presence, settings.offline_grace)
    return Node(cluster, healing, departed)


def register(metrics: Metrics, node: Node, relay: Relay | None) -> None:
    """Register the metrics of the bus, of what is shared, and of what is passed on."""
    bus = node.cluster.bus
    metrics.gauge(
        "hubbub_bus_silence_seconds", "Time since this node heard itself on the bus", node.cluster.bus_silence
    )
    metrics.counter("hubbub_bus_published", "Frames given to the bus", lambda: bus.voice.published)
    metrics.counter("hubbub_bus_dropped", "Frames that the bus could not take", lambda: bus.voice.dropped)
    metrics.counters(
        "hubbub_bus_heard",
        "Frames of other nodes, by what they were worth",
        ("kind",),
        lambda: {
            ("good",): bus.heard.good,
            ("repeated",): bus.heard.repeated,
            ("unknown",): bus.heard.unknown,
            ("malformed",): bus.heard.malformed,
        },
    )
    metrics.counter("hubbub_bus_gaps", "Times that frames were left out", lambda: bus.heard.gaps)
    metrics.counter(
        "hubbub_bus_reconnects", "Times that the bus was subscribed to anew", lambda: bus.ears.reconnects
    )
    metrics.counter(
        "hubbub_valkey_failures", "Times that Valkey could not be asked in time", node.cluster.failures
    )
    limiter = node.cluster.limiter
    metrics.counter("hubbub_limits_alone", "Attempts that only this node has counted", lambda: limiter.alone)
    metrics.counter(
        "hubbub_messages_healed", "Messages found in the log instead of heard", lambda: node.healing.healed
    )
    if relay is not None:
        metrics.gauge(
            "hubbub_relayed_websockets", "WebSockets passed on to other nodes now", lambda: float(len(relay))
        )
        metrics.counter(
            "hubbub_relayed", "Requests passed on to the node of their session", lambda: relay.passed
        )
        metrics.counter("hubbub_relay_failures", "Requests whose node did not answer", lambda: relay.failed)
