"""Every implementation of the ports of `cluster.base`: each faces the same tests."""

from collections.abc import Callable

from hubbub.cluster.base import Bus, Connection, Limiter, Registry
from hubbub.cluster.local import LocalBus, LocalLimiter, LocalRegistry

BUSES: dict[str, Callable[[], Bus]] = {"local": LocalBus}
REGISTRIES: dict[str, Callable[[], Registry]] = {"local": LocalRegistry}
LIMITERS: dict[str, Callable[[Callable[[], float]], Limiter]] = {"local": LocalLimiter}


def connection(socket_id: str, user_id: str, connected_at: int = 0) -> Connection:
    """A socket of a user."""
    return Connection(
        socket_id=socket_id,
        user_id=user_id,
        username=f"name of {user_id}",
        email=None,
        role="user",
        address="192.0.2.1",
        user_agent="agent",
        connected_at=connected_at,
    )
