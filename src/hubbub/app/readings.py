"""What `/metrics` shows of the parts: each reading is a plain number that its part keeps anyway."""

from collections.abc import Iterable
from dataclasses import dataclass

from hubbub.app.chat_parts import ChatParts
from hubbub.gateway.clients import Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.dispatch import Dispatch
from hubbub.http import Durations, Metrics
from hubbub.socketio import Server
from hubbub.store.base import Store


@dataclass(frozen=True, slots=True)
class Readings:
    """The parts that are read."""

    store: Store
    chat: ChatParts
    clients: Clients
    server: Server
    delivery: Delivery
    dispatch: Dispatch


def request_durations(metrics: Metrics, events: Iterable[str]) -> Durations:
    """Register and return what counts how long requests of sockets take, the commit of a message included."""
    return metrics.durations(
        "hubbub_request_duration_seconds", "Time from a socket's request to its answer", "event", events
    )


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
    register_store(metrics, parts)
    metrics.counter("hubbub_deliveries", "Messages handed to sockets", lambda: parts.delivery.delivered)
    metrics.counters(
        "hubbub_requests",
        "Requests of sockets, by event and outcome",
        ("event", "code"),
        lambda: parts.dispatch.answered,
    )
    metrics.counter("hubbub_connections", "Sockets let in", lambda: monitoring.figures().total)
    metrics.counter(
        "hubbub_connections_refused",
        "Connection attempts refused",
        lambda: monitoring.figures().failed,
    )


def register_store(metrics: Metrics, parts: Readings) -> None:
    """Register the metrics of what is stored."""
    metrics.counter(
        "hubbub_messages", "Messages stored since the start", lambda: parts.chat.requests.messages.stored
    )
    metrics.counter("hubbub_commits", "Transactions committed", lambda: parts.store.commits().transactions)
    metrics.counter(
        "hubbub_commit_operations",
        "Operations in them: divided by the transactions, the size of a batch",
        lambda: parts.store.commits().operations,
    )
    metrics.counter(
        "hubbub_commit_seconds",
        "Time spent in them, to the disk and back",
        lambda: parts.store.commits().seconds,
    )
