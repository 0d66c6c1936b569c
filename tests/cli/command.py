"""The command line, in this process and as a program of its own."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from hubbub.cli.commands import app
from hubbub.store.sqlite import SqliteStore

STARTING = 30.0


def environment(data: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """An environment with these settings only."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
    return {**plain, "HUBBUB_DATA_DIR": str(data), "NO_COLOR": "1", **settings}


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def hubbub(data: Path, *arguments: str, stdin: str = "", **settings: str) -> Done:
    """Run a command in the folder of the data; in this process, since a new one takes a second."""
    unset = {name: None for name in os.environ if name.startswith("HUBBUB_")}
    with contextlib.chdir(data), same_log():
        result = CliRunner().invoke(
            app, arguments, input=stdin, env={**unset, "HUBBUB_DATA_DIR": str(data), **settings}
        )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@contextlib.contextmanager
def same_log() -> Iterator[None]:
    """`serve` configures the log of its process, which is that of the tests here: undone after the block."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def program(data: Path, *arguments: str, stdin: str = "", **settings: str) -> Done:
    """Run a command to its end as users do, as a program of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "hubbub", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=data,
        env=environment(data, settings),
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def make_database(data: Path) -> None:
    """What a first start of the server leaves, but for the secret: an empty database."""

    async def run() -> None:
        await (await SqliteStore.open(data / "hubbub.db")).close()

    asyncio.run(run())


def output(data: Path, *arguments: str, stdin: str = "", **settings: str) -> str:
    """What a command prints that must succeed and must have nothing to complain of."""
    done = hubbub(data, *arguments, stdin=stdin, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def complaint(data: Path, *arguments: str, stdin: str = "", **settings: str) -> str:
    """The one line that a command says that must fail; nothing of it on stdout."""
    run = program if arguments[0] == "serve" else hubbub  # which leaves its mark on the process
    done = run(data, *arguments, stdin=stdin, **settings)
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    assert line.startswith("hubbub: ")
    return line.removeprefix("hubbub: ")


@contextmanager
def serving(data: Path, *arguments: str, **settings: str) -> Iterator[str]:
    """A server that runs; its address. It must end well, and without a traceback in its log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hubbub", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data,
        env=environment(data, settings),
    )
    assert process.stdout is not None
    watchdog = threading.Timer(STARTING, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        watchdog.cancel()
        assert line.startswith("listening on http://"), (line, process.poll())
        yield line.split()[-1]
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
