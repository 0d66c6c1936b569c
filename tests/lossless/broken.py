"""A server with a bug, to see that the checker finds it: `python -m tests.lossless.broken BUG serve ...`.

The bugs are patched in from outside; the product has no switch for them.
"""

import sys
from collections.abc import Callable
from typing import Final

from hubbub.cli import main as hubbub
from tests.lossless import bugs_of_recovery, bugs_of_the_log

BUGS: Final[dict[str, Callable[[], None]]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        bugs_of_the_log.ack_before_commit,
        bugs_of_the_log.number_outside_the_transaction,
        bugs_of_the_log.client_id_not_stored,
        bugs_of_the_log.high_water_mark,
        bugs_of_the_log.unordered_bus,
        bugs_of_the_log.order_not_checked,
        bugs_of_the_log.epoch_kept,
        bugs_of_recovery.cursor_too_far,
        bugs_of_recovery.cursor_too_near,
        bugs_of_recovery.token_not_rotated,
        bugs_of_recovery.token_never_spent,
        bugs_of_recovery.membership_cached,
        bugs_of_recovery.expulsion_not_heard,
        bugs_of_recovery.written_is_received,
        bugs_of_recovery.silently_truncated,
    )
}


def program(bug: str | None) -> tuple[str, ...]:
    """How to start the server with a bug, or without."""
    return ("-m", "hubbub") if bug is None else ("-m", "tests.lossless.broken", bug)


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    hubbub()
