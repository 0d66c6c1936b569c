"""The npm client: many of them in one Node process, driven by JSON lines (`tests/js/driver.mjs`)."""

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.clients import NAMESPACE, Client, RefusedError
from tests.harness.inbox import PATIENCE, Inbox
from tests.harness.users import User

DRIVER = Path(__file__).parent.parent / "js" / "driver.mjs"
LONGEST_LINE = 2**26


class NodeHost:
    """The Node process, started by the first client; owns the task that reads from it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._inboxes: dict[str, Inbox] = {}
        self._replies: dict[int, asyncio.Future[list[Any]]] = {}
        self._heard: dict[int, Callable[[list[Any]], None]] = {}
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process where it does not run yet."""
        async with self._starting:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    *("node", str(DRIVER)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=LONGEST_LINE,
                )
                assert self._process.stdout is not None
                self._reader = asyncio.create_task(self._read(self._process.stdout))

    def enter(self, inbox: Inbox) -> str:
        """Name a new client, whose events go to that inbox."""
        name = f"c{next(self._numbers)}"
        self._inboxes[name] = inbox
        return name

    def leave(self, name: str) -> None:
        """Forget a client."""
        self._inboxes.pop(name, None)

    def tell(self, **command: Any) -> None:
        """Write one command."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def ask(
        self, timeout: float = PATIENCE, heard: Callable[[list[Any]], None] | None = None, **command: Any
    ) -> list[Any]:
        """Write one command and return its reply; `heard` gets it before any later event is looked at."""
        number = next(self._numbers)
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        if heard is not None:
            self._heard[number] = heard
        self.tell(reply=number, **command)
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise AssertionError(f"{command.get('event')} was not answered in {timeout:g} s") from None
        finally:
            self._replies.pop(number, None)
            self._heard.pop(number, None)

    async def stop(self) -> None:
        """End the process by closing its input, and the reading task."""
        if self._process is None or self._reader is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        # A process that ends may break off in the middle of what it tells.
        while (line := await stdout.readline()).endswith(b"\n"):
            told = json.loads(line)
            if "client" in told:
                if (inbox := self._inboxes.get(told["client"])) is not None:
                    inbox.add(told["name"], told["args"])
            else:
                self._answer(told)
        for future in self._replies.values():
            if not future.done():
                future.set_exception(AssertionError("the Node process has ended"))

    def _answer(self, told: dict[str, Any]) -> None:
        future = self._replies.get(told["reply"])
        if future is None or future.done():
            return
        if "error" in told:
            future.set_exception(AssertionError(told["error"]))
        else:
            future.set_result(told["args"])
            if (heard := self._heard.get(told["reply"])) is not None:
                heard(told["args"])


class NodeClient(Client):
    """An npm client; without `transports` it starts by polling and upgrades, as by default."""

    def __init__(self, user: User, url: str, host: NodeHost, transports: list[str] | None = None) -> None:
        super().__init__(user, url)
        self._host = host
        self._options: dict[str, Any] = {} if transports is None else {"transports": transports}
        self._name = ""

    async def connect(self, token: str | None = None, **options: Any) -> None:
        """Open, and wait for the first `connect` or `connect_error`.

        Beside the common options: `manager`, further options of the npm client.
        """
        await self.disconnect()
        self.inbox.forget()
        await self._host.start()
        self._name = self._host.enter(self.inbox)
        settings = {
            **self._options,
            "auth": options.get("auth", {"token": token or self.user.token()}),
            "extraHeaders": options.get("headers", {}),
            **options.get("manager", {}),
        }
        url = self.url + options.get("namespace", NAMESPACE) + options.get("query", "")
        self._host.tell(op="open", client=self._name, url=url, options=settings)
        await self.connected()

    async def connected(self) -> None:
        """Wait for the `connect` or `connect_error` of an opening under way."""

        def outcome() -> bool | None:
            return True if self.inbox.events("$connect") or self.inbox.events("$connect_error") else None

        await self.inbox.until(outcome, PATIENCE, "connect or connect_error")
        if refusals := self.inbox.seen("$connect_error"):
            await self.disconnect()
            raise RefusedError(refusals[0]["message"], refusals[0]["data"])
        self.sid = self.inbox.seen("$connect")[-1]["id"]

    async def emit(self, event: str, *args: Any) -> None:
        """Send without a callback."""
        self._host.tell(op="emit", client=self._name, event=event, args=list(args))

    async def call(
        self,
        event: str,
        *args: Any,
        timeout: float = PATIENCE,
        heard: Callable[[list[Any]], None] | None = None,
    ) -> list[Any]:
        """Send with a callback; `heard` gets the answer before any later event is looked at."""
        command = {"op": "call", "client": self._name, "event": event, "args": list(args)}
        return await self._host.ask(timeout, heard, **command)

    async def state(self) -> Any:
        """`connected`, `id`, `recovered` and `transport`, as the client sees them now."""
        return (await self._host.ask(op="ask", client=self._name))[0]

    def cut(self) -> None:
        """`socket.io.engine.close()`: the transport goes, the client reconnects by itself."""
        self._host.tell(op="cut", client=self._name)

    async def disconnect(self) -> None:
        """`socket.disconnect()`."""
        name, self._name = self._name, ""
        if name:
            self._host.tell(op="close", client=name)
            self._host.leave(name)
