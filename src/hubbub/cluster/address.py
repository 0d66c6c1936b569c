"""Where the shared Valkey (or Redis) is, as its URL says.

redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]              one server; rediss:// with TLS
unix://[[USER]:PASSWORD@]/PATH/OF/SOCKET[?db=DB]        one server, nodes on one machine
redis+sentinel://[...@]HOST[:PORT],.../MASTER[/DB]      whichever server the sentinels call master
redis+cluster://[...@]HOST[:PORT],...                   a cluster, found through any of these

`valkey` and `valkeys` say the same as `redis` and `rediss`. Name and password are those of the servers;
sentinels are asked without any.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

Kind: TypeAlias = Literal["single", "unix", "sentinel", "cluster"]

_SCHEME = re.compile(r"(redis|valkey)(s?)(?:\+(sentinel|cluster))?")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PORT = 6379
_SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A parsed URL. `hosts` are servers or sentinels, `path` a socket's, `master` a name of sentinels."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    def __str__(self) -> str:
        """The address for logs, without name and password."""
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{where}/{self.master}" if self.master else where


def parse(url: str) -> Address:
    """Read a URL. Raises `ValueError`, without the password in it, for anything but a good one."""
    try:
        return _parse(url)
    except ValueError:
        raise ValueError("not the URL of a Valkey or Redis") from None


def _parse(url: str) -> Address:
    if not url.isprintable() or " " in url:
        raise ValueError
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _parse_unix(url)
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None or parts.query or parts.fragment:
        raise ValueError
    credentials, _, hosts = parts.netloc.rpartition("@")
    kind: Kind = "single"
    if scheme[3] is not None:
        kind = "sentinel" if scheme[3] == "sentinel" else "cluster"
    path = [unquote(part) for part in parts.path.split("/")[1:] if part]
    if kind == "sentinel" and not path:
        raise ValueError
    master = path.pop(0) if kind == "sentinel" else ""
    if len(path) > (0 if kind == "cluster" else 1):
        raise ValueError
    username, password = _parse_credentials(credentials)
    return Address(
        kind=kind,
        hosts=_parse_hosts(hosts, _SENTINEL_PORT if kind == "sentinel" else _PORT, one=kind == "single"),
        master=master,
        tls=bool(scheme[2]),
        username=username,
        password=password,
        database=_parse_database(path[0]) if path else 0,
    )


def _parse_unix(url: str) -> Address:
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    credentials, at, host = parts.netloc.rpartition("@")
    if host or (at and not credentials) or not parts.path.strip("/") or query.keys() - {"db"}:
        raise ValueError
    (database,) = query.get("db", ["0"])
    username, password = _parse_credentials(credentials)
    return Address(
        kind="unix",
        path=unquote(parts.path),
        username=username,
        password=password,
        database=_parse_database(database),
    )


def _parse_hosts(text: str, port: int, *, one: bool) -> tuple[tuple[str, int], ...]:
    hosts: list[tuple[str, int]] = []
    for member in text.split(","):
        match = _HOST.fullmatch(member)
        if match is None:
            raise ValueError
        number = int(match[2] or port)
        if not 0 < number < 65536:
            raise ValueError
        hosts.append((match[1].strip("[]"), number))
    if one and len(hosts) > 1:
        raise ValueError
    return tuple(hosts)


def _parse_credentials(text: str) -> tuple[str | None, str | None]:
    username, _, password = text.partition(":")
    return unquote(username) or None, unquote(password) or None


def _parse_database(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise ValueError
    return int(text)
