"""What an engine is told: paths, times, limits, who may connect. Plain values, no defaults elsewhere."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The settings of one engine. Times are seconds, sizes bytes."""

    path: str = "/socket.io/"
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    # Longest message or POST body from a client; told to it in the handshake.
    max_payload: int = 1_000_000
    # From the upgrade request to the UPGRADE packet.
    upgrade_timeout: float = 10.0
    # A whole request head, a whole POST body, and the answer to a WebSocket close each have this long.
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    close_timeout: float = 5.0
    # Backlog beyond which a slow reader is closed. Checked before a packet is added, so one big packet always
    # passes.
    max_outbox_bytes: int = 4_194_304
    max_outbox_packets: int = 10_000
    # Origins beside the server's own, exact or, with ":*" at the end, on any port; "*" allows any (then
    # without credentials). No Origin header always passes.
    allowed_origins: frozenset[str] = frozenset()
    # Peers whose X-Forwarded-For, -Proto and -Host are believed.
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    # Sessions beyond these are refused with 503. Silent ones are those whose client has not sent a message
    # yet.
    max_sessions: int | None = None
    max_sessions_per_address: int | None = None
    max_silent_sessions: int | None = 10_000
    max_silent_sessions_per_address: int | None = 1_000
