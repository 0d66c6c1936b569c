"""Health: each concern by its own thresholds, with its own words; the worst decides."""

import asyncio
import dataclasses
from collections.abc import Mapping

import pytest

from hubbub.chat import merging
from hubbub.chat.health import (
    DATABASE_CHECK_EVERY,
    Health,
    Probes,
    Threshold,
    Thresholds,
    resident_bytes,
)
from hubbub.chat.monitoring import Monitoring
from hubbub.cluster.reports import Report
from hubbub.contract.objects import Health as Judgement
from hubbub.store.base import StoreUnavailable
from tests.chat.fakes import FakeClock

THRESHOLDS = Thresholds(
    error_rate=Threshold(0.1, 0.5),
    loop_lag=Threshold(0.1, 1.0),
    database_latency=Threshold(0.25, 2.0),
    bus_silence=Threshold(5.0, 15.0),
    memory=Threshold(100 * 2**20, 200 * 2**20),
    backlog=Threshold(10 * 2**20, 20 * 2**20),
)


class Server:
    """A server whose values a test sets, by the names of `Thresholds`; all others are 0."""

    def __init__(self, values: Mapping[str, float] | None = None, error: Exception | None = None) -> None:
        self.values = values or {}
        self.error = error
        self.checks = 0
        self.clock = FakeClock()

    async def check_database(self) -> None:
        self.checks += 1
        await asyncio.sleep(0)
        self.clock.advance(self.values.get("database_latency", 0.0))
        if self.error is not None:
            raise self.error

    def health(self) -> Health:
        """What judges it."""
        value = self.values.get
        probes = Probes(
            error_rate=lambda: value("error_rate", 0.0),
            loop_lag=lambda: value("loop_lag", 0.0),
            check_database=self.check_database,
            bus_silence=lambda: value("bus_silence", 0.0),
            memory=lambda: value("memory", 0.0),
            backlog=lambda: value("backlog", 0.0),
        )
        return Health(probes, THRESHOLDS, self.clock)


async def answer(health: Health, patience: float | None = None) -> Judgement:
    """What is answered."""
    findings = await health.judge(patience)
    figures = Monitoring().figures()
    report = Report(node="one", host="", pid=0, figures=figures, findings=findings)
    return merging.health([report], [])


async def judged(server: Server) -> Judgement:
    """What a fresh look says."""
    return await answer(server.health())


async def test_a_server_without_trouble_is_healthy() -> None:
    """Nothing to say and nothing to do."""
    health = await judged(Server())
    assert (health.status, health.issues, health.recommendations) == ("healthy", [], [])


ROWS = [
    ("error_rate", "12% of the connection attempts of the last 15 minutes failed", 0.12, 0.5),
    ("loop_lag", "The event loop runs 230 ms late", 0.23, 1.0),
    ("database_latency", "The database takes 300 ms to answer", 0.3, 2.0),
    ("bus_silence", "This node has not heard itself on the cluster bus for 6 s", 6.0, 15.0),
    ("memory", "The process holds 101 MiB of memory", 101 * 2**20, 200 * 2**20),
    ("backlog", "11 MiB wait to be sent to clients", 11 * 2**20, 20 * 2**20),
]


@pytest.mark.parametrize(("concern", "issue", "warning", "critical"), ROWS)
async def test_each_concern_has_its_own_words(
    concern: str, issue: str, warning: float, critical: float
) -> None:
    """One issue and one recommendation for each; a warning first, critical from its own threshold on."""
    low = await judged(Server({concern: warning}))
    assert (low.status, low.issues) == ("warning", [issue])
    almost = await judged(Server({concern: critical * 0.999}))
    assert almost.status == "warning"
    high = await judged(Server({concern: critical}))
    assert high.status == "critical"
    assert low.recommendations == high.recommendations
    assert len(low.recommendations) == 1


async def test_below_the_thresholds_all_is_well() -> None:
    """A threshold is where the trouble begins."""
    limits = dataclasses.asdict(THRESHOLDS)
    health = await judged(Server({name: limit["warning"] * 0.999 for name, limit in limits.items()}))
    assert (health.status, health.issues) == ("healthy", [])


async def test_each_concern_has_advice_of_its_own() -> None:
    """With everything wrong there are six different issues and six different recommendations."""
    health = await judged(Server({concern: critical for concern, _, _, critical in ROWS}))
    assert health.status == "critical"
    assert len(set(health.issues)) == len(set(health.recommendations)) == len(ROWS)


async def test_the_worst_issue_comes_first() -> None:
    """Critical before warning, each beside its recommendation."""
    health = await judged(Server({"error_rate": 0.2, "backlog": 30 * 2**20}))
    assert health.status == "critical"
    assert "wait to be sent" in health.issues[0]
    assert "network" in health.recommendations[0]
    assert "attempts" in health.issues[1]


async def test_a_database_that_fails_is_critical() -> None:
    """The error itself is not shown to users."""
    health = await judged(Server(error=StoreUnavailable("the disk is full")))
    assert (health.status, health.issues) == ("critical", ["The database does not answer"])


async def test_a_database_that_never_answers_is_critical(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that takes for ever is given up."""
    monkeypatch.setattr("hubbub.chat.health.DATABASE_CHECK_TIMEOUT", 0.01)

    class Hanging(Server):
        async def check_database(self) -> None:
            await asyncio.Event().wait()

    health = await judged(Hanging())
    assert health.issues == ["The database does not answer"]


async def test_nobody_has_to_wait_for_the_database() -> None:
    """Whoever has no time is told how long it has taken so far, by the thresholds; those who wait, and the
    next look, are not disturbed.
    """
    answers = asyncio.Event()

    class Slow(Server):
        async def check_database(self) -> None:
            self.checks += 1
            await answers.wait()

    server = Slow()
    health = server.health()
    waiting = asyncio.create_task(answer(health))
    assert (await answer(health, 0.001)).status == "healthy"
    server.clock.advance(0.3)
    assert (await answer(health, 0.001)).issues == ["The database takes 300 ms to answer"]
    server.clock.advance(2.0)
    assert (await answer(health, 0.001)).status == "critical"
    answers.set()
    assert (await waiting).status == "critical"
    server.clock.advance(DATABASE_CHECK_EVERY)
    assert (await answer(health, 5.0)).status == "healthy"
    assert server.checks == 2
    answers.clear()
    server.clock.advance(DATABASE_CHECK_EVERY)
    await answer(health, 0.001)
    await health.close()


async def test_asking_often_does_not_load_the_database() -> None:
    """One check serves everybody who asks within 5 s; then it is asked anew, and recovers."""
    server = Server(error=StoreUnavailable("the disk is full"))
    health = server.health()
    answers = await asyncio.gather(*(answer(health) for _ in range(50)))
    assert server.checks == 1
    assert {one.status for one in answers} == {"critical"}
    server.error = None
    server.clock.advance(DATABASE_CHECK_EVERY - 0.1)
    assert (await answer(health)).status == "critical"
    server.clock.advance(0.1)
    assert (await answer(health)).status == "healthy"
    assert server.checks == 2


async def test_a_defect_is_not_taken_for_a_failing_database() -> None:
    """An error that is not the store's own comes out, and the next one to ask checks again."""
    server = Server(error=ValueError("a defect"))
    health = server.health()
    with pytest.raises(ValueError, match="a defect"):
        await health.judge()
    server.error = None
    assert (await answer(health)).status == "healthy"


def test_the_memory_of_the_process_is_known() -> None:
    """A Python process holds some megabytes."""
    assert 2**22 < resident_bytes() < 2**36
