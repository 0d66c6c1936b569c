"""Runs a program of Python that resolves names by files of the tests' own: HOSTS RESOLV ARGUMENTS...

The files take the place of /etc/hosts and /etc/resolv.conf for this process alone, in a mount namespace of
its own, which needs root.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


def wrap(hosts: Path, resolv: Path, command: Sequence[str]) -> list[str]:
    """The command with these files."""
    return ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(hosts), str(resolv), *command]


def missing(hosts: Path, resolv: Path) -> str | None:
    """Why it cannot be done here; None when it can."""
    try:
        done = subprocess.run(
            wrap(hosts, resolv, ["true"]), capture_output=True, text=True, check=False, timeout=30
        )
    except OSError as error:
        return f"names of one's own take the program unshare: {error}"
    return None if done.returncode == 0 else f"names of one's own take root: {done.stderr.strip()}"


if __name__ == "__main__":
    words = wrap(Path(sys.argv[1]), Path(sys.argv[2]), [sys.executable, *sys.argv[3:]])
    # It takes this process's place, and its id.
    os.execvp(words[0], words)
