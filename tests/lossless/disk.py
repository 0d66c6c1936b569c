"""A small disk: what a server's data is on when it is to run full."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

DISK: Final = 96 * 2**20
"""Bytes of it, where nothing else is said."""


class SmallDisk:
    """A file system of a few megabytes that can be filled up. Needs the right to mount one."""

    def __init__(self, folder: Path, size: int = DISK) -> None:
        self.folder = folder
        self._size = size
        self._ballast = folder / "ballast"

    def mount(self) -> str | None:
        """Make it; why that is not possible here, or None."""
        if shutil.which("mount") is None or os.geteuid() != 0:
            return "mounting a tmpfs needs root"
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else f"no tmpfs can be mounted here: {done.stderr.strip()}"

    def unmount(self) -> None:
        """Give it back, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)

    def fill(self) -> None:
        """Leave no room at all."""
        block = b"\0" * 65536
        with self._ballast.open("ab", buffering=0) as file:
            for size in (len(block), 4096, 512, 1):
                try:
                    while file.write(block[:size]) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)
