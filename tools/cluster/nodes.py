"""The nodes: `hubbub serve` in its development profile, each with a data folder and a log of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hubbub.settings.secret import load_or_create_secret
from tools.cluster.program import LOOPBACK, Program

_LISTENING = re.compile(r"^listening on http://\S+:(\d+)$", re.MULTILINE)


def write_settings(file: Path, database_url: str, valkey_url: str) -> None:
    """Write what all nodes and the commands read. The secret for tokens is in it: its owner alone may."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
        text.write(
            "# Written anew at each start.\n"
            f'database_url = "{database_url}"\n'
            f'valkey_url = "{valkey_url}"\n'
            f'jwt_secret = "{load_or_create_secret(file.parent)}"\n'
            f'trusted_proxies = "{LOOPBACK}"\n'
        )


def environment() -> dict[str, str]:
    """This process's, without settings of hubbub: those of the file hold."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}


def token(file: Path, user_id: str) -> str:
    """A token of a user, good for a week at nodes with the settings of a file."""
    command = (sys.executable, "-m", "hubbub", "token", "--config", file, "--ttl", "7d")
    who = ("--username", user_id, "--user-id", user_id)
    done = subprocess.run((*command, *who), check=True, env=environment(), stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


class Node:
    """One of the nodes, by its number. `start` raises `Failure`. With port 0 the system chooses one."""

    def __init__(self, number: int, folder: Path, port: int, settings: Sequence[str] = ()) -> None:
        self.program = Program(f"node {number}", folder / "logs" / f"node-{number}.log")
        self._folder = folder
        self._flags = ("--data-dir", str(folder / f"node-{number}"), "--port", str(port), *settings)

    def start(self, file: Path) -> None:
        """Start it with the settings of a file; returns once it takes connections."""
        command = (sys.executable, "-m", "hubbub", "serve", "--dev", "--config", file)
        self.program.launch((*command, *self._flags), self._folder, environment=environment())
        self.program.wait_until(lambda: _LISTENING.search(self.program.output()) is not None)

    @property
    def port(self) -> int:
        """Where it listens. Only once it is started."""
        found = _LISTENING.search(self.program.output())
        assert found is not None
        return int(found[1])

    @property
    def url(self) -> str:
        """Its own address."""
        return f"http://{LOOPBACK}:{self.port}"
