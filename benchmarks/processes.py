"""Child processes of the suite: started on a core of their own, known to be ready, ended by their own id."""

import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout: the folder that `benchmarks` is in."""

_CORES: Final = os.sched_getaffinity(0)
"""All that there are; the suite itself stays on the load generator's."""

_READY: Final = re.compile(r"listening on http://([^\s:]+):(\d+)")
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0


class PeerError(Exception):
    """A server could not be started or used; the text ends with the last that it said."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server that can be connected to, and its process."""

    host: str
    port: int
    process: int


def descriptors() -> int:
    """How many open files a process may have: all that the system allows, children too, from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started in this block run on `core` only, all their threads; None: wherever they like."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(
    command: Sequence[str], folder: Path, core: int | None, settings: Mapping[str, str]
) -> Iterator[Address]:
    """Run a server that prints `listening on http://HOST:PORT`, in `folder`, until the block ends.

    Raises PeerError when it ends or says nothing of the kind for 30 s.
    """
    said = folder / "output.log"
    with said.open("wb") as output, on_core(core):
        server = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=folder, env=dict(settings)
        )
    try:
        yield _address(server, said)
    finally:
        _stop(server)


def _address(server: "subprocess.Popen[bytes]", said: Path) -> Address:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if found := _READY.search(said.read_text(errors="replace")):
            return Address(found[1], int(found[2]), server.pid)
        time.sleep(0.02)
    state = "was not ready in time" if server.returncode is None else f"ended with code {server.returncode}"
    raise PeerError(f"the server {state}; {last_words(said)}")


def last_words(said: Path) -> str:
    """The end of a server's output, for an error message."""
    lines = said.read_text(errors="replace").strip().splitlines()[-5:]
    return "it said: " + " / ".join(lines) if lines else "it said nothing"


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
