"""Disks that are full, or as good as that, when told to: under a real server's database."""

import os
import resource
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from tests.harness.servers import Server

ROOM = 4096 * 1024
"""Bytes on the small disk: enough for a server that has little to do."""


class Disk(ABC):
    """Where a server's data are."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def mount(self) -> bool:
        """Make it usable; False where that is not permitted."""
        return True

    @abstractmethod
    def fill(self, server: Server) -> None:
        """From now on nothing more can be written."""

    @abstractmethod
    def free(self, server: Server) -> None:
        """There is room again."""

    def unmount(self) -> None:
        """Leave nothing mounted; no server runs any more."""
        assert not self.folder.is_mount()


class SmallDisk(Disk):
    """A file system of its own, in memory, filled up by a file."""

    def mount(self) -> bool:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(self.folder)]
        try:
            return subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def fill(self, server: Server) -> None:
        handle = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(handle, b"x" * 4096)
        except OSError:
            os.close(handle)

    def free(self, server: Server) -> None:
        (self.folder / "filler").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)


class ShortFiles(Disk):
    """Files that cannot grow any more."""

    def fill(self, server: Server) -> None:
        longest = max(path.stat().st_size for path in self.folder.iterdir())
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (longest, most))

    def free(self, server: Server) -> None:
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))


class LockedFile(Disk):
    """Another program that holds the database locked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._foreign: sqlite3.Connection | None = None

    def fill(self, server: Server) -> None:
        self._foreign = sqlite3.connect(self.folder / "hubbub.db", isolation_level=None)
        self._foreign.execute("BEGIN IMMEDIATE")

    def free(self, server: Server) -> None:
        if self._foreign is not None:
            self._foreign.execute("ROLLBACK")
            self._foreign.close()


KINDS: list[type[Disk]] = [SmallDisk, ShortFiles, LockedFile]
