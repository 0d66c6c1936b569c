"""hubbub as it is run: `hubbub serve` with authentication, membership and a durable log on disk.

Only the rates are off, since the load comes from one address. Users come with their tokens, the chat is made
over HTTP, everything else is the default.
"""

import itertools
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import jwt

from benchmarks.load.plan import Room
from benchmarks.peers.engines import running_postgres, running_valkey
from benchmarks.peers.peer import Venue
from benchmarks.processes import ROOT, Address, PeerError, serving

_RATES: Final = ("CONNECTION", "MESSAGE", "TYPING", "REQUEST")
_LIBRARIES: Final = ("uvicorn", "uvloop", "websockets", "msgspec", "sqlalchemy")
_TOKEN_SECONDS: Final = 86_400


def _environment(folder: Path, secret: str) -> dict[str, str]:
    """No setting of the surroundings gets in; the source tree does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT / "src"),
        "HUBBUB_HOST": "127.0.0.1",
        "HUBBUB_PORT": "0",
        "HUBBUB_DATA_DIR": str(folder / "data"),
        "HUBBUB_JWT_SECRET": secret,
        **{f"HUBBUB_{rate}_RATE": "off" for rate in _RATES},
    }


def _token(number: int, secret: str) -> str:
    claims = {
        "sub": f"user-{number}",
        "username": f"user-{number}",
        "email": f"user-{number}@example.com",
        "role": "user",
        "exp": int(time.time()) + _TOKEN_SECONDS,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def _make_chat(address: Address, token: str) -> str:
    """A public chat, so that every user may join it; its id."""
    request = urllib.request.Request(
        f"http://{address.host}:{address.port}/api/v1/chats",
        json.dumps({"name": "Benchmark", "isPublic": True}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server, over http
            chat = json.load(response)
    except urllib.error.HTTPError as error:
        raise PeerError(f"POST /api/v1/chats: {error.code} {error.read()[:300]!r}") from error
    return str(chat["id"])


class Hubbub:
    """This project's server, out of this checkout."""

    name = "hubbub"
    title = "hubbub"

    def missing(self) -> str | None:
        """Its own dependencies."""
        absent = [name for name in _LIBRARIES if find_spec(name) is None]
        return f"not installed here: {', '.join(absent)}; run `make install`" if absent else None

    def versions(self) -> dict[str, str]:
        """Of Python, hubbub and the libraries on the way of a message."""
        versions = {"python": sys.version.split()[0]}
        for name in ("hubbub", *_LIBRARIES):
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "not installed as a package"
        return versions

    @contextmanager
    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> Iterator[Venue]:
        """A server with a new database, writer thread and all on one core; workers are on all of them."""
        secret = secrets.token_hex(32)
        numbers = itertools.count()

        def users(count: int) -> tuple[dict[str, str], ...]:
            return tuple({"token": _token(number, secret)} for number in itertools.islice(numbers, count))

        def open_rooms(sizes: Sequence[int]) -> tuple[Room, ...]:
            members = [users(size) for size in sizes]
            return tuple(Room(_make_chat(address, auths[0]["token"]), auths) for auths in members)

        settings = _environment(folder, secret)
        with _serving(folder, core, settings, extras) as (nodes, beside):
            address = nodes[0]
            yield Venue(
                address,
                open_rooms,
                users,
                presence_to_chats_above=1000,
                offline_grace=2.0,
                ports=tuple(node.port for node in nodes[1:]),
                beside=beside,
            )


@contextmanager
def _serving(
    folder: Path, core: int | None, settings: dict[str, str], extras: frozenset[str]
) -> Iterator[tuple[list[Address], tuple[int, ...]]]:
    """Its nodes, one for most scenarios, and the other processes that belong to them."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "hubbub", "serve"]
        shared = extras & {"nodes", "worker", "workers"}
        if not shared:
            yield [stack.enter_context(serving(command, folder, core, settings))], ()
            return
        core = core if "nodes" in extras else None
        url, database = stack.enter_context(running_postgres(folder / "postgres", core))
        bus = stack.enter_context(running_valkey(core))
        settings |= {"HUBBUB_DATABASE_URL": url, "HUBBUB_VALKEY_URL": bus.url}
        if "workers" in extras:
            command += ["--workers", "2"]
        nodes = []
        for number in range(2 if "nodes" in extras else 1):
            own = folder if number == 0 else folder / "second"
            own.mkdir(exist_ok=True)
            own_settings = settings | {"HUBBUB_DATA_DIR": str(own / "data")}
            nodes.append(stack.enter_context(serving(command, own, core, own_settings)))
        yield nodes, (database, bus.program.pid, *(node.process for node in nodes[1:]))
