"""`python -m benchmarks.load`: a plan as JSON on stdin; on stdout each phase as it begins, then the tally.

Every line is a JSON object with one key: `phase`, `tally` or `failure`.
"""

import gc
import os
import sys

import msgspec

from benchmarks.load.client import LoadError
from benchmarks.load.plan import Plan
from benchmarks.load.run import carry_out


def _say(key: str, value: object) -> None:
    print(msgspec.json.encode({key: value}).decode(), flush=True)


def main() -> None:
    """Carry out one plan."""
    plan: Plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    gc.disable()
    try:
        tally = carry_out(plan, os.getpid(), lambda phase: _say("phase", phase))
    except (LoadError, ProcessLookupError) as error:
        _say("failure", str(error))
    else:
        _say("tally", tally)


if __name__ == "__main__":
    main()
