"""What was acknowledged is there after `kill -9`.

The page cache survives that, so power loss is not tested here; `test_database.py` looks at its settings.
"""

import asyncio
import random
import sqlite3
import sys
from pathlib import Path

from hubbub.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


async def killed_run(path: Path, acknowledgements: int) -> dict[int, str]:
    """Let a process append until it has acknowledged so many, kill it, and return what it acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.appender", str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    while len(lines) < acknowledgements and (line := await process.stdout.readline()):
        lines.append(line)
    process.kill()
    lines += (await process.stdout.read()).split(b"\n")
    await process.wait()
    told = [line.decode().split() for line in lines]
    return {int(words[0]): words[1] for words in told if len(words) == 2}


async def test_acknowledged_messages_survive_kill_9(tmp_path: Path) -> None:
    """After each of several kills every acknowledged message has its number, and numbers are dense."""
    path = tmp_path / "hubbub.db"
    acknowledged: dict[int, str] = {}
    for run in range(3):
        acknowledged |= await killed_run(path, random.Random(run).randint(50, 600))
        store = await SqliteStore.open(path)
        stored = {m.seq: m.client_message_id for m in await store.read("a", limit=1_000_000)}
        await store.close()
        assert list(stored) == list(range(1, len(stored) + 1))
        assert {seq: stored.get(seq) for seq in acknowledged} == acknowledged
        raw = sqlite3.connect(path)
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        raw.close()
    assert len(acknowledged) >= 150
