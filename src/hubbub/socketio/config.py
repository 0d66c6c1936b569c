"""What a Socket.IO server is told. Plain values."""

from dataclasses import dataclass, field

from hubbub.engineio import EngineConfig


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The settings of one server; those of its connections are in `engine`. Times are seconds."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    # How long a connection may be without any namespace: at its beginning, after a refusal, after it left the
    # last.
    connect_timeout: float = 10.0
    # How long the attachments of a packet may take to arrive.
    attachment_timeout: float = 10.0
    # Namespaces that one connection may be in at a time; also how often it may ask for one that does not
    # exist.
    max_namespaces: int = 8
    # Events of one connection that wait or are not answered yet; above it no more is read from the
    # connection, until less than half is left.
    inbox_limit: int = 64
