"""Several workers on one machine: processes that share one port, and a parent that looks after them.

The parent serves nobody. It keeps the port, starts the workers, starts those anew that die, and has them all
drain on SIGTERM or SIGINT. A worker is a node like any other; the kernel deals the connections out.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from hubbub.app import address
from hubbub.app.errors import StartError
from hubbub.app.listener import bind, bind_one, url_of
from hubbub.settings import Settings

log = logging.getLogger(__name__)

_SHORT_LIFE = 10.0
_PAUSE = 1.0
# Beyond `drain_timeout`, what a worker gets before it is ended.
_PATIENCE = 2.0
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several. `leash` is at its end when the parent is gone."""

    number: int
    reserved: tuple[socket.socket, ...]
    leash: int
    _ready: int

    def settings(self, settings: Settings) -> Settings:
        """What is this worker's own among the settings."""
        return replace(settings, node_port=settings.node_port and settings.node_port + self.number)

    @contextmanager
    def listening(self, settings: Settings) -> Iterator[list[socket.socket]]:
        """The port of all workers, and one of this worker's own, for its metrics. Raises `StartError`."""
        with ExitStack() as stack:
            shared = [
                stack.enter_context(bind_one(*one.getsockname()[:2], shared=True)) for one in self.reserved
            ]
            host, port = _LOOPBACK, 0
            if settings.worker_port:
                host, port = settings.host, settings.worker_port + self.number
            own = stack.enter_context(bind_one(host, port))
            log.info("worker %d (process %d) is alone at %s", self.number, os.getpid(), url_of(own))
            yield [*shared, own]

    def tell_ready(self) -> None:
        """Tell the parent that connections are taken."""
        os.write(self._ready, b"1")


def supervise(settings: Settings, work: Callable[[Worker], int]) -> int:
    """Run `work` in as many processes as the settings say, until a signal; return the exit code.

    Raises `StartError` when the port cannot be had.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("workers need a system with SO_REUSEPORT: leave workers out")
    with ExitStack() as stack:
        for one in bind(settings.host, settings.port):
            one.close()  # nobody else listens there
        reserved = [stack.enter_context(one) for one in bind(settings.host, settings.port, shared=True)]
        parent = _Parent(settings, tuple(reserved), work)
        code = parent.start()
        if code is None:
            url = url_of(reserved[0])
            print(f"listening on {url}", flush=True)  # noqa: T201 - the promise of `hubbub serve`
            with address.noted(settings, url):
                code = parent.watch()
        return code


class _Parent:
    """The workers by process id, and when each was started."""

    def __init__(
        self, settings: Settings, reserved: tuple[socket.socket, ...], work: Callable[[Worker], int]
    ) -> None:
        self._settings = settings
        self._reserved = reserved
        self._work = work
        self._children: dict[int, tuple[int, float]] = {}
        self._stopping = False
        self._code = 0
        self._leash, self._held = os.pipe()

    def start(self) -> int | None:
        """Start all: the first alone, since it may have to make the database. The code when one failed."""
        for one in _STOPPING:
            signal.signal(one, self._stop)
        signal.signal(signal.SIGALRM, self._end)
        for number in range(self._settings.workers):
            if not self._is_stopping() and not self._start(number) and not self._is_stopping():
                self._code = self._reap() or 1
                self._stop(signal.SIGTERM, None)
        return self._wait() if self._is_stopping() else None

    def watch(self) -> int:
        """Start those anew that end, until a signal; then wait for all."""
        while not self._is_stopping():
            pid, status = os.wait()
            number, started = self._children.pop(pid)
            if self._is_stopping():
                self._note(status)
                break
            log.error("worker %d (process %d) ended with %d: it is started anew", number, pid, _code(status))
            if time.monotonic() - started < _SHORT_LIFE:
                time.sleep(_PAUSE)
            if not self._is_stopping():
                self._start(number)
        return self._wait()

    def _is_stopping(self) -> bool:
        """Asked anew each time: a signal changes it at any moment."""
        return self._stopping

    def _start(self, number: int) -> bool:
        """Fork; whether the worker became ready."""
        told, ready = os.pipe()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        pid = os.fork()
        if pid == 0:
            self._become(number, told, ready, blocked)
        self._children[pid] = (number, time.monotonic())
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(ready)
        try:
            return os.read(told, 1) != b""
        finally:
            os.close(told)

    def _become(self, number: int, told: int, ready: int, mask: "set[int | signal.Signals]") -> None:
        """Be a worker, and end as one: the parent's part of the stack is not this process's."""
        os.close(told)
        os.close(self._held)
        for one in (*_STOPPING, signal.SIGALRM):
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = 1
        try:
            code = self._work(Worker(number, self._reserved, self._leash, ready))
        except StartError as error:
            log.error("worker %d cannot start: %s", number, error)  # noqa: TRY400 - one readable line
            code = 2
        except BaseException:
            log.exception("worker %d failed", number)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Have all drain, and end those that do not."""
        if not self._stopping:
            self._stopping = True
            signal.setitimer(signal.ITIMER_REAL, self._settings.drain_timeout + _PATIENCE)
        self._signal(signal.SIGTERM)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        log.warning("workers that did not drain in time are ended")
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for pid in list(self._children):
            os.kill(pid, number)

    def _reap(self) -> int:
        """Wait for one; its code."""
        pid, status = os.wait()
        self._children.pop(pid, None)
        return _code(status)

    def _note(self, status: int) -> None:
        self._code = self._code or (1 if _code(status) else 0)

    def _wait(self) -> int:
        while self._children:
            pid, status = os.wait()
            self._children.pop(pid, None)
            self._note(status)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._code


def _code(status: int) -> int:
    """As a shell tells it: the exit code, or 128 and the signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
