"""The life of the whole: started from the bottom up, watched, and stopped from the top down."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.cluster import balancer, postgres, valkey
from tools.cluster.balancer import Balancer
from tools.cluster.nodes import Node, write_settings
from tools.cluster.postgres import LocalPostgres
from tools.cluster.program import Failure, Program, free_port, is_free
from tools.cluster.valkey import LocalValkey

DATABASE = "hubbub"

_PATIENCE = 30.0
"""Seconds that whatever is asked to stop gets: more than the nodes' `drain_timeout`."""

_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run: `port` is the balancer's, the nodes have those after it; 0 is for free ones.

    `settings` are flags of `hubbub serve` for every node.
    """

    folder: Path
    port: int
    nodes: int
    settings: Sequence[str] = ()

    def check(self) -> None:
        """Raises `Failure` when a program is missing or a port is taken."""
        reason = postgres.missing() or valkey.missing() or balancer.missing()
        if reason is not None:
            raise Failure(reason)
        ports = range(self.port, self.port + self.nodes + 1) if self.port else ()
        taken = [port for port in ports if not is_free(port)]
        if taken:
            raise Failure(
                f"port {taken[0]} is taken: by another server, or by this one already? "
                f"Choose others: make run-cluster ARGS='--port {self.port + 1000}', "
                "or '--port 0' for whichever are free"
            )


class Cluster:
    """Everything that runs. `stop` it, whether `start` succeeded or not."""

    def __init__(self, plan: Plan) -> None:
        self.folder = plan.folder.absolute()
        self.logs = self.folder / "logs"
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)  # tokens are in what the nodes print
        for one in (self.folder / "postgres", self.folder / "balancer"):
            one.mkdir(parents=True, exist_ok=True)
        # The path of a socket has to be short, and a checkout's may be long.
        self._sockets = Path(tempfile.mkdtemp(prefix="hubbub-"))
        self._layers: list[tuple[signal.Signals, list[Program]]] = []
        self._told: set[str] = set()
        self._port = plan.port
        self.valkey = LocalValkey(self._sockets, log=self.logs / "valkey.log")
        self.nodes = [
            Node(number, self.folder, plan.port and plan.port + number, plan.settings)
            for number in range(1, plan.nodes + 1)
        ]
        self.url = ""
        self.database_url = ""
        self.settings = self.folder / "hubbub.toml"

    def start(self, stopping: Callable[[], bool]) -> None:
        """Start one after the other, until `stopping`. Raises `Failure`."""
        # The first node alone makes the tables and the demo chat.
        steps: list[Callable[[], None]] = [self._start_postgres, self._start_valkey]
        steps += [partial(node.start, self.settings) for node in self.nodes]
        for step in (*steps, self._start_balancer):
            if stopping():
                return
            step()

    def _start_postgres(self) -> None:
        server = LocalPostgres(self.folder / "postgres", {}, self.logs / "postgres.log")
        self._layers.append((signal.SIGINT, [server.program]))
        sockets = self._sockets / "postgres"
        sockets.mkdir(mode=0o700)
        server.hand_over(sockets)
        self._sockets.chmod(0o711)  # for PostgreSQL's user, who may be another one
        self.database_url = server.provide(DATABASE, sockets)

    def _start_valkey(self) -> None:
        self._layers.append((signal.SIGTERM, [self.valkey.program]))
        self.valkey.start()
        write_settings(self.settings, self.database_url, self.valkey.url)
        self._layers.append((signal.SIGTERM, [node.program for node in self.nodes]))

    def _start_balancer(self) -> None:
        ports = [node.port for node in self.nodes]
        log = self.logs / "balancer.log"
        front = Balancer(self.folder / "balancer", self._port or free_port(), ports, log)
        self._layers.append((signal.SIGTERM, [front.program]))
        front.start()
        self.url = front.url

    def watch(self, stopping: Callable[[], bool]) -> None:
        """Look after everything until `stopping`. A node that ends is told, and the others go on.

        Raises `Failure` when anything else ends, or the last node.
        """
        while not stopping():
            for program in self.programs():
                if not program.runs() and program.name not in self._told:
                    self._told.add(program.name)
                    self._tell_end(program)
            time.sleep(_LOOK)

    def programs(self) -> list[Program]:
        """All that was started, from the bottom to the top."""
        return [program for _, layer in self._layers for program in layer]

    def _tell_end(self, program: Program) -> None:
        told = f"{program.how_it_ended()}; {program.tail()}"
        if not any(node.program is program for node in self.nodes):
            raise Failure(told)
        if not any(node.program.runs() for node in self.nodes):
            raise Failure(f"{told}\nno node is left")
        print(f"{told}\nthe other nodes go on", file=sys.stderr, flush=True)

    def stop(self) -> list[str]:
        """Stop everything that runs; return what did not end as it should."""
        complaints = []
        while self._layers:
            how, layer = self._layers.pop()
            complaints += _stop_together([one for one in layer if one.runs()], how)
        shutil.rmtree(self._sockets, ignore_errors=True)
        return complaints


def _stop_together(programs: Sequence[Program], how: signal.Signals) -> list[str]:
    """Ask all, then wait for each."""
    for program in programs:
        program.ask(how)
    complaints = []
    for program in programs:
        code = program.wait(_PATIENCE)
        if code is None:
            complaints.append(f"{program.name} did not stop in {_PATIENCE:g} s, and was killed")
        elif code != 0:
            complaints.append(f"{program.how_it_ended()}; {program.tail()}")
    return complaints
