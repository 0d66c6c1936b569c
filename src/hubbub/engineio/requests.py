"""What both front doors know of a request, in one shape: an HTTP request over ASGI, or a WebSocket
upgrade.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

_MAX_QUERY_FIELDS = 32


@dataclass(frozen=True, slots=True)
class Request:
    """One request's head. `path` is raw (not percent-decoded), header names are lower case, `peer` is the
    socket's.
    """

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    peer: str
    secure: bool = False
    # Another node passed it on.
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Handshake:
    """The facts of the request that opened a session. `opened_at` is Unix time in seconds."""

    address: str
    transport: str
    opened_at: float
    raw_query: str = ""
    raw_headers: bytes = field(default=b"", repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers by lower-case name; parsed at each call, since an idle session should be
        small.
        """
        return fold_headers(line.partition(b": ")[::2] for line in self.raw_headers.split(b"\r\n") if line)

    def header(self, name: str) -> str:
        """Return one header by its lower-case name, "" when the request had none; cheaper than all."""
        start = f"{name}: ".encode("latin-1")
        for line in self.raw_headers.split(b"\r\n"):
            if line.startswith(start):
                return line[len(start) :].decode("latin-1")
        return ""

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields; parsed at each call."""
        return parse_query(self.raw_query)


def fold_headers(fields: Iterable[tuple[bytes, ...]]) -> dict[str, str]:
    """Header fields as text by lower-case name; a repeated field's values are joined with a comma (RFC
    9110, 5.3).
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def join_headers(headers: Mapping[str, str]) -> bytes:
    """The compact form of headers that a `Handshake` keeps."""
    return "\r\n".join(f"{name}: {value}" for name, value in headers.items()).encode("latin-1")


def parse_query(raw: str) -> dict[str, str]:
    """The fields of a query string.

    Raises `ValueError` when a field stands twice (which of them should count?), when there are too many of
    them or when they are not UTF-8.
    """
    if "%" in raw or "+" in raw or raw.count("&") >= _MAX_QUERY_FIELDS:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS)
    else:
        # The same for a query without escapes, which is what clients send, at a fifth of the cost.
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in raw.split("&") if part)]
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a query field stands twice")
    return fields
