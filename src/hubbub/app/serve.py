"""The life of the server process: start, serve until a signal, drain, exit.

A drain refuses new connections, tells the clients, lets what they asked for finish, closes them, and lets go
of the database, all within `drain_timeout`.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial

import uvicorn
import uvloop

from hubbub import __version__
from hubbub.app import address, demo, logs
from hubbub.app.build import Built, build
from hubbub.app.database import check_fits, database_name
from hubbub.app.inner import inner_door
from hubbub.app.listener import Inner, Listener, bind, url_of
from hubbub.app.workers import Worker, supervise
from hubbub.cluster.valkey import Place
from hubbub.contract.values import now
from hubbub.settings import Settings
from hubbub.store.base import StoreError

log = logging.getLogger(__name__)

_HOUSEKEEPING_INTERVAL = 600.0
_LONGEST_RETRY_AFTER = 3
# Seconds. By default a busy loop keeps the thread that commits waiting ten times as long.
_SWITCH_INTERVAL = 0.0005
# Requests leave no cycles behind, so the collector need not look as often as it does by default: one full
# look at ten thousand clients takes a tenth of a second.
_GC_THRESHOLDS = (20_000, 50, 100)
# Of the drain's time, what is kept for letting go of the database.
_STORE_SHARE = 0.3


def serve(settings: Settings, *, dev: bool) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    With `dev` a demo chat is made and a banner tells how to use it. Raises `StartError` with one readable
    line when the server cannot start.
    """
    logs.configure(settings.log_level, settings.log_format)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    if settings.workers > 1:
        check_fits(settings)
        return supervise(settings, partial(_work, settings, dev=dev))
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(one) for one in bind(settings.host, settings.port)]
        return uvloop.run(_serve(settings, listening, dev=dev))


def _work(settings: Settings, worker: Worker, *, dev: bool) -> int:
    """Serve as one of several."""
    settings = worker.settings(settings)
    with worker.listening(settings) as listening:
        return uvloop.run(_serve(settings, listening, worker, dev=dev and worker.number == 0))


async def _serve(
    settings: Settings, listening: list[socket.socket], worker: Worker | None = None, *, dev: bool
) -> int:
    stop = _stop_on_signals()
    with contextlib.ExitStack() as stack:
        if worker is not None:
            _stop_without_parent(worker, stop)
        inner = stack.enter_context(inner_door(settings))
        parts = await build(settings, None if inner is None else inner[1])
        replaced = _stop_on_new_epoch(parts, stop)
        profile = "development" if dev else "production"
        log.info("hubbub %s, %s profile, database %s", __version__, profile, database_name(settings))
        listener = make_listener(parts, inner)
        running = asyncio.create_task(listener.serve(listening))
        try:
            await _wait_for(listener.ready, running)
            url = url_of(listening[0])
            if dev:
                await demo.prepare(parts, url)
            stack.enter_context(_told(settings, url, worker))
            await _keep_house(parts, stop, running)
        finally:
            await drain(settings, parts, listener, running)
    return 1 if replaced.is_set() else 0


def make_listener(parts: Built, inner: tuple[socket.socket, Place] | None = None) -> Listener:
    """Have uvicorn serve the parts, to clients and to the other nodes."""
    door: Inner | None = None
    if inner is not None:
        listening, place = inner
        door = Inner(listening, partial(parts.server.engine.answering, place.key))
    return Listener(
        uvicorn.Config(
            parts.web,
            http=parts.server.engine.http,
            ws="none",
            proxy_headers=False,
            server_header=False,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        ),
        door,
    )


def _stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. A second SIGINT ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, ask)
    return stop


@contextlib.contextmanager
def _told(settings: Settings, url: str, worker: Worker | None) -> Iterator[None]:
    """Whoever waits for the server knows where it is; a worker's parent tells of all."""
    if worker is not None:
        worker.tell_ready()
        yield
        return
    print(f"listening on {url}", flush=True)  # noqa: T201 - the promise of `hubbub serve`
    with address.noted(settings, url):
        yield


def _stop_without_parent(worker: Worker, stop: asyncio.Event) -> None:
    """Stop when the parent is gone: nobody would look after this worker."""
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(worker.leash)
        stop.set()

    loop.add_reader(worker.leash, gone)


def _stop_on_new_epoch(parts: Built, stop: asyncio.Event) -> asyncio.Event:
    """Stop when the history is another one; return an event that says so.

    Everything in memory is about the numbers of the other one. Whatever supervises the process starts it
    again, since it ends with a failure, and clients come back to a server that knows the new one.
    """
    replaced = asyncio.Event()

    def tell(_epoch: str) -> None:
        log.error("stopping: what this process knows of the database is of no more use")
        replaced.set()
        stop.set()

    parts.store.on_new_epoch(tell)
    return replaced


async def _wait_for(
    event: asyncio.Event, running: "asyncio.Task[None]", timeout: float | None = None
) -> None:
    """Wait for an event, at most `timeout` seconds, or until the server ends by itself."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiting, running), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if running.done():
        running.result()


async def _keep_house(parts: Built, stop: asyncio.Event, running: "asyncio.Task[None]") -> None:
    """Forget what has expired from time to time, until it is time to stop."""
    # What was made until here lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    while not stop.is_set() and not running.done():
        try:
            await parts.store.delete_expired(now())
        except StoreError as error:
            log.warning("expired sessions could not be deleted: %s", error)
        await _wait_for(stop, running, _HOUSEKEEPING_INTERVAL)


async def drain(settings: Settings, parts: Built, listener: Listener, running: "asyncio.Task[None]") -> None:
    """Let everything come to its end within `drain_timeout`."""
    log.info("draining")
    time_left = settings.drain_timeout * (1 - _STORE_SHARE)
    parts.web.draining = True
    if listener.ready.is_set():
        listener.stop_listening()
    parts.server.stop_accepting()
    try:
        async with asyncio.timeout(time_left):
            parts.namespace.announce_closing(_LONGEST_RETRY_AFTER)
            await parts.server.close_all(timeout=time_left / 2)
            await parts.namespace.close()
    except TimeoutError:
        log.warning("some clients could not be cleared away in time")
    listener.should_exit = True
    await asyncio.wait((running,))
    await parts.close()
    log.info("stopped")
