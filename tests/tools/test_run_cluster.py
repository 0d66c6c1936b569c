"""`make run-cluster`: everything comes up, clients talk over its nodes, and nothing is left running."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from hubbub.app.demo import CHAT_ID
from tests.harness.inbox import eventually
from tests.harness.python_client import PythonClient
from tests.harness.users import User, sign
from tools.cluster import balancer, postgres, valkey

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"^  (balancer|node \d) +(http://\S+)  (?:connect here|process (\d+))$", re.MULTILINE)
START = STOP = 90.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        bool(reason := postgres.missing() or valkey.missing() or balancer.missing()), reason=str(reason)
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can get into, as PostgreSQL's has to be when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="hubbub-run-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def command(folder: Path, *arguments: str) -> list[str]:
    """What the Makefile runs, with data in a folder of the test's own."""
    return [sys.executable, "-m", "tools.cluster", "--data-dir", str(folder / "data"), *arguments]


def descendants(pid: int) -> set[int]:
    """The processes that a process started, and those that they did."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True)
    rows = [tuple(map(int, line.split())) for line in table.stdout.splitlines()]
    found = {pid}
    while more := {one for one, parent in rows if parent in found} - found:
        found |= more
    return found - {pid}


def remaining(pids: set[int]) -> set[int]:
    """Those of the processes that are still there."""
    table = subprocess.run(["ps", "-A", "-o", "pid="], check=True, capture_output=True, text=True)
    return pids & set(map(int, table.stdout.split()))


@dataclass(slots=True)
class Running:
    """The program once it has told where everything is."""

    process: asyncio.subprocess.Process
    url: str
    nodes: dict[str, tuple[str, int]]
    secret: str
    errors: Path

    async def connect(self, name: str, url: str = "") -> PythonClient:
        """A client in the demo chat, through the balancer if not at `url`; from polling up, as by default."""
        user = User(id=name, username=name, email=f"{name}@example.org")
        client = PythonClient(user, url or self.url)
        await client.connect(self.token(name))
        await client.join(CHAT_ID)
        return client

    async def history(self, name: str) -> list[str]:
        """What was said in the demo chat, as one of its members reads it."""
        path = f"{self.url}/api/v1/chats/{CHAT_ID}/messages"
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        async with aiohttp.ClientSession() as http, http.get(path, headers=headers) as response:
            return [message["content"] for message in (await response.json())["messages"]]

    def token(self, name: str) -> str:
        """A token of somebody, by the secret that lies in the data."""
        return sign({"sub": name, "username": name, "exp": 4_000_000_000}, self.secret)

    async def stop(self, how: signal.Signals) -> str:
        """Ask it to stop; it must do so in order, and leave no process. Returns what it said on stderr."""
        started = descendants(self.process.pid)
        assert started
        self.process.send_signal(how)
        _, _ = await asyncio.wait_for(self.process.communicate(), STOP)
        errors = self.errors.read_text()
        assert (self.process.returncode, remaining(started)) == (0, set()), errors
        return errors


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    """The program on free ports, as soon as it has greeted; the block is to stop it."""
    errors = folder / "errors"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command(folder, "--port", "0", *arguments),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdout is not None
        told = ""
        async with asyncio.timeout(START):
            while "Ctrl-C" not in told:
                line = await process.stdout.readline()
                assert line, errors.read_text()
                told += line.decode()
        places = {name: (url, int(pid or 0)) for name, url, pid in TABLE.findall(told)}
        url, _ = places.pop("balancer")
        yield Running(process, url, places, (folder / "data" / "jwt-secret").read_text(), errors)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def test_its_life(folder: Path) -> None:
    """Messages cross the nodes, a node that is killed is told of and survived, and the data stays."""
    async with running(folder) as cluster:
        assert len(cluster.nodes) == 3
        clients = [await cluster.connect("front")]
        clients += [await cluster.connect(f"at-{name[-1]}", url) for name, (url, _) in cluster.nodes.items()]
        for client in clients:
            await client.say(CHAT_ID, client.user.id)
        for client in clients:
            heard = await client.inbox.wait_count("message:new", len(clients))
            assert [message["content"] for message in heard] == [one.user.id for one in clients]
        for client in clients:
            await client.disconnect()

        os.kill(cluster.nodes["node 2"][1], signal.SIGKILL)

        async def told() -> bool:
            return "node 2 was ended by SIGKILL" in cluster.errors.read_text()

        await eventually(told)
        client = await cluster.connect("later")
        await client.disconnect()
        errors = await cluster.stop(signal.SIGINT)
        assert str(folder / "data" / "logs" / "node-2.log") in errors

    async with running(folder, "--nodes", "1") as cluster:
        client = await cluster.connect("next-day")
        assert await cluster.history("next-day") == ["front", "at-1", "at-2", "at-3"]
        await client.disconnect()
        assert await cluster.stop(signal.SIGTERM) == ""


def test_a_port_that_is_taken(folder: Path) -> None:
    """It says which one and what to do, and begins nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(folder, "--port", str(port)), cwd=ROOT, check=False, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert "--port" in done.stderr
    assert not (folder / "data").exists()


async def test_something_that_dies(folder: Path) -> None:
    """Without what all nodes need it says what ended and where its log is, stops the rest, and fails."""
    async with running(folder, "--nodes", "1") as cluster:
        started = descendants(cluster.process.pid)
        os.kill(
            int((folder / "data" / "postgres" / "data" / "postmaster.pid").read_text().split()[0]),
            signal.SIGQUIT,
        )
        _, _ = await asyncio.wait_for(cluster.process.communicate(), STOP)
        assert cluster.process.returncode == 1
        assert remaining(started) == set()
    told = cluster.errors.read_text()
    assert "PostgreSQL ended with exit code" in told
    assert str(folder / "data" / "logs" / "postgres.log") in told
    assert "received immediate shutdown request" in told
