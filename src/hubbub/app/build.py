"""The parts of a server and their wiring (concrete stores: database.py, concrete buses: node.py).

store, bus, registry, limiter -> the chat's parts -> gateway and http -> one ASGI application, one WebSocket
class
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from hubbub.app import node as nodes
from hubbub.app.chat_parts import ChatParts, make_chat
from hubbub.app.database import check_fits, open_store
from hubbub.app.node import Node
from hubbub.app.readings import Readings, register, request_durations
from hubbub.app.web import Web
from hubbub.chat.monitoring import Monitoring
from hubbub.cluster.valkey import Cluster, Place
from hubbub.contract.values import ConnectionEventType
from hubbub.engineio import EngineConfig
from hubbub.gateway.clients import NAMESPACE, Client, Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.dispatch import Dispatch
from hubbub.gateway.expiry import Expiry
from hubbub.gateway.handlers import Handlers
from hubbub.gateway.login import Login
from hubbub.gateway.namespace import ChatNamespace
from hubbub.http import Metrics
from hubbub.settings import Settings
from hubbub.socketio import Server, ServerConfig
from hubbub.store.base import Store


@dataclass(slots=True)
class Built:
    """A server, ready to be run."""

    store: Store
    chat: ChatParts
    clients: Clients
    server: Server
    namespace: ChatNamespace
    delivery: Delivery
    dispatch: Dispatch
    expiry: Expiry
    web: Web
    # None where the server is alone.
    node: Node | None

    async def close(self) -> None:
        """Stop what runs by itself, let go of the database, and leave the other nodes."""
        self.expiry.close()
        if self.node is not None:
            await self.node.rest()
        await self.delivery.close()
        await self.chat.close()
        await self.store.close()
        if self.node is not None:
            await self.node.leave()


async def build(settings: Settings, place: Place | None = None) -> Built:
    """Open the database, join the other nodes and put the parts together. Raises `StartError` and
    `SettingsError`, one readable line each. `place` is where other nodes find this one.
    """
    check_fits(settings)
    async with AsyncExitStack() as undo:
        store = await open_store(settings)
        undo.push_async_callback(store.close)
        cluster = await nodes.join(settings, place)
        if cluster is not None:
            undo.push_async_callback(cluster.close)
        built = await _wire(settings, store, cluster)
        undo.pop_all()
        return built


async def _wire(settings: Settings, store: Store, cluster: Cluster | None) -> Built:
    shared = nodes.shared_by(store, cluster)
    clients = Clients()
    server: Server

    def backlog() -> float:
        return float(sum(session.backlog for session in server.engine.sessions))

    chat = make_chat(settings, shared, backlog)
    parts = chat.requests
    login = Login(parts.tokens, parts.limits, parts.recovery, parts.monitoring, clients)
    namespace = ChatNamespace(parts, login, clients)
    others = None if cluster is None else cluster.places
    server = Server(_server_config(settings), {NAMESPACE: namespace}, Refusals(parts.monitoring), others)
    epoch, several = await store.epoch(), cluster is not None
    delivery = Delivery(server, clients, parts.messages, shared.bus, epoch, among_others=several)
    expiry = Expiry(settings.token_grace, _disconnect)
    metrics = Metrics()
    table = Handlers(parts, delivery, expiry).table()
    dispatch = Dispatch(table, parts.limits, request_durations(metrics, table).observe)
    namespace.serve(delivery, dispatch, expiry)
    # What is about to be committed goes to the same sockets, mostly: in one write with what is there already.
    server.engine.flusher.expects_more = store.appending
    shared.bus.subscribe(delivery.deliver)
    shared.bus.subscribe(namespace.heard)
    chat.lag.start()
    register(metrics, Readings(store, chat, clients, server, delivery, dispatch))
    node: Node | None = None
    if cluster is not None:
        node = nodes.make_node(settings, cluster, store, chat, clients, (delivery, namespace))
        nodes.register(metrics, node, server.engine.relay)
        node.start()
    web = Web(chat, server, store, metrics)
    return Built(store, chat, clients, server, namespace, delivery, dispatch, expiry, web, node)


def _server_config(settings: Settings) -> ServerConfig:
    return ServerConfig(
        engine=EngineConfig(
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_payload=settings.max_payload,
            max_outbox_bytes=settings.max_outbox_bytes,
            allowed_origins=settings.allowed_origins,
            trusted_proxies=settings.trusted_proxies,
        ),
        connect_timeout=settings.connect_timeout,
    )


def _disconnect(client: Client) -> None:
    """A token has ended, and the time to refresh it, too."""
    client.socket.disconnect(close=True)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Counts handshakes that were refused before there was a session."""

    monitoring: Monitoring

    def __call__(self, address: str, user_agent: str, why: str) -> None:
        """Record one."""
        self.monitoring.record(
            ConnectionEventType.ERROR,
            socket_id=None,
            user_id=None,
            address=address,
            user_agent=user_agent,
            details={"reason": why},
        )
