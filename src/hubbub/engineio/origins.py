"""Who is asking: the client's address behind proxies, and whether a browser page may talk to this server.

Every request passes `origin_allowed`, whatever its method and transport, so the rule stands here alone.
"""

from ipaddress import ip_address

from hubbub.engineio.config import EngineConfig
from hubbub.engineio.requests import Request

ANY_ORIGIN = "*"


def client_address(request: Request, config: EngineConfig) -> str:
    """The client's IP address: the peer, or what a trusted proxy says of it.

    X-Forwarded-For is read from the right, past every trusted proxy, since what stands further left is the
    client's own word.
    """
    if not _trusted(request.peer, config):
        return request.peer
    address = request.peer
    for hop in reversed(request.headers.get("x-forwarded-for", "").split(",")):
        candidate = hop.strip()
        if not _is_address(candidate):
            return address
        address = candidate
        if not _trusted(address, config):
            return address
    return address


def origin_allowed(request: Request, config: EngineConfig) -> bool:
    """Whether the request's Origin may use this server; requests without one (no browser) may."""
    origin = request.headers.get("origin")
    if origin is None or ANY_ORIGIN in config.allowed_origins or origin in config.allowed_origins:
        return True
    return origin == _own_origin(request, config)


def cors_headers(request: Request, config: EngineConfig) -> list[tuple[bytes, bytes]]:
    """What lets the page of an allowed origin read the answer (https://fetch.spec.whatwg.org, CORS
    protocol).
    """
    origin = request.headers.get("origin")
    if origin is None or not origin_allowed(request, config):
        return [(b"vary", b"Origin")]
    if origin not in config.allowed_origins and ANY_ORIGIN in config.allowed_origins:
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


def _own_origin(request: Request, config: EngineConfig) -> str:
    scheme = "https" if request.secure else "http"
    host = request.headers.get("host", "")
    if _trusted(request.peer, config):
        scheme = request.headers.get("x-forwarded-proto", scheme)
        host = request.headers.get("x-forwarded-host", host)
    return f"{scheme}://{host}"


def _trusted(address: str, config: EngineConfig) -> bool:
    if not config.trusted_proxies or not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in config.trusted_proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
