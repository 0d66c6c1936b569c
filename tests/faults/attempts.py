"""Deeds against a database whose 1st, 2nd, 3rd, … call fails, until one passes untouched."""

from collections.abc import Awaitable

from tests.harness.clients import Json
from tests.store import faults

MOST = 80
"""Calls to the database that no deed needs."""


class Attempts:
    """Counts up the call that fails. Iterate, and do the deed within `strike`, once in each round."""

    def __init__(self, broken: faults.Faults) -> None:
        self._broken = broken
        self._untouched = False
        self.nth = 0
        # How many deeds were refused for the fault.
        self.refused = 0

    def __iter__(self) -> "Attempts":
        return self

    def __next__(self) -> int:
        if self._untouched:
            assert self.refused, "no deed was refused"
            raise StopIteration
        self.nth += 1
        assert self.nth < MOST, "the database is called without end"
        return self.nth

    async def strike(self, deed: Awaitable[Json]) -> Json:
        """The answer to a deed during which one call fails; if it was refused, then as promised."""
        self._broken.arm(self.nth)
        try:
            answer = await deed
        finally:
            struck = self._broken.disarm()
        self._untouched = not struck
        if not answer["success"]:
            assert struck, f"refused without a fault: {answer}"
            if "closed" in answer:
                assert answer["closed"] == 1013
            else:
                told = answer["code"], answer["message"]
                assert told == ("UNAVAILABLE", "Service temporarily unavailable")
                assert answer["retryAfter"] >= 1
            self.refused += 1
        return answer
