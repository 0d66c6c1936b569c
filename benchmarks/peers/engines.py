"""What several nodes share: a Valkey and a PostgreSQL from their wheels, on the core of the nodes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM

from benchmarks.processes import PeerError, on_core
from tools.cluster.postgres import LocalPostgres
from tools.cluster.program import Failure
from tools.cluster.valkey import LocalValkey

_STOP_SECONDS = 15.0


@contextmanager
def running_valkey(core: int | None) -> Iterator[LocalValkey]:
    """A Valkey that keeps nothing on disk, for the block. Raises PeerError."""
    folder = Path(tempfile.mkdtemp(prefix="hubbub-"))  # the path of a socket has to be short
    server = LocalValkey(folder)
    try:
        with _told(), on_core(core):
            server.start()
        yield server
    finally:
        server.program.stop(SIGTERM, _STOP_SECONDS)
        shutil.rmtree(folder)


@contextmanager
def running_postgres(folder: Path, core: int | None) -> Iterator[tuple[str, int]]:
    """The URL of an empty database of a durable PostgreSQL with its files in `folder`, and its process.

    Raises PeerError.
    """
    sockets = Path(tempfile.mkdtemp(prefix="hubbub-"))
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(0o711)  # for PostgreSQL's user, who may be another one
    folder.mkdir()
    with _told():
        server = LocalPostgres(folder, {})
    try:
        with _told(), on_core(core):
            server.hand_over(sockets)
            url = server.provide("hubbub", sockets)
        yield url, server.program.pid
    finally:
        server.stop(SIGINT)
        shutil.rmtree(sockets)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        raise PeerError(str(failure)) from failure
