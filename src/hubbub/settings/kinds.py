"""Kinds of values: how each is written as text, read from text, and what is said to a wrong one.

A parser raises `ValueError` for anything but a good value; the message does not matter, since `Kind.wanted`
says what would be right. `show` writes a value as `parse` reads it, so every value survives the round trip.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from hubbub.cluster import address

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST = 3650 * 86_400.0
"""Seconds of the longest duration that can be written."""

DURATION_TEXT = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
RATE_TEXT = re.compile(r"([0-9]{1,9})/(.+)")
PASSWORD_IN_URL = re.compile(r"(://[^/:@\s]*:)\S*@")
PASSWORD_PARAMETER = re.compile(r"([?&]password=)[^&]*")
INTEGER_TEXT = re.compile(r"[0-9]{1,18}")


class SettingsError(ValueError):
    """A setting is wrong. The message is one line for the operator: which, whence, what would be right."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: int
    seconds: float

    def __str__(self) -> str:
        """As it is written in a configuration, e.g. `5/5m`."""
        return f"{self.count}/{duration_text(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value. `wanted` completes the sentence "it must be ..."."""

    metavar: str
    wanted: str
    parse: Callable[[str], T]
    show: Callable[[T], str]


def parse_duration(text: str) -> float:
    """Seconds from `250ms`, `15s`, `5m`, `1h` or `30d`; a number without a unit is a `ValueError`."""
    match = DURATION_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    seconds = int(match[1]) * UNITS[match[2]] / 1000
    if seconds > LONGEST:
        raise ValueError(text)
    return seconds


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration of whole milliseconds, in its largest unit that divides it."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    unit = next(unit for unit in reversed(UNITS) if milliseconds % UNITS[unit] == 0)
    return f"{milliseconds // UNITS[unit]}{unit}"


def duration(at_least: str = "0s") -> Kind[float]:
    """Seconds, written with a unit; ten years at most."""
    floor = parse_duration(at_least)

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if seconds < floor:
            raise ValueError(text)
        return seconds

    bound = f" of at least {at_least}" if floor else ""
    return Kind(
        "DURATION", f"a duration{bound} with its unit, like 250ms, 30s, 15m, 1h or 7d", parse, duration_text
    )


def _parse_rate(text: str) -> Rate | None:
    if text == "off":
        return None
    match = RATE_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    rate = Rate(int(match[1]), parse_duration(match[2]))
    if rate.count < 1 or rate.seconds <= 0:
        raise ValueError(text)
    return rate


RATE: Kind[Rate | None] = Kind(
    "RATE",
    "a count and a period, like 5/5m or 100/1m, or off",
    _parse_rate,
    lambda rate: "off" if rate is None else str(rate),
)


def integer(at_least: int, at_most: int | None = None) -> Kind[int]:
    """A whole number between two bounds, both allowed; without the upper one, 18 digits at most."""
    most = 10**18 - 1 if at_most is None else at_most
    bounds = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"

    def parse(text: str) -> int:
        if INTEGER_TEXT.fullmatch(text) is None or not at_least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    return Kind("NUMBER", f"a whole number {bounds}", parse, str)


def _parse_share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


SHARE: Kind[float] = Kind("SHARE", "a share between 0 and 1, like 0.05", _parse_share, repr)


def choice(*options: str) -> Kind[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError(text)
        return text

    return Kind("|".join(options), f"one of {', '.join(options)}", parse, str)


def choices(*options: str) -> Kind[tuple[str, ...]]:
    """One or several of a few words, with commas between them."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = split(text)
        if not chosen or not set(chosen) <= set(options):
            raise ValueError(text)
        return chosen

    return Kind("LIST", f"one or several of {', '.join(options)}, with commas between them", parse, ",".join)


BOOLEAN: Kind[bool] = Kind(
    "true|false",
    "true or false",
    lambda text: {"true": True, "false": False}[text],
    lambda value: "true" if value else "false",
)


def _parse_text(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError(text)
    return text


TEXT: Kind[str] = Kind(
    "TEXT", "text, not empty, without control characters or outer spaces", _parse_text, str
)
OPTIONAL_TEXT: Kind[str | None] = Kind(TEXT.metavar, TEXT.wanted, _parse_text, lambda text: text or "")
FOLDER: Kind[Path] = Kind(
    "PATH", "the path of a folder", lambda text: Path(_parse_text(text)).expanduser(), str
)


def split(text: str) -> tuple[str, ...]:
    """The members of a comma list; none for an empty text."""
    members = tuple(member.strip() for member in text.split(",")) if text.strip() else ()
    if not all(members):
        raise ValueError(text)
    return members


def _check_origin(origin: str) -> str:
    if origin == "*":
        return origin
    exact = origin.removesuffix(":*")
    parts = urlsplit(exact)
    if exact != f"{parts.scheme}://{parts.netloc}".lower() or not parts.hostname or set("@*") & set(exact):
        raise ValueError(origin)
    default = (parts.scheme, parts.port) in {("http", 80), ("https", 443)}
    if default or (parts.port is not None and exact != origin):
        raise ValueError(origin)
    return _parse_text(origin)


ORIGINS: Kind[frozenset[str]] = Kind(
    "LIST",
    "origins as a browser sends them, like https://chat.example.com,http://localhost:5173 "
    "(lower case, no path, no default port), with :* for any port, or *",
    lambda text: frozenset(map(_check_origin, split(text))),
    lambda origins: ",".join(sorted(origins)),
)

NETWORKS: Kind[tuple[Network, ...]] = Kind(
    "LIST",
    "addresses or networks, like 127.0.0.1,10.0.0.0/8,fd00::/8 (no bits set beyond the prefix)",
    lambda text: tuple(map(ipaddress.ip_network, split(text))),
    lambda networks: ",".join(map(str, networks)),
)


def is_postgres(url: str) -> bool:
    """Whether the URL of a database names one on a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgres://"))


def _parse_database(text: str) -> str | None:
    name = urlsplit(text).path.removeprefix("/")
    if not name or not (text.startswith("sqlite:///") or is_postgres(text)):
        raise ValueError(text)
    return _parse_text(text)


def without_passwords(text: str) -> str:
    """A text with the passwords masked that stand in URLs."""
    masked = PASSWORD_IN_URL.sub(r"\1********@", text)
    return PASSWORD_PARAMETER.sub(r"\1********", masked)


DATABASE: Kind[str | None] = Kind(
    "URL",
    "the URL of an SQLite file, like sqlite:///relative.db or sqlite:////var/lib/hubbub/hubbub.db, "
    "or of a PostgreSQL database, like postgresql://user:password@host/hubbub",
    _parse_database,
    lambda url: without_passwords(url or ""),
)


def _parse_valkey(text: str) -> str | None:
    address.parse(text)
    return text


VALKEY: Kind[str | None] = Kind(
    "URL",
    "the URL of a Valkey or Redis, like valkey://host:6379, rediss://user:password@host/1, "
    "unix:///run/valkey.sock, redis+sentinel://host1,host2/master or redis+cluster://host1,host2",
    _parse_valkey,
    lambda url: url or "",
)


def _parse_key_url(text: str) -> str | None:
    parts = urlsplit(text)
    loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise ValueError(text)
    return _parse_text(text)


KEY_URL: Kind[str | None] = Kind(
    "URL", "an https:// URL (http:// only on this machine)", _parse_key_url, lambda url: url or ""
)


def _parse_public_key(text: str) -> str | None:
    pem = text if text.startswith("-----BEGIN ") else Path(text).expanduser().read_text(encoding="ascii")
    if not pem.startswith("-----BEGIN ") or "PRIVATE KEY" in pem:
        raise ValueError(text)
    return pem


PUBLIC_KEY: Kind[str | None] = Kind(
    "PEM|PATH",
    "a public key in PEM form, or the path of a readable file with one",
    _parse_public_key,
    lambda pem: "" if pem is None else pem.splitlines()[0] + " ...",
)
