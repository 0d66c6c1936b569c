"""What `/metrics` shows of the parts: each reading is a plain number that its part keeps anyway."""

from dataclasses import dataclass

from hubbub.app.chat_parts import ChatParts
from hubbub.gateway.clients import Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.dispatch import Dispatch
from hubbub.http import Metrics
from hubbub.socketio import Server


@dataclass(frozen=True, slots=True)
class Readings:
    """The parts that are read."""

    chat: ChatParts
    clients: Clients
    server: Server
    delivery: Delivery
    dispatch: Dispatch


def register(metrics: Metrics, parts: Readings) -> None:
    """Register every metric of the sockets and the chat."""
    engine = parts.server.engine
    monitoring = parts.chat.requests.monitoring
    metrics.gauge("hubbub_sockets", "Sockets connected to /chat", lambda: len(parts.clients))
    metrics.gauge("hubbub_sessions", "Engine.IO sessions", lambda: len(engine.sessions))
    metrics.gauge(
        "hubbub_outbox_bytes",
        "Bytes that wait to be sent to clients",
        lambda: sum(session.backlog for session in engine.sessions),
    )
    metrics.gauge("hubbub_rooms", "Chats with sockets in their rooms", lambda: parts.delivery.rooms)
    metrics.gauge(
        "hubbub_loop_lag_seconds", "Longest delay of the event loop in the last 5 s", parts.chat.lag.worst
    )
    metrics.counter("hubbub_deliveries", "Messages handed to sockets", lambda: parts.delivery.delivered)
    metrics.counters(
        "hubbub_requests",
        "Requests of sockets, by event and outcome",
        ("event", "code"),
        lambda: parts.dispatch.answered,
    )
    metrics.counter(
        "hubbub_connections", "Sockets let in", lambda: monitoring.metrics().metrics.total_connections
    )
    metrics.counter(
        "hubbub_connections_refused",
        "Connection attempts refused",
        lambda: monitoring.metrics().metrics.failed_connections,
    )
