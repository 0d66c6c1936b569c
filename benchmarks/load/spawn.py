"""The load generator as a process of its own, on a core of its own."""

import subprocess
import sys
from collections.abc import Callable

import msgspec

from benchmarks.load.client import LoadError
from benchmarks.load.plan import Plan, Tally
from benchmarks.processes import ROOT, on_core


class _Line(msgspec.Struct):
    """One line of its output; exactly one of the three is set."""

    phase: str | None = None
    tally: Tally | None = None
    failure: str | None = None


def carry_out(plan: Plan, core: int | None, tell: Callable[[str], None]) -> Tally:
    """Have `plan` carried out on `core`, telling each phase. Raises LoadError when it could not be."""
    with on_core(core):
        load = subprocess.Popen(
            (sys.executable, "-m", "benchmarks.load"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
    with load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdin.write(msgspec.json.encode(plan))
        load.stdin.close()
        for text in load.stdout:
            line = msgspec.json.decode(text, type=_Line)
            if line.tally is not None:
                return line.tally
            if line.failure is not None:
                raise LoadError(line.failure)
            tell(line.phase or "")
    raise LoadError(f"the load generator ended with code {load.returncode}")
