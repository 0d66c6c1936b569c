"""What holds for every test of the run.

- A test marked `node` is skipped where Node.js, npm or the client packages are missing.
- What was skipped, and what to install for it, is said in one line at the end.
- An error that asyncio logs because nobody looked at it fails the test that it surfaced in, or the run.
"""

import asyncio
import gc
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub.store.postgres import PostgresStore
from tests import postgres
from tests.harness import valkey as valkeys
from tests.harness.valkey import ValkeyServer

TEMPLATE = "tables"
JS_PACKAGES = Path(__file__).parent / "js" / "node_modules"
FORGOTTEN = ("never retrieved", "never awaited", "was destroyed but it is pending")


class ForgottenErrors(logging.Handler):
    """Keeps what asyncio logs about errors, coroutines and tasks that nobody looked after."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging for every record of the `asyncio` logger."""
        message = record.getMessage()
        if any(words in message for words in FORGOTTEN):
            self.found.append(message)

    def take(self) -> str:
        """All messages since the last call, one to a line; empty when there were none."""
        found, self.found = self.found, []
        return "\n".join(found)


forgotten_errors = ForgottenErrors()


def pytest_configure() -> None:
    """Listen from the start."""
    logging.getLogger("asyncio").addHandler(forgotten_errors)


@pytest.fixture(autouse=True)
def nothing_forgotten() -> Iterator[None]:
    """Fail the test in which a forgotten error surfaced."""
    yield
    if found := forgotten_errors.take():
        pytest.fail(f"asyncio logged a forgotten error:\n{found}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for what only a garbage collection brings up after the last test."""
    gc.collect()
    if found := forgotten_errors.take():
        print(f"\nasyncio logged a forgotten error after the last test:\n{found}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server; its database `TEMPLATE` has all tables and nothing in them."""
    with postgres.running() as server:
        server.sql(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        asyncio.run(_migrate(server.url(TEMPLATE)))
        yield server


async def _migrate(url: str) -> None:
    await (await PostgresStore.open(url)).close()


@pytest.fixture
def database_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL database of the test's own, with empty tables."""
    name = postgres_server.create(TEMPLATE)
    yield postgres_server.url(name)
    postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own."""
    server = ValkeyServer()
    with valkeys.running(server):
        yield server


def missing_for_node() -> str | None:
    """Why tests with the npm clients cannot run here; None when they can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node.js and npm are missing: install Node.js 18 or newer"
    if not JS_PACKAGES.is_dir():
        return "the npm clients are missing: run `make test`, or `npm ci` in tests/js"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Node where it is missing."""
    reason = missing_for_node()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("node") is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was skipped and what to install for it."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if reasons:
        told = "; ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"Skipped tests: {told}", yellow=True)
