"""The inner door: where other nodes bring requests whose sessions are here (docs/decisions/0017).

It listens on the server's own address, on a port of its own, and is told to the others with an address at
which they reach it.
"""

import contextlib
import secrets
import socket
from collections.abc import Iterator

from hubbub.app.listener import bind_one
from hubbub.cluster import address
from hubbub.cluster.valkey import Place
from hubbub.settings import Settings

_KEY_BYTES = 32
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


@contextlib.contextmanager
def inner_door(settings: Settings) -> Iterator[tuple[socket.socket, Place] | None]:
    """The listening socket, and what others are told of it; None for a node that is alone.

    Raises `StartError` when the port cannot be had.
    """
    if settings.valkey_url is None:
        yield None
        return
    with bind_one(settings.host, settings.node_port) as listening:
        port: int = listening.getsockname()[1]
        host = settings.node_host or _reachable(settings.host, settings.valkey_url)
        yield listening, Place(host=host, port=port, key=secrets.token_bytes(_KEY_BYTES))


def _reachable(host: str, valkey_url: str) -> str:
    """The address to tell: the one listened on, or for all of them the one that this machine has on its way
    to Valkey, since the others are on the same side.
    """
    if host not in _EVERYWHERE:
        return host
    hosts = address.parse(valkey_url).hosts
    if not hosts:
        return "127.0.0.1"  # Valkey is a socket of this machine, and so are the nodes
    family = socket.AF_INET6 if ":" in hosts[0][0] else socket.AF_UNSPEC
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(*hosts[0], family=family, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])  # sends nothing: it only chooses the way
            own: str = probe.getsockname()[0]
            return own
    return socket.gethostname()
