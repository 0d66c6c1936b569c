"""`make run-cluster`: PostgreSQL, Valkey, three nodes and a balancer on this machine, until Ctrl-C."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from hubbub.app.demo import CHAT_ID, USER_ID
from tools.cluster.nodes import token
from tools.cluster.program import Failure
from tools.cluster.running import Cluster, Plan

FOLDER = Path("data/cluster")
PORT = 3001


class Wish:
    """Whether somebody wishes an end: by Ctrl-C, SIGTERM, or closing the terminal.

    Saying so again changes nothing.
    """

    def __init__(self) -> None:
        self._said = False
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, self._say)

    def _say(self, _number: int, _frame: FrameType | None) -> None:
        self._said = True

    def __call__(self) -> bool:
        """Whether it was said."""
        return self._said


def plan() -> Plan:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="make run-cluster", description=__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help="the balancer's; the nodes have those after it; 0: free ones",
    )
    parser.add_argument("--nodes", type=int, default=3, help="how many")
    parser.add_argument("--data-dir", type=Path, default=FOLDER, help="what stays between runs, and the logs")
    parser.add_argument("settings", nargs="*", help="after `--`: flags of hubbub serve for every node")
    given = parser.parse_args()
    if given.nodes < 1 or not 0 <= given.port <= 65_535 - given.nodes:
        parser.error("at least one node, and ports up to 65535")
    return Plan(given.data_dir, given.port, given.nodes, given.settings)


def shown(path: Path) -> str:
    """A path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def greeting(cluster: Cluster) -> str:
    """What runs where, and how to try it."""
    places = [("balancer", cluster.url, "connect here")]
    places += [(one.program.name, one.url, f"process {one.program.pid}") for one in cluster.nodes]
    table = "\n".join(f"  {name:<10}  {url}  {about}" for name, url, about in places)
    programs = Path(sys.executable).parent
    settings = shown(cluster.settings)
    return f"""
hubbub: {len(cluster.nodes)} nodes as one server, development profile

{table}
  PostgreSQL  {cluster.database_url}
  Valkey      {cluster.valkey.url}

Data stays in {shown(cluster.folder)}, until you remove that; logs are in {shown(cluster.logs)}.

To chat over different nodes, in two terminals:

  TOKEN={token(cluster.settings, USER_ID)}
  {shown(programs / "python")} examples/first_chat.py $TOKEN {cluster.url}

It talks in a public chat with the id {CHAT_ID}. A token for somebody else:

  {shown(programs / "hubbub")} token --config {settings} --username NAME

Kill a node, and see the others go on. Ctrl-C stops everything.
"""


def run(plan: Plan, stopping: Wish) -> int:
    """Start, watch and stop everything; the exit code."""
    plan.check()
    print("Starting PostgreSQL, Valkey, the nodes and the balancer ...", flush=True)
    cluster = Cluster(plan)
    code = 0
    try:
        cluster.start(stopping)
        if not stopping():
            print(greeting(cluster), flush=True)
        cluster.watch(stopping)
    except Failure as failure:
        tell(failure)
        code = 1
    finally:
        print("Stopping everything ...", flush=True)
        for complaint in cluster.stop():
            tell(complaint)
            code = 1
    print("Stopped.", flush=True)
    return code


def tell(what: object) -> None:
    """Say what went wrong."""
    print(f"run-cluster: {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Run it; the exit code: 2 when it cannot begin."""
    wanted = plan()
    try:
        return run(wanted, Wish())
    except (Failure, OSError) as failure:
        tell(failure)
        return 2


if __name__ == "__main__":
    sys.exit(main())
