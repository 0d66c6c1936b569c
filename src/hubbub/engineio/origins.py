"""Who is asking: the client's address behind proxies, and whether a browser page may talk to this server.

Every request passes `origin_allowed`, whatever its method and transport, so the rule stands here alone.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from hubbub.engineio.config import EngineConfig
from hubbub.engineio.requests import Request

ANY_ORIGIN = "*"
_ANY_PORT = ":*"
# IPv6 with an IPv4 address inside and a zone.
_LONGEST_ADDRESS = 64

_Address = IPv4Address | IPv6Address


def client_address(request: Request, config: EngineConfig) -> str:
    """The client's IP address: the peer, or what a trusted proxy says of it.

    X-Forwarded-For is read from the right, past every trusted proxy, since what stands further left is the
    client's own word. IPv4 addresses look the same whether or not they came in over an IPv6 socket.
    """
    forwarded = request.headers.get("x-forwarded-for")
    if forwarded is None:
        return _plain(request.peer)
    address = _parse(request.peer)
    if address is None:
        return request.peer
    for hop in reversed(forwarded.split(",")):
        said = _parse(hop.strip())
        if said is None or not _trusted(address, config):
            break
        address = said
    return str(address)


def origin_allowed(request: Request, config: EngineConfig) -> bool:
    """Whether the request's Origin may use this server; requests without one (no browser) may."""
    origin = request.headers.get("origin")
    if origin is None or ANY_ORIGIN in config.allowed_origins or _listed(origin, config):
        return True
    return origin == _own_origin(request, config)


def cors_headers(request: Request, config: EngineConfig) -> list[tuple[bytes, bytes]]:
    """What lets the page of an allowed origin read the answer (https://fetch.spec.whatwg.org, CORS
    protocol).
    """
    origin = request.headers.get("origin")
    if origin is None or not origin_allowed(request, config):
        return [(b"vary", b"Origin")]
    if not _listed(origin, config) and ANY_ORIGIN in config.allowed_origins:
        # Any page at all: then none of them with the user's cookies.
        return [(b"access-control-allow-origin", b"*")]
    return [
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
    ]


def preflight_headers(request: Request, config: EngineConfig) -> list[tuple[bytes, bytes]]:
    """The answer to an OPTIONS request of an allowed origin."""
    wanted = request.headers.get("access-control-request-headers", "content-type")
    return [
        *cors_headers(request, config),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", wanted.encode("latin-1")),
        (b"access-control-max-age", b"600"),
    ]


def _listed(origin: str, config: EngineConfig) -> bool:
    """Whether the origin is allowed by name, or its scheme and host are on any port."""
    if origin in config.allowed_origins:
        return not origin.endswith(_ANY_PORT)
    host, _, port = origin.rpartition(":")
    named = host if port.isascii() and port.isdecimal() else origin
    return named + _ANY_PORT in config.allowed_origins


def _own_origin(request: Request, config: EngineConfig) -> str:
    scheme = "https" if request.secure else "http"
    host = request.headers.get("host", "")
    peer = _parse(request.peer)
    if peer is not None and _trusted(peer, config):
        scheme = request.headers.get("x-forwarded-proto", scheme)
        host = request.headers.get("x-forwarded-host", host)
    return f"{scheme}://{host}"


def _trusted(address: _Address, config: EngineConfig) -> bool:
    return any(address in network for network in config.trusted_proxies)


def _parse(text: str) -> _Address | None:
    return _parse_address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)  # clients come back, and make several requests
def _plain(peer: str) -> str:
    address = _parse(peer)
    return peer if address is None else str(address)


@lru_cache(maxsize=1024)
def _parse_address(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
