"""The table of all settings: a field of `Settings` is a row of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from hubbub.settings import kinds
from hubbub.settings.kinds import Kind, Network, Rate, duration, integer

T = TypeVar("T")

SIGNATURES = (
    *("HS256", "HS384", "HS512"),
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)


def row(default: T, kind: Kind[T], about: str, *, secret: bool = False) -> T:
    """A field of `Settings`. A `secret` is never printed."""
    return field(default=default, repr=not secret, metadata={"kind": kind, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings in force. Durations are seconds, sizes bytes; a rate of None is switched off.

    `sources` tells where each value came from: `default`, `development profile`, `file PATH`,
    `environment HUBBUB_X` or `flag --x`.
    """

    # Serving
    host: str = row(
        "127.0.0.1", kinds.TEXT, "Address to listen on; 0.0.0.0 or :: for every one of this machine"
    )
    port: int = row(3001, integer(0, 65535), "Port to listen on; 0 lets the system choose")
    workers: int = row(1, integer(1, 256), "Processes that share the port; more than one needs valkey_url")
    worker_port: int = row(
        0,
        integer(0, 65535),
        "First of the ports that workers have of their own, for metrics; 0: the system chooses, on 127.0.0.1",
    )
    drain_timeout: float = row(10.0, duration("1s"), "Longest time from SIGTERM to the exit")
    log_level: str = row(
        "info", kinds.choice("debug", "info", "warning", "error"), "Least severity that is logged"
    )
    log_format: str = row("console", kinds.choice("console", "json"), "Log lines for people or for machines")

    # Data
    data_dir: Path = row(Path("data"), kinds.FOLDER, "Folder of the database and the token secret")
    database_url: str | None = row(
        None, kinds.DATABASE, "Database; `hubbub.db` in the data folder when not given"
    )
    valkey_url: str | None = row(
        None,
        kinds.VALKEY,
        "Valkey or Redis that several nodes share; a node is alone when not given",
        secret=True,
    )

    node_host: str | None = row(
        None,
        kinds.OPTIONAL_TEXT,
        "Address at which other nodes reach this one; `host`, or the way to Valkey, tells it when not given",
    )
    node_port: int = row(
        0, integer(0, 65535), "Port for other nodes alone, on the same address; 0 lets the system choose"
    )

    # Who may come in
    jwt_secret: str | None = row(
        None,
        kinds.OPTIONAL_TEXT,
        "Shared secret of HS256 tokens, at least 32 bytes; made and kept in the data folder when not given",
        secret=True,
    )
    jwt_algorithms: tuple[str, ...] = row(
        ("HS256",), kinds.choices(*SIGNATURES), "Signatures accepted on tokens"
    )
    jwt_public_key: str | None = row(None, kinds.PUBLIC_KEY, "Public key for RS, PS, ES or EdDSA tokens")
    jwt_jwks_url: str | None = row(None, kinds.KEY_URL, "Where to fetch those public keys instead")
    jwt_issuer: str | None = row(
        None, kinds.OPTIONAL_TEXT, "Required `iss` of a token; not checked when not given"
    )
    jwt_audience: str | None = row(
        None, kinds.OPTIONAL_TEXT, "Required `aud` of a token; not checked when not given"
    )
    access_token_ttl: float = row(3600.0, duration("1s"), "Life of an access token made here")
    refresh_token_ttl: float = row(30 * 86_400.0, duration("1s"), "Life of a refresh token made here")
    token_grace: float = row(
        60.0, duration(), "How long after its token expired a socket may stay to refresh it"
    )
    create_unknown_users: bool = row(
        True, kinds.BOOLEAN, "A valid token of an unknown user creates that user"
    )
    registration: str = row(
        "open",
        kinds.choice("open", "closed"),
        "Whether anybody may register over HTTP; `hubbub user add` and admins make users either way",
    )
    allowed_origins: frozenset[str] = row(
        frozenset(),
        kinds.ORIGINS,
        "Origins of browser pages that may connect beside this server's own; * for any",
    )
    trusted_proxies: tuple[Network, ...] = row(
        (), kinds.NETWORKS, "Proxies whose X-Forwarded-For header is believed"
    )

    # Limits
    connection_rate: Rate | None = row(Rate(5, 300.0), kinds.RATE, "Connection attempts per address")
    connection_block: float = row(900.0, duration(), "How long an address that exceeds them is blocked")
    login_rate: Rate | None = row(Rate(10, 300.0), kinds.RATE, "Attempts at one user's password")
    login_address_rate: Rate | None = row(
        Rate(30, 300.0), kinds.RATE, "Attempts of one address at passwords and registrations"
    )
    message_rate: Rate | None = row(Rate(100, 60.0), kinds.RATE, "Messages per user")
    typing_rate: Rate | None = row(Rate(10, 60.0), kinds.RATE, "Typing events per user")
    request_rate: Rate | None = row(Rate(6000, 60.0), kinds.RATE, "Requests of all kinds per user")

    # The wire
    ping_interval: float = row(25.0, duration("100ms"), "Time between heartbeats")
    ping_timeout: float = row(20.0, duration("100ms"), "How long a heartbeat may stay unanswered")
    connect_timeout: float = row(10.0, duration("100ms"), "How long a connection may take to log in")
    max_payload: int = row(
        1_000_000, integer(1024, 1_073_741_824), "Largest packet or request body, in bytes"
    )
    max_outbox_bytes: int = row(
        4_194_304,
        integer(65_536),
        "Unsent bytes at which a client that reads too slowly is disconnected",
    )

    # Rooms and presence
    typing_timeout: float = row(3.0, duration("100ms"), "Typing ends by itself after this time")
    offline_grace: float = row(2.0, duration(), "How long a user without sockets still counts as online")
    online_update_interval: float = row(
        0.25, duration("10ms"), "Least time between two online lists of a room"
    )
    online_list_limit: int = row(100, integer(1, 1000), "Users in a broadcast list; more are cut and told so")
    typing_broadcast_limit: int = row(
        1000, integer(0), "Online users of a room beyond which typing is not broadcast"
    )
    receipt_broadcast_limit: int = row(
        100, integer(0), "Online users of a room beyond which receipts go to the sender only"
    )
    presence_broadcast_limit: int = row(
        1000, integer(0), "Connected users beyond which presence goes to those who share a chat only"
    )
    presence_details: str = row(
        "self", kinds.choice("self", "everyone"), "Who sees a user's e-mail, address and agent, beside admins"
    )

    # Recovery
    recovery_ttl: float = row(86_400.0, duration("1s"), "Life of a recovery session after its last activity")
    state_recovery_window: float = row(
        120.0, duration(), "How long Socket.IO's own state recovery can continue a connection"
    )

    # Monitoring
    monitoring_access: str = row(
        "admin",
        kinds.choice("admin", "everyone"),
        "Who sees everybody's connection events, addresses and agents",
    )
    health_error_rate_warning: float = row(
        0.1, kinds.SHARE, "Share of failed connection attempts worth a warning"
    )
    health_error_rate_critical: float = row(
        0.5, kinds.SHARE, "Share of failed connection attempts that is critical"
    )
    health_loop_lag_warning: float = row(0.1, duration("1ms"), "Event-loop lag worth a warning")
    health_loop_lag_critical: float = row(1.0, duration("1ms"), "Event-loop lag that is critical")
    health_database_latency_warning: float = row(
        0.25, duration("1ms"), "Time of a small database write worth a warning"
    )
    health_database_latency_critical: float = row(
        2.0, duration("1ms"), "Time of a small database write that is critical"
    )
    health_memory_warning: int = row(1_073_741_824, integer(1), "Resident bytes worth a warning")
    health_memory_critical: int = row(2_147_483_648, integer(1), "Resident bytes that are critical")
    health_backlog_warning: int = row(67_108_864, integer(1), "Unsent bytes in all worth a warning")
    health_backlog_critical: int = row(268_435_456, integer(1), "Unsent bytes in all that are critical")

    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def source(self, name: str) -> str:
        """Where the value of a setting came from."""
        return self.sources.get(name, "default")

    @property
    def store_url(self) -> str:
        """The database in force: the one given, or the file in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'hubbub.db'}"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one setting."""

    name: str
    kind: Kind[Any]  # each row has a type of its own
    about: str
    secret: bool
    default: object

    @property
    def environment(self) -> str:
        """Its environment variable."""
        return f"HUBBUB_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def default_text(self) -> str:
        """Its default as it would be written; empty where there is none."""
        return "" if self.default is None and self.kind is not kinds.RATE else self.kind.show(self.default)

    def text(self, value: object) -> str:
        """A value as it would be written; a secret is masked."""
        if self.secret and value is not None:
            return "********"
        return self.kind.show(value)


ROWS: dict[str, Row] = {
    entry.name: Row(
        entry.name, entry.metadata["kind"], entry.metadata["about"], entry.metadata["secret"], entry.default
    )
    for entry in fields(Settings)
    if "kind" in entry.metadata
}
