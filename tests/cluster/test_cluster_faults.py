"""Each fault of a cluster once, over three nodes under load: no promise is broken, all comes back by itself.

Clients of every kind are on all nodes, over both transports, and come back to whichever node is next. What
they saw is judged by the checker, with what a fresh client reads and what the database holds.
"""

import random

import pytest

from tests.lossless.cluster import ClusterStage
from tests.lossless.cluster_faults import FAULTS, RIGHTS, ClusterFault, Place
from tests.lossless.history import History
from tests.lossless.nemesis import Line
from tests.lossless.runs import Plan, Run, count
from tests.lossless.violations import show

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

PATIENCE = 15.0
"""Seconds within which each send is answered, one way or the other; the server promises less."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_under_load(cluster: ClusterStage, fault: ClusterFault) -> None:
    """Nothing that was acknowledged is lost, doubled or out of order; every send is answered in time.

    Where nodes do not hear each other nothing is sent afterwards that would show that something is missing.
    """
    if (reason := fault.missing(cluster)) is not None:
        pytest.skip(reason)
    await cluster.whole()

    def halfway() -> None:
        if fault.is_of_the_bus:
            run.hush()

    def lines(history: History) -> list[Line]:
        strike = fault.strike(Place(cluster, history, random.Random(fault.name)), halfway)
        return [Line(random.Random(fault.name), [strike], pause=(0.5, 0.5))]

    rights = RIGHTS if fault.is_of_the_bus else 0.0
    run = Run(Plan(1, 0.6, 0.5, npm=False, patience=PATIENCE, network=False, rights=rights), cluster, lines)
    violations = await run.play()
    assert not violations, show(run.history.entries, violations)
    figures = count(run.history)
    assert figures[f"  {fault.name}"] == 1
    assert figures["acknowledged"] > 0
    await cluster.whole()
