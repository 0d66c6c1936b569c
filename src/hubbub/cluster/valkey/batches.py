"""Group commit for Valkey: while one batch of operations is on its way, the next one gathers.

An operation is a plan: a generator that yields what it wants to look at, then what it wants to change, and
returns its outcome. All plans of a batch look in one round trip and change in one transaction. A key that a
plan watches and that others change meanwhile makes all plans of the batch begin anew.

    plan: replies = yield Look(...)  ->  replies = yield Change(...)  ->  return outcome
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from hubbub.cluster.valkey.line import Command, Line, LineLost, Reply, first_error
from hubbub.cluster.valkey.patience import Patience
from hubbub.cluster.valkey.servers import Servers, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST: Final = 200
_TRIES: Final = 50
_TOGETHER: Final = 2
"""Attempts after which a batch is taken apart: others then wait no longer for one key that is wanted much."""

_LONGEST_PAUSE: Final = 16
"""Milliseconds between two attempts."""

_PAUSE: Final = 0.25
_DEADLINE: Final = 1.0
"""Seconds that a batch may take."""


class Away(Exception):
    """Valkey cannot be asked now. Whether a change was made is not known."""


@dataclass(frozen=True, slots=True)
class Look:
    """Commands that read. A change made later holds only if nobody has touched the watched keys since."""

    commands: list[Command]
    watch: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Commands that write; all of a batch are done at once or not at all."""

    commands: list[Command]


Plan: TypeAlias = Generator[Look | Change, list[Reply], T]


@dataclass(slots=True)
class _Operation(Generic[T]):
    """One plan, and who waits for its outcome. No batch has two with the same `subject`."""

    subject: str | None
    make: Callable[[], Plan[T]]
    outcome: asyncio.Future[T]
    fenced: bool
    plan: Plan[T] | None = None
    step: Look | Change | None = None
    result: list[T] = field(default_factory=list)

    def begin(self) -> None:
        self.plan = self.make()
        self.result = []
        self.advance(None)

    def advance(self, replies: list[Reply] | None) -> None:
        assert self.plan is not None  # noqa: S101 - it has begun
        try:
            self.step = next(self.plan) if replies is None else self.plan.send(replies)
        except StopIteration as stop:
            self.step = None
            self.result = [stop.value]


class Batches:
    """Operations on the keys of one slot. `fence` names a key without which fenced operations are not done.

    When a batch does not keep its deadline, all operations that wait are `Away`; `in_haste`, they are so as
    soon as an answer is late, and until it has come. Must be opened and closed.
    """

    def __init__(
        self,
        servers: Servers,
        key: str,
        *,
        fence: Callable[[], str] | None = None,
        in_haste: bool = False,
    ) -> None:
        self._servers = servers
        self._key = key
        self._fence = fence
        self._line: Line | None = None
        self._waiting: deque[_Operation[Any]] = deque()
        # Those that wait for another one with the same subject, which is in `_waiting`: so a subject that is
        # wanted much holds up nobody but itself.
        self._behind: dict[str, deque[_Operation[Any]]] = {}
        self._batch: list[_Operation[Any]] = []
        self._patience = Patience(self._give_up) if in_haste else None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # How often Valkey could not be used; told once, until it can be used again.
        self.failures = 0
        self._complained = False

    async def open(self) -> None:
        """Connect, and begin. Raises `Unreachable`."""
        self._line = await self._connect()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Do nothing more; what waits is `Away`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._drop()

    @property
    def is_away(self) -> bool:
        """Whether there is no connection now."""
        return self._line is None

    async def do(self, subject: str | None, make: Callable[[], Plan[T]], *, fenced: bool = False) -> T:
        """Carry a plan out. Raises `Away`. What is cancelled may be done all the same."""
        if self._line is None or (self._patience is not None and self._patience.is_over):
            raise Away
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(_Operation(subject, make, outcome, fenced))
        self._wake.set()
        return await outcome

    def _enqueue(self, operation: _Operation[Any]) -> None:
        if operation.subject is None:
            self._waiting.append(operation)
        elif operation.subject in self._behind:
            self._behind[operation.subject].append(operation)
        else:
            self._behind[operation.subject] = deque()
            self._waiting.append(operation)

    def _advance(self, subject: str) -> None:
        """The first operation of a subject is in a batch: the next one may be in the next."""
        behind = self._behind[subject]
        if behind:
            self._waiting.append(behind.popleft())
        else:
            del self._behind[subject]

    # Connecting.

    async def _connect(self) -> Line:
        return await self._servers.connect(await self._servers.place(self._key), lost=self._wake.set)

    async def _keep(self) -> None:
        while True:
            try:
                if self._line is None:
                    self._line = await self._connect()
                await self._serve(self._line)
            except (Unreachable, LineLost, TimeoutError) as error:
                self.failures += 1
                level = logging.DEBUG if self._complained else logging.WARNING
                log.log(level, "Valkey cannot be used now: %s", str(error) or "it does not answer in time")
                self._complained = True
            except Exception:
                self.failures += 1
                log.exception("A batch for Valkey failed")
            self._servers.doubt()
            self._drop()
            await asyncio.sleep(_PAUSE)

    def _drop(self) -> None:
        """Give the connection up, and everything that waits for it."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._patience is not None:
            self._patience.close()
        self._give_up()

    def _give_up(self) -> None:
        """Let nobody wait any longer. What has been begun goes on, but changes nothing if it has not yet."""
        waiting, self._waiting = self._waiting, deque()
        behind, self._behind = self._behind, {}
        _fail(waiting)
        for operations in behind.values():
            _fail(operations)
        _fail(self._batch)

    # One batch after the other.

    async def _serve(self, line: Line) -> None:
        while True:
            if not self._waiting:
                self._wake.clear()
                if not line.is_lost:
                    await self._wake.wait()
            if line.is_lost:
                # Noticed while nobody asks, so that the next one who does finds another connection.
                raise LineLost("the connection was lost")
            self._batch = self._gather()
            try:
                async with asyncio.timeout(_DEADLINE):
                    await self._carry_out(line, self._batch)
                self._complained = False
            finally:
                _fail(self._batch)

    def _gather(self) -> list[_Operation[Any]]:
        batch: list[_Operation[Any]] = []
        while self._waiting and len(batch) < _MOST:
            if batch and self._waiting[0].fenced != batch[0].fenced:
                break
            batch.append(self._waiting.popleft())
        for operation in batch:
            if operation.subject is not None:
                self._advance(operation.subject)
        return batch

    async def _carry_out(self, line: Line, batch: list[_Operation[Any]]) -> None:
        for attempt in range(_TRIES):
            if await self._attempt(line, batch):
                for operation in batch:
                    if operation.result and not operation.outcome.done():
                        operation.outcome.set_result(operation.result[0])
                return
            if len(batch) > 1 and attempt >= _TOGETHER:
                for operation in batch:
                    await self._carry_out(line, [operation])
                return
            # Others want the same key: whoever comes back first goes on.
            await asyncio.sleep(secrets.randbelow(min(2**attempt, _LONGEST_PAUSE)) / 1000)
        _fail(batch)

    async def _attempt(self, line: Line, batch: list[_Operation[Any]]) -> bool:
        """Look and change once; False when watched keys were changed meanwhile."""
        fence = self._fence() if self._fence is not None and batch[0].fenced else None
        for operation in batch:
            operation.begin()
        watching = await self._look(line, batch, fence)
        if watching is None:
            return True
        changing = [one for one in batch if isinstance(one.step, Change) and not one.outcome.done()]
        if not changing:
            if watching:
                await self._call(line, [("UNWATCH",)])
            return True
        replies = await self._call(line, [("MULTI",), *_commands(changing), ("EXEC",)])
        done = replies[-1]
        if done is None:
            return False
        _check(done)
        _share_out(changing, done)
        return True

    async def _look(self, line: Line, batch: list[_Operation[Any]], fence: str | None) -> bool | None:
        """Have all plans look as often as they like; whether anything is watched. None without the fence."""
        watching = False
        while True:
            looking = [one for one in batch if isinstance(one.step, Look)]
            keys = {key for one in looking if isinstance(one.step, Look) for key in one.step.watch}
            checked = fence is not None and not watching
            commands: list[Command] = []
            if checked:
                assert fence is not None  # noqa: S101 - the line before last
                keys.add(fence)
                commands.append(("EXISTS", fence))
            if not looking and not checked:
                return watching
            commands += _commands(looking)
            if keys:
                watching = True
                commands.insert(0, ("WATCH", *sorted(keys)))
            replies = (await self._call(line, commands))[bool(keys) :]
            if checked and not replies.pop(0):
                await self._call(line, [("UNWATCH",)])
                return None
            _share_out(looking, replies)

    async def _call(self, line: Line, commands: list[Command]) -> list[Reply]:
        answer = line.call(commands)
        if self._patience is not None:
            self._patience.wait_for(answer)
        replies = await answer
        _check(replies)
        return replies


def _commands(operations: list[_Operation[Any]]) -> list[Command]:
    return [command for one in operations if one.step is not None for command in one.step.commands]


def _share_out(operations: list[_Operation[Any]], replies: list[Reply]) -> None:
    """Give every plan the replies to its own commands."""
    start = 0
    for operation in operations:
        assert operation.step is not None  # noqa: S101 - it has asked
        end = start + len(operation.step.commands)
        operation.advance(replies[start:end])
        start = end


def _check(replies: list[Reply]) -> None:
    error = first_error(replies)
    if error is not None:
        raise LineLost(str(error))


def _fail(operations: "deque[_Operation[Any]] | list[_Operation[Any]]") -> None:
    for operation in operations:
        if not operation.outcome.done():
            operation.outcome.set_exception(Away())
            # It may be that nobody waits for it any more.
            operation.outcome.exception()
