"""Node's `socket.io` from npm, everything in memory and nothing checked: `benchmarks/node/server.mjs`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.peers.engines import running_valkey
from benchmarks.peers.peer import Venue
from benchmarks.peers.unchecked import environment, venue
from benchmarks.processes import ROOT, serving

_FOLDER: Final = ROOT / "benchmarks" / "node"


class Node:
    """Socket.IO's own server."""

    name = "node"
    title = "Node socket.io"

    def missing(self) -> str | None:
        """Node itself, or the packages that `npm ci` installs."""
        if shutil.which("node") is None:
            return "there is no `node` here"
        if not (_FOLDER / "node_modules" / "redis").is_dir():
            return "its packages are not installed: run `npm ci` in benchmarks/node"
        return None

    def versions(self) -> dict[str, str]:
        """Of Node, the server and its WebSocket library."""
        node = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
        versions = {"node": node.strip()}
        for package in ("socket.io", "engine.io", "ws", "@socket.io/redis-adapter", "redis"):
            manifest = json.loads((_FOLDER / "node_modules" / package / "package.json").read_text())
            versions[package] = manifest["version"]
        return versions

    @contextmanager
    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> Iterator[Venue]:
        """One process; with `nodes` two of them and the Valkey between."""
        command = ("node", str(_FOLDER / "server.mjs"))
        settings = environment(extras, NODE_ENV="production")
        if "nodes" not in extras:
            with serving(command, folder, core, settings) as address:
                yield venue(address)
            return
        second = folder / "second"
        second.mkdir()
        with running_valkey(core) as bus:
            settings["BENCHMARK_VALKEY"] = str(bus.path)
            with (
                serving(command, folder, core, settings) as address,
                serving(command, second, core, settings) as other,
            ):
                beside = (other.process, bus.program.pid)
                yield replace(venue(address), ports=(other.port,), beside=beside, ordered=False)
